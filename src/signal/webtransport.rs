//! WebTransport over HTTP/3 (RFC 9114, RFC 9220, draft-ietf-webtrans-http3), for browsers: one session on a connection.
//!
//! 1. Both sides say on a stream of their own what they can. What the client says there is not asked for: its request
//!    shows that it speaks WebTransport.
//! 2. The client's first bidirectional stream carries a CONNECT request for the session, and is kept while that lasts.
//! 3. Another one, which begins with the number of the first, is the signalling stream.

pub(crate) mod frames;
pub(crate) mod qpack;

use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use quinn_proto::StreamId;
use tokio::time::timeout;
use tracing::{debug, info};

use super::integer::integer;
use super::quic::{Connection, Gone};
use super::session::{self, Channel};
use crate::control::Control;
use crate::origin::{Host, Origin};
use frames::Capsules;
use qpack::Name;

/// Where signalling is.
const PATH: &[u8] = b"/signal";
/// From the connection to its signalling stream.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long the last words of a session may take to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// The longest request.
const REQUEST: usize = 16 * 1024;

/// The type of a HEADERS frame (RFC 9114 section 7.2.2), ...
const HEADERS: u64 = 0x01;
/// ... and what begins a bidirectional stream of a session.
const SESSION_STREAM: u64 = 0x41;

/// A control stream, and on it a SETTINGS frame: the longest request; extended CONNECT (RFC 9220); datagrams (RFC 9297, and
/// as Chromium knew them before); WebTransport as drafts from 7 on have it, one session; and as earlier ones do.
const SETTINGS: &[u8] = &[
    0x00, 0x04, 33, //
    0x06, 0x80, 0x00, 0x40, 0x00, //
    0x08, 0x01, //
    0x33, 0x01, //
    0x80, 0xff, 0xd2, 0x77, 0x01, //
    0xc0, 0x00, 0x00, 0x00, 0xc6, 0x71, 0x70, 0x6a, 0x01, //
    0xab, 0x60, 0x37, 0x42, 0x01, //
    0xab, 0x60, 0x37, 0x43, 0x01, //
];

/// HEADERS with `:status` 200, and the draft that older clients ask to be told.
const GRANTED: &[u8] = b"\x01\x29\x00\x00\xd9\x27\x15sec-webtransport-http3-draft\x07draft02";
/// HEADERS with `:status` 403.
const FORBIDDEN: &[u8] = &[0x01, 0x04, 0x00, 0x00, 0xff, 0x05];
/// HEADERS with `:status` 404.
const NOT_FOUND: &[u8] = &[0x01, 0x03, 0x00, 0x00, 0xdb];
/// DATA with the capsule that ends a session: code 0, no reason.
const CLOSE: &[u8] = &[0x00, 0x07, 0x68, 0x43, 0x04, 0x00, 0x00, 0x00, 0x00];
/// The connection is done with (RFC 9114 section 8.1).
const NO_ERROR: u32 = 0x100;

/// Whose pages may open sessions in a browser: those of the host that is connected to, and those that are listed. The
/// list may change while the server runs; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    listed: Arc<RwLock<Vec<String>>>,
}

impl Origins {
    /// With further origins, such as `https://example.org`.
    pub fn new(listed: Vec<String>) -> Self {
        Self { listed: Arc::new(RwLock::new(listed)) }
    }

