//! One request to one endpoint, over HTTP/1.1: a connection each, of which the first line of the answer is read.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::mail::connector;
use crate::origin::Host;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest first line of an answer.
const LINE: usize = 1024;

/// Where webhooks go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What follows the path may be a secret.
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// An address as `https://example.org/hooks`, or `http` to where nobody listens.
pub fn endpoint(text: &str) -> Option<Endpoint> {
    let (scheme, rest) = text.split_once("://")?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = Host::of_authority(authority)?;
    let host = match host {
        Host::Name(name) => name.to_owned(),
        Host::Address(address) => address.to_string(),
    };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    plain.then(|| Endpoint { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }), path })
}

/// What is sent.
pub(super) struct Request {
    pub(super) id: String,
    pub(super) timestamp: u64,
    pub(super) signature: String,
    pub(super) body: Bytes,
}

/// Sends to an endpoint.
pub(super) struct Post {
    endpoint: Endpoint,
    ca: Option<PathBuf>,
    connector: OnceCell<TlsConnector>,
}

impl Post {
    pub(super) fn new(endpoint: Endpoint, ca: Option<PathBuf>) -> Self {
        Self { endpoint, ca, connector: OnceCell::new() }
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends, and returns when the endpoint took it; else why it did not.
    pub(super) async fn send(&self, request: &Request) -> Result<(), String> {
        match tokio::time::timeout(PATIENCE, self.converse(request)).await {
            Ok(Ok(200..=299)) => Ok(()),
            Ok(Ok(status)) => Err(format!("it answered {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it did not answer in time".to_owned()),
        }
    }

    async fn converse(&self, request: &Request) -> io::Result<u16> {
        let Endpoint { secure, host, port, .. } = &self.endpoint;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        if !secure {
            return self.exchange(stream, request).await;
        }
        let make = || async { connector(self.ca.clone()).await.map_err(io::Error::other) };
        let connector = self.connector.get_or_try_init(make).await?;
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        self.exchange(connector.connect(name, stream).await?, request).await
    }

    async fn exchange<S>(&self, mut stream: S, request: &Request) -> io::Result<u16>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Endpoint { host, port, path, .. } = &self.endpoint;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let Request { id, timestamp, signature, body } = request;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: millrace\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nwebhook-id: {id}\r\n\
             webhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{signature}\r\n\r\n",
            body.len(),
        );
        let mut all = head.into_bytes();
        all.extend_from_slice(body);
        stream.write_all(&all).await?;
        stream.flush().await?;
        let mut line = Vec::with_capacity(64);
        while !line.contains(&b'\n') && line.len() < LINE {
            if stream.read_buf(&mut line).await? == 0 {
                break;
            }
        }
        status(&line).ok_or_else(|| io::Error::other("it does not speak HTTP/1.1"))
    }
}

/// The status of an answer's first line (RFC 9112 section 4).
pub(crate) fn status(line: &[u8]) -> Option<u16> {
    let line = line.strip_prefix(b"HTTP/1.")?;
    let digits = line.get(2..5).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let after = line.get(5)?;
    let number = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    (line.get(1) == Some(&b' ') && matches!(after, b' ' | b'\r')).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_of_the_web() {
        let shown = |text: &str| endpoint(text).map(|e| (e.to_string(), e.path));
        let expected = |at: &str, path: &str| Some((at.to_owned(), path.to_owned()));
        assert_eq!(shown("https://example.org/a?k=1"), expected("https://example.org:443", "/a?k=1"));
        assert_eq!(shown("http://127.0.0.1:9000"), expected("http://127.0.0.1:9000", "/"));
        assert_eq!(shown("https://example.org?k"), expected("https://example.org:443", "/?k"));
        for text in [
            "example.org",
            "ftp://example.org",
            "https://",
            "https://u:p@example.org/",
            "http://a/b c",
            "http://a/\r\nX: y",
        ] {
            assert_eq!(endpoint(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_line_of_an_answer_is_read_strictly() {
        for (line, expected) in [
            (&b"HTTP/1.1 204 No Content\r\n"[..], Some(204)),
            (b"HTTP/1.0 500\r\n", Some(500)),
            (b"HTTP/1.1 20", None),
            (b"HTTP/1.1 2x4 \r\n", None),
            (b"HTTP/2 200 \r\n", None),
            (b"SSH-2.0\r\n", None),
        ] {
            assert_eq!(status(line), expected, "{line:?}");
        }
    }
}
