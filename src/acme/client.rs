//! Requests to a certificate authority: HTTP/1.1, a connection each, signed by the account's key (RFC 8555 section 6.2).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Problem;
use crate::base64::encode_url;
use crate::hooks::{Endpoint, endpoint, status};
use crate::mail::connector;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer: a chain of certificates is the longest that is asked for.
const ANSWER: u64 = 256 * 1024;

/// What was answered.
pub(super) struct Answer {
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
    nonce: Option<String>,
    status: u16,
}

impl Answer {
    pub(super) fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.body).map_err(|_| Problem::new("the answer is no JSON"))
    }
}

/// An account with an authority.
pub(super) struct Client {
    connector: TlsConnector,
    key: EcdsaKeyPair,
    /// What the authority calls the account, once there is one.
    account: Option<String>,
    nonces: String,
    nonce: Option<String>,
}

impl Client {
    /// Asks what is where; without an account yet.
    pub(super) async fn new(
        directory: &Endpoint,
        ca: Option<PathBuf>,
        key: &[u8],
    ) -> Result<(Self, Value), Problem> {
        let connector = connector(ca).await.map_err(Problem::new)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &SystemRandom::new());
        let key = key.map_err(|_| Problem::new("the account's key cannot be read"))?;
        let mut client = Self { connector, key, account: None, nonces: String::new(), nonce: None };
        let found = client.ask(directory, "GET", &[]).await?.json()?;
        client.nonces = text(&found, "newNonce")?;
        Ok((client, found))
    }

    /// Makes the account, or finds it again. Whoever names a domain agrees to the authority's terms.
    pub(super) async fn sign_up(&mut self, at: &str) -> Result<(), Problem> {
        let answer = self.post(at, Some(&json!({ "termsOfServiceAgreed": true }))).await?;
        self.account = Some(answer.location.ok_or_else(|| Problem::new("the account has no address"))?);
        Ok(())
    }

    /// What answers a challenge, and its digest (section 8.1).
    pub(super) fn proof(&self, token: &str) -> Vec<u8> {
        let thumbprint = encode_url(digest(&SHA256, self.public().to_string().as_bytes()).as_ref());
        digest(&SHA256, format!("{token}.{thumbprint}").as_bytes()).as_ref().to_vec()
    }

    /// The account's public key. Its members stand in the order of the alphabet, as a thumbprint wants them (RFC 7638).
    fn public(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let half = |from: usize| encode_url(point.get(from..from + 32).unwrap_or_default());
        json!({ "crv": "P-256", "kty": "EC", "x": half(1), "y": half(33) })
    }

    /// Posts something, or nothing, which asks for what is there (section 6.3). A number that is too old is no fault
    /// (section 6.5): then it is said once more with another one.
    pub(super) async fn post(&mut self, at: &str, what: Option<&Value>) -> Result<Answer, Problem> {
        match self.post_once(at, what).await {
            Err(problem) if problem.is_bad_nonce() => self.post_once(at, what).await,
            other => other,
        }
    }

    async fn post_once(&mut self, at: &str, what: Option<&Value>) -> Result<Answer, Problem> {
        let nonce = match self.nonce.take() {
            Some(nonce) => nonce,
            None => {
                let answer = self.ask(&address(&self.nonces)?, "GET", &[]).await?;
                answer.nonce.ok_or_else(|| Problem::new("no number came for the next request"))?
            }
        };
        let mut head = json!({ "alg": "ES256", "nonce": nonce, "url": at });
        match &self.account {
            Some(account) => head["kid"] = json!(account),
            None => head["jwk"] = self.public(),
        }
        let protected = encode_url(head.to_string().as_bytes());
        let payload = what.map(|what| encode_url(what.to_string().as_bytes())).unwrap_or_default();
        let signature = self.key.sign(&SystemRandom::new(), format!("{protected}.{payload}").as_bytes());
        let signature = signature.map_err(|_| Problem::new("the system gives no random bytes"))?;
        let signed = json!({
            "protected": protected, "payload": payload, "signature": encode_url(signature.as_ref()),
        });
        let mut answer = self.ask(&address(at)?, "POST", signed.to_string().as_bytes()).await?;
        self.nonce = answer.nonce.take();
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(Problem::told(answer.status, &answer.json().unwrap_or_default()))
    }

    async fn ask(&self, at: &Endpoint, method: &str, body: &[u8]) -> Result<Answer, Problem> {
        let asked = async {
            let stream = TcpStream::connect((at.host.as_str(), at.port)).await?;
            if !at.secure {
                return exchange(stream, at, method, body).await;
            }
            let name = ServerName::try_from(at.host.clone()).map_err(io::Error::other)?;
            exchange(self.connector.connect(name, stream).await?, at, method, body).await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Problem::new(format!("{at}: {error}"))),
            Err(_) => Err(Problem::new(format!("{at} does not answer"))),
        }
    }
}

