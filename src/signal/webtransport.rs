//! WebTransport over HTTP/3 (draft-ietf-webtrans-http3), for browsers.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use http::header::ORIGIN;
use quinn::{ConnectionError, VarInt};
use tokio::time::timeout;
use tracing::{debug, info};
use url::{Host, Url};
use web_transport_quinn::{Request, Session, SessionError, WebTransportError};

use super::quic::closed_on_purpose;
use super::session;
use crate::control::Control;

/// Where signalling is.
const PATH: &str = "/signal";
/// From the connection to its signalling stream.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long the last words of a session may take to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Whose pages may open sessions in a browser: those of the host that is connected to, and those that are listed.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    listed: Vec<String>,
}

impl Origins {
    /// With further origins, such as `https://example.org`.
    pub const fn new(listed: Vec<String>) -> Self {
        Self { listed }
    }

    /// Whether a page of `origin` may connect to us under `target`. Who sends no origin is no browser.
    pub fn allow(&self, origin: Option<&str>, target: &Url) -> bool {
        let Some(origin) = origin else { return true };
        if self.listed.iter().any(|listed| listed.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
            return true;
        }
        let Ok(page) = Url::parse(origin) else { return false };
        match (page.host(), target.host()) {
            (Some(page), Some(target)) => page == target || (is_loopback(&page) && is_loopback(&target)),
            _ => false,
        }
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

/// Runs the one session of a connection.
pub(super) async fn serve(connection: quinn::Connection, control: Control, origins: &Origins) {
    let Some(session) = accept(connection.clone(), origins).await else { return };
    let Ok(Ok((mut send, receive))) = timeout(READY_WITHIN, session.accept_bi()).await else {
        session.close(1, b"open a stream");
        return;
    };
    let on_purpose = async {
        let quic = connection.closed().await;
        left_on_purpose(&session, &quic)
    };
    session::run(control, connection.remote_address().ip(), receive, &mut send, on_purpose).await;
    timeout(DRAIN_WITHIN, send.stopped()).await.ok();
    session.close(0, b"");
    timeout(DRAIN_WITHIN, connection.closed()).await.ok();
    connection.close(VarInt::from_u32(0), b"");
}

async fn accept(connection: quinn::Connection, origins: &Origins) -> Option<Session> {
    let request = match timeout(READY_WITHIN, Request::accept(connection)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            debug!(%error, "no WebTransport");
            return None;
        }
        Err(_) => return None,
    };
    let origin = request.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let refused = if request.url.path() != PATH {
        Some(StatusCode::NOT_FOUND)
    } else if !origins.allow(origin, &request.url) {
        info!(origin, "a page of another host was refused; list its origin to let it in");
        Some(StatusCode::FORBIDDEN)
    } else {
        None
    };
    match refused {
        Some(status) => {
            let connection = request.conn().clone();
            request.reject(status).await.ok();
            // The client closes once it has read the status.
            timeout(DRAIN_WITHIN, connection.closed()).await.ok();
            None
        }
        None => request.ok().await.ok(),
    }
}

/// Whether the client ended the session with code 0, by a capsule, by ending the CONNECT stream (both make our side
/// close the connection), or by closing the connection.
fn left_on_purpose(session: &Session, quic: &ConnectionError) -> bool {
    match session.close_reason() {
        Some(SessionError::WebTransportError(WebTransportError::Closed(code, _))) => code == 0,
        _ => matches!(quic, ConnectionError::LocallyClosed) || closed_on_purpose(quic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_same_host_or_a_listed_one_may_connect() {
        let origins = Origins::new(vec!["https://app.example.org".to_owned()]);
        let here = Url::parse("https://meet.example.org:4433/signal").expect("a URL");
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
            assert_eq!(origins.allow(origin, &here), allowed, "{origin:?}");
        }
    }

    #[test]
    fn the_first_run_serves_its_page_on_another_name_of_this_host() {
        let here = Url::parse("https://127.0.0.1:4433/signal").expect("a URL");
        let origins = Origins::default();
        assert!(origins.allow(Some("http://localhost:8080"), &here));
        assert!(origins.allow(Some("http://[::1]:8080"), &here));
        assert!(!origins.allow(Some("http://localhost.evil.org"), &here));
    }
}