    /// From now on these are listed.
    pub fn set(&self, listed: Vec<String>) {
        *self.listed.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    /// Whether this one is listed.
    pub fn lists(&self, origin: &str) -> bool {
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        listed.iter().any(|listed| listed.trim_end_matches('/').eq_ignore_ascii_case(origin))
    }

    /// Whether a page of `origin` may connect to us under `authority`. Who sends no origin is no browser.
    pub fn allow(&self, origin: Option<&str>, authority: &str) -> bool {
        let Some(origin) = origin else { return true };
        if self.lists(origin) {
            return true;
        }
        match (Origin::parse(origin), Host::of_authority(authority)) {
            (Some(page), Some((target, _))) => {
                page.host() == target || (page.host().is_loopback() && target.is_loopback())
            }
            _ => false,
        }
    }
}

/// Runs the one session of a connection.
pub(super) async fn serve(connection: Connection, control: Control, origins: &Origins) {
    // Boxed: the session's task has room for it as long as it lives.
    let accepted = Box::pin(timeout(READY_WITHIN, accept(&connection, origins))).await;
    let Ok(Ok(Accepted { connect, stream, first })) = accepted else {
        connection.close(NO_ERROR, b"no session");
        return;
    };
    let session = Session { connect, capsules: Capsules::default(), ended: None };
    session::run(control, &mut Channel::of_session(&connection, stream, first, session)).await;
    timeout(DRAIN_WITHIN, connection.delivered(stream)).await.ok();
    if connection.write_all(connect, CLOSE).await.is_ok() {
        connection.finish(connect);
        timeout(DRAIN_WITHIN, connection.closed()).await.ok();
    }
    connection.close(NO_ERROR, b"");
}

/// A session as it begins.
struct Accepted {
    connect: StreamId,
    stream: StreamId,
    /// What of the signalling stream came along with its beginning.
    first: Bytes,
}

async fn accept(connection: &Connection, origins: &Origins) -> Result<Accepted, Gone> {
    let settings = connection.open_uni()?;
    connection.write_all(settings, SETTINGS).await?;
    let connect = connection.accept_bi().await?;
    let request = read_request(connection, connect).await?;
    let answer = request.judge(origins);
    connection.write_all(connect, answer).await?;
    if answer != GRANTED {
        connection.finish(connect);
        // The client closes once it has read the status.
        timeout(DRAIN_WITHIN, connection.closed()).await.ok();
        return Err(Gone);
    }
    let stream = connection.accept_bi().await?;
    let mut buffer = BytesMut::new();
    loop {
        let begin =
            integer(&buffer).and_then(|(kind, at)| Some((kind, at, buffer.get(at..).and_then(integer)?)));
        if let Some((kind, at, (of, more))) = begin {
            if kind != SESSION_STREAM || of != u64::from(connect) {
                return Err(Gone);
            }
            buffer.advance(at + more);
            return Ok(Accepted { connect, stream, first: buffer.freeze() });
        }
        buffer.extend_from_slice(&connection.read(stream).await?.ok_or(Gone)?);
    }
}

/// A CONNECT request.
#[derive(Debug, Default)]
struct Request {
    method: Vec<u8>,
    protocol: Vec<u8>,
    authority: Vec<u8>,
    path: Vec<u8>,
    origin: Option<Vec<u8>>,
}

async fn read_request(connection: &Connection, stream: StreamId) -> Result<Request, Gone> {
    let mut buffer = BytesMut::new();
    let section = loop {
        match frames::take(&mut buffer, REQUEST) {
            Ok(Some((HEADERS, section))) => break section,
            // Frames of unknown types are to be ignored (RFC 9114 section 9).
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(frames::TooLong) => return Err(Gone),
        }
        buffer.extend_from_slice(&connection.read(stream).await?.ok_or(Gone)?);
    };
    let mut request = Request::default();
    let read = qpack::read(&section, |name, value| match name {
        Name::Method => request.method = value,
        Name::Protocol => request.protocol = value,
        Name::Authority => request.authority = value,
        Name::Path => request.path = value,
        Name::Origin => request.origin = Some(value),
        Name::Scheme | Name::Other => {}
    });
    if read.is_none() || request.method != b"CONNECT" || request.protocol != b"webtransport" {
        debug!("a client's request is not for WebTransport");
        return Err(Gone);
    }
    Ok(request)
}

impl Request {
    /// The answer to it.
    fn judge(&self, origins: &Origins) -> &'static [u8] {
        if self.path.split(|byte| *byte == b'?').next() != Some(PATH) {
            return NOT_FOUND;
        }
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or("?");
        let origin = self.origin.as_deref().map(text);
        if !origins.allow(origin, text(&self.authority)) {
            info!(origin, "a page of another host was refused; list its origin to let it in");
            return FORBIDDEN;
        }
        GRANTED
    }
}

/// The session around a signalling stream: it may end before the stream does.
#[derive(Debug)]
pub(super) struct Session {
    connect: StreamId,
    capsules: Capsules,
    /// The code with which the client ended it; 0 where it just ended the request's stream.
    ended: Option<u32>,
}

impl Session {
    /// Ready when the client has ended the session.
    pub(super) fn poll_ended(&mut self, connection: &Connection, cx: &Context<'_>) -> Poll<()> {
        while self.ended.is_none() {
            match connection.poll_read(cx, self.connect) {
                Poll::Ready(Ok(Some(bytes))) => self.ended = self.capsules.take(&bytes),
                Poll::Ready(Ok(None)) => self.ended = Some(0),
                // With the connection, which tells why, or by a reset: both end it.
                Poll::Ready(Err(Gone)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Whether the client ended the session with code 0, by a capsule or by ending the request's stream.
    pub(super) const fn left_on_purpose(&self) -> Option<bool> {
        match self.ended {
            Some(code) => Some(code == 0),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_length_is_as_long() {
        assert_eq!(SETTINGS.get(2).copied().map(usize::from), Some(SETTINGS.len() - 3));
        assert_eq!(GRANTED.get(1).copied().map(usize::from), Some(GRANTED.len() - 2));
    }

    #[test]
    fn a_page_of_the_same_host_or_a_listed_one_may_connect() {
        let origins = Origins::new(vec!["https://app.example.org".to_owned()]);
        let cases = [
            (None, true),
            (Some("https://meet.example.org"), true),
            (Some("https://meet.example.org:8443"), true),
            (Some("https://app.example.org"), true),
            (Some("https://evil.example.org"), false),
            (Some("https://meet.example.org.evil.org"), false),
            (Some("null"), false),
        ];
        for (origin, allowed) in cases {
            assert_eq!(origins.allow(origin, "meet.example.org:4433"), allowed, "{origin:?}");
        }
    }

    #[test]
    fn the_first_run_serves_its_page_on_another_name_of_this_host() {
        let origins = Origins::default();
        assert!(origins.allow(Some("http://localhost:8080"), "127.0.0.1:4433"));
        assert!(origins.allow(Some("http://[::1]:8080"), "127.0.0.1:4433"));
        assert!(!origins.allow(Some("http://localhost.evil.org"), "127.0.0.1:4433"));
    }
}
