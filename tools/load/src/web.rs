//! The server's web side: where signalling is, guest tokens, and whatever other servers have. Plain HTTP only; load tests run
//! beside the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::Error;

/// The largest answer taken.
const MAX_ANSWER: u64 = 1 << 20;

/// Which room, as a shared link says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// `http://HOST:PORT`
    pub server: Url,
    /// The group.
    pub gid: u32,
    /// A pin of it.
    pub pin: String,
}

impl Room {
    /// Reads a link: `gid` and `pin` in its query or behind its `#`.
    pub fn from_link(link: &str) -> Result<Self, Error> {
        let bad = || Error::Usage(format!("{link} is no room link: it needs http://, a gid and a pin"));
        let server = Url::parse(link).map_err(|_| bad())?;
        let fragment = server.fragment().unwrap_or_default().trim_start_matches(['?', '/']).to_owned();
        let hidden = url::form_urlencoded::parse(fragment.as_bytes());
        let pairs: Vec<_> = server.query_pairs().into_owned().chain(hidden.into_owned()).collect();
        let find = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let gid = find("gid").and_then(|gid| gid.parse().ok()).ok_or_else(bad)?;
        let pin = find("pin").ok_or_else(bad)?;
        Ok(Self { server, gid, pin })
    }

    /// A token for one more guest.
    pub async fn guest(&self, name: &str) -> Result<String, Error> {
        let mut url = self.server.clone();
        url.set_path("/api");
        url.set_fragment(None);
        url.query_pairs_mut()
            .clear()
            .append_pair("op", "guest")
            .append_pair("gid", &self.gid.to_string())
            .append_pair("pin", &self.pin)
            .append_pair("name", name);
        let answer = get(&url).await?;
        let token = answer.get("token").and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| Error::Web { url: without_secrets(&url), why: answer.to_string() })
    }

    /// Where signalling is, and the certificates it may show.
    pub async fn signal(&self) -> Result<Signal, Error> {
        let mut url = self.server.clone();
        url.set_path("/config.json");
        url.set_query(None);
        url.set_fragment(None);
        let answer = get(&url).await?;
        let odd = |why: &str| Error::Web { url: url.to_string(), why: why.to_owned() };
        let at = answer.get("signal").and_then(Value::as_str).ok_or_else(|| odd("no \"signal\""))?;
        let at = Url::parse(at).map_err(|_| odd("\"signal\" is no URL"))?;
        let host = at.host_str().ok_or_else(|| odd("\"signal\" has no host"))?;
        // Brackets belong to the URL, not to the address.
        let host = host.trim_matches(['[', ']']).to_owned();
        let hashes = answer.get("hashes").and_then(Value::as_array).cloned().unwrap_or_default();
        let hashes: Vec<_> = hashes.iter().filter_map(|h| from_hex(h.as_str()?)).collect();
        Ok(Signal { host, port: at.port_or_known_default().unwrap_or(443), hashes })
    }
}

/// A user who makes rooms and deletes them again.
#[derive(Clone)]
pub struct Owner {
    /// `http://HOST:PORT`
    pub server: String,
    /// The user's token.
    pub token: String,
}

impl Owner {
    async fn ask(&self, op: &str, more: &[(&str, &str)]) -> Result<Value, Error> {
        let bad = |_| Error::Usage(format!("{} is no address of a server", self.server));
        let mut url = Url::parse(&self.server).map_err(bad)?;
        url.set_path("/api");
        url.query_pairs_mut().append_pair("op", op).append_pair("token", &self.token).extend_pairs(more);
        let answer = get(&url).await?;
        match answer.get("result").and_then(Value::as_str) {
            Some("OK") => Ok(answer),
            _ => Err(Error::Web { url: without_secrets(&url), why: answer.to_string() }),
        }
    }

    /// A new room that guests may enter.
    pub async fn create(&self, name: &str) -> Result<Room, Error> {
        let answer = self.ask("setgroup", &[("name", name), ("guests", "1")]).await?;
        let text = |member: &str| match answer.get(member) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        Room::from_link(&format!(
            "{}/?gid={}&pin={}",
            self.server.trim_end_matches('/'),
            text("gid"),
            text("pin")
        ))
    }

