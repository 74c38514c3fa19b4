//! Who answers at an address: the site, and what watches the server.
//!
//! `/metrics` tells what the server does, so it is for whoever runs it: at the site's address with the admin token, at
//! the address that the setting `metrics` names without. `/readyz` says no more than a load balancer must know.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::{Body, Site, body, socket};
use crate::watch::Watch;

/// What is served at one address.
pub(super) struct Pages {
    pub(super) site: Option<Site>,
    pub(super) watch: Option<Arc<Watch>>,
    /// How many may come by WebSocket.
    sockets: Arc<Semaphore>,
}

/// Signalling sessions over WebSocket at once. Each is a connection, of which a process has not many.
const SOCKETS: usize = 10_000;

impl Pages {
    pub(super) fn new(site: Option<Site>, watch: Option<Arc<Watch>>) -> Self {
        Self { site, watch, sockets: Arc::new(Semaphore::new(SOCKETS)) }
    }

    pub(super) async fn answer(&self, from: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let look = matches!(*request.method(), Method::GET | Method::HEAD);
        match (&self.watch, &self.site, request.uri().path()) {
            (Some(watch), _, "/readyz") if look => ready(watch).await,
            (Some(watch), None, "/healthz") if look => ready(watch).await,
            (Some(watch), None, "/metrics") if look => metrics(watch).await,
            (Some(watch), Some(site), "/metrics") if look => {
                match site.v1.admit_server(&site.control, from, request.headers()).await {
                    Ok(()) => metrics(watch).await,
                    Err(refused) => refused,
                }
            }
            (_, Some(site), socket::PATH) => socket::answer(site, &self.sockets, from, request),
            (_, Some(site), _) => site.answer(from, request).await,
            (_, None, _) => plain(StatusCode::NOT_FOUND, "There is nothing here but /metrics and /readyz.\n"),
        }
    }
}

async fn ready(watch: &Watch) -> Response<Body> {
    let problems = watch.problems().await;
    if problems.is_empty() {
        return plain(StatusCode::OK, "ready\n");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n")
}

async fn metrics(watch: &Watch) -> Response<Body> {
    let mut response = plain(StatusCode::OK, watch.metrics().await);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