pub(super) fn text(from: &Value, name: &str) -> Result<String, Problem> {
    let found = from.get(name).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Problem::new(format!("the answer has no {name}")))
}

fn address(text: &str) -> Result<Endpoint, Problem> {
    endpoint(text).ok_or_else(|| Problem::new(format!("{text} is no address")))
}

async fn exchange<S>(mut stream: S, at: &Endpoint, method: &str, body: &[u8]) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = if at.host.contains(':') { format!("[{}]", at.host) } else { at.host.clone() };
    let head = format!(
        "{method} {} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: millrace\r\nConnection: close\r\n\
         Content-Type: application/jose+json\r\nContent-Length: {}\r\n\r\n",
        at.path,
        at.port,
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await?;
    let mut all = Vec::new();
    let read = (&mut stream).take(ANSWER).read_to_end(&mut all).await;
    // Some end without a word; what is missing shows by its length.
    match (read, answer(&all)) {
        (_, Some(answer)) => Ok(answer),
        (Err(error), None) => Err(error),
        (Ok(_), None) => Err(io::Error::other("the answer is not whole, or no HTTP/1.1")),
    }
}

/// Reads a whole answer.
fn answer(all: &[u8]) -> Option<Answer> {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = all.split_at_checked(end + 4)?;
    let status = status(head)?;
    let head = std::str::from_utf8(head).ok()?;
    let field = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    let body = match (field("transfer-encoding"), field("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => chunks(body)?,
        (_, Some(len)) => body.get(..len.parse().ok()?)?.to_vec(),
        _ => body.to_vec(),
    };
    Some(Answer { location: field("location"), nonce: field("replay-nonce"), status, body })
}

/// A body in pieces (RFC 9112 section 7.1).
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let (line, after) = rest.split_at_checked(end)?;
        let line = std::str::from_utf8(line).ok()?;
        let len = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        let after = after.get(2..)?;
        if len == 0 {
            return Some(all);
        }
        all.extend_from_slice(after.get(..len)?);
        rest = after.get(len..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole =
            b"HTTP/1.1 201 Created\r\nReplay-Nonce: abc\r\nlocation:  /a\r\nContent-Length: 2\r\n\r\nhi";
        let read = answer(whole).expect("an answer");
        assert_eq!((read.status, read.body), (201, b"hi".to_vec()));
        assert_eq!((read.nonce.as_deref(), read.location.as_deref()), (Some("abc"), Some("/a")));
        assert!(answer(&whole[..whole.len() - 1]).is_none());
        let pieces =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n3\r\n yo\r\n0\r\n\r\n";
        assert_eq!(answer(pieces).map(|read| read.body), Some(b"hi yo".to_vec()));
        assert!(answer(&pieces[..pieces.len() - 6]).is_none());
        assert!(answer(b"SSH-2.0\r\n\r\n").is_none());
    }
}
