//! From a request to a WebSocket (RFC 6455 section 4.2).

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use ring::digest;
use tokio::sync::Semaphore;
use tracing::info;

use super::pages::plain;
use super::{Body, Site};
use crate::base64;
use crate::signal::websocket;

/// Where signalling is, as over HTTP/3.
pub(super) const PATH: &str = "/signal";
/// The version that we speak (section 4.4).
const VERSION: &str = "13";
/// What every server adds to the key of its client (section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Answers a request for signalling; where it is a good one, a session runs from then on.
pub(super) fn answer(
    site: &Site,
    places: &Arc<Semaphore>,
    from: IpAddr,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let headers = request.headers();
    let Some(key) = key(&request) else {
        let mut response =
            plain(StatusCode::UPGRADE_REQUIRED, "Signalling is here: come by WebSocket, version 13.\n");
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return response;
    };
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(ORIGIN);
    if !site.origins.allow(origin, text(HOST).unwrap_or_default()) {
        info!(origin, "a page of another host was refused; list its origin to let it in");
        return plain(StatusCode::FORBIDDEN, "Pages of this origin may not connect.\n");
    }
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "Too many clients are connected; try again later.\n");
    };
    let accept = accept(&key);
    let session = websocket::serve(hyper::upgrade::on(&mut request), from, site.control.clone());
    crate::task::spawn(async move {
        session.await;
        drop(place);
    });
    let mut response = Response::new(super::body(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers
        .insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap_or(HeaderValue::from_static("")));
    response
}

/// The key of a client's handshake, if it is one.
fn key(request: &Request<Incoming>) -> Option<String> {
    let headers = request.headers();
    let ours = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == VERSION);
    let good = request.method() == Method::GET
        && ours
        && names(headers, &CONNECTION, "upgrade")
        && names(headers, &UPGRADE, "websocket");
    // 16 bytes in base 64; which ones means nothing to us.
    let key = headers.get(SEC_WEBSOCKET_KEY)?.to_str().ok().filter(|key| key.len() == 24)?;
    good.then(|| key.to_owned())
}

/// Whether a list has a word in it, in capitals or not.
fn names(headers: &HeaderMap, list: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(list).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|named| named.trim().eq_ignore_ascii_case(word))
}

/// The proof that we know the protocol.
fn accept(key: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    base64::encode(hash.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