    /// Deletes it.
    pub async fn delete(&self, room: &Room) -> Result<(), Error> {
        self.ask("delgroup", &[("gid", &room.gid.to_string())]).await.map(drop)
    }
}

/// What `GET /config.json` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// SHA-256 of the certificates.
    pub hashes: Vec<[u8; 32]>,
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text: String = text.chars().filter(|c| *c != ':').collect();
    let bytes = (0..32).map(|n| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// A URL as it may be shown.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    /// A header of it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// It is not what was hoped for.
    pub(crate) fn refused(&self, url: &Url, what: &str) -> Error {
        let why = format!("{what}: status {}: {}", self.status, self.body.trim());
        Error::Web { url: without_secrets(url), why }
    }
}

/// What is sent along with a request: its type, and it.
pub(crate) type Body<'a> = (&'a str, &'a str);

/// Reads JSON.
pub(crate) async fn get(url: &Url) -> Result<Value, Error> {
    read_json(url, &request("GET", url, None, None).await?)
}

/// Posts JSON and reads JSON.
pub(crate) async fn post(url: &Url, body: &Value) -> Result<Value, Error> {
    let body = body.to_string();
    read_json(url, &request("POST", url, None, Some(("application/json", &body))).await?)
}

fn read_json(url: &Url, reply: &Reply) -> Result<Value, Error> {
    if reply.status != 200 {
        return Err(reply.refused(url, "no answer"));
    }
    let odd = |e| Error::Web { url: without_secrets(url), why: format!("no JSON: {e}") };
    serde_json::from_str(&reply.body).map_err(odd)
}

fn host_of(url: &Url) -> Result<(&str, u16), Error> {
    if url.scheme() != "http" {
        return Err(Error::Usage(format!("{} must begin with http://", without_secrets(url))));
    }
    Ok((url.host_str().unwrap_or("localhost"), url.port_or_known_default().unwrap_or(80)))
}

/// Both ends of a way to a server: our address, and the server's.
pub(crate) async fn way(url: &Url) -> Result<(SocketAddr, SocketAddr), Error> {
    let (host, port) = host_of(url)?;
    let odd = |e: std::io::Error| Error::Web { url: without_secrets(url), why: e.to_string() };
    let server = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await.map_err(odd)?.next();
    let server = server.ok_or_else(|| Error::Usage(format!("{host} has no address")))?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Sends nothing, and tells which of our addresses would.
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(server).map_err(odd)?;
    Ok((socket.local_addr()?, server))
}

/// HTTP/1.0, so that the body ends with the connection.
pub(crate) async fn request(
    method: &str,
    url: &Url,
    bearer: Option<&str>,
    body: Option<Body<'_>>,
) -> Result<Reply, Error> {
    let odd = |why: String| Error::Web { url: without_secrets(url), why };
    let (host, port) = host_of(url)?;
    let address = host.trim_matches(['[', ']']);
    let mut stream = TcpStream::connect((address, port)).await.map_err(|e| odd(e.to_string()))?;
    let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
    let mut request =
        format!("{method} {}{query} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n", url.path());
    if let Some(bearer) = bearer {
        request += &format!("Authorization: Bearer {bearer}\r\n");
    }
    match body {
        Some((kind, body)) => {
            request += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
        None => request += "\r\n",
    }
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(|e| odd(e.to_string()))?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| odd("no HTTP".into()))?;
    let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| odd("no HTTP".into()))?;
    Ok(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_a_room_in_its_query_or_behind_the_hash() {
        for link in [
            "http://localhost:8080/?gid=1000&pin=00001234",
            "http://localhost:8080/room#gid=1000&pin=00001234",
            "http://localhost:8080/#/?gid=1000&pin=00001234",
        ] {
            let room = Room::from_link(link).expect("a room");
            assert_eq!((room.gid, room.pin.as_str()), (1000, "00001234"), "{link}");
        }
        assert!(Room::from_link("http://localhost:8080/?gid=1000").is_err());
        assert!(Room::from_link("somewhere").is_err());
    }
}
