//! What is at which path, and the headers that every answer has.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::operations::{Answer, Letter, Parameters, Refusal, boundary, envelope, run};
use super::uploads::Uploads;
use super::v1::V1;
use super::{Body, body, files, whip};
use crate::control::Control;
use crate::control::directory::DEFAULT_APP;
use crate::mail::Mail;
use crate::signal::webtransport::Origins;

/// Longest form.
const BODY_BYTES: usize = 64 * 1024;
/// How long a client may take to send it.
const BODY_TIME: Duration = Duration::from_secs(15);

/// What the site is made of.
pub struct Site {
    /// Who answers operations.
    pub control: Control,
    /// Where signalling listens, over QUIC.
    pub signal: Vec<SocketAddr>,
    /// The SHA-256 hashes, in hexadecimal, of the current certificate and the next; asked at every `/config.json`.
    pub hashes: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Whether all shards turn; asked at every `/healthz`.
    pub healthy: Box<dyn Fn() -> bool + Send + Sync>,
    /// Origins of other pages that may use the API.
    pub origins: Origins,
    /// REST in resource style.
    pub v1: V1,
    /// Files of chats.
    pub uploads: Uploads,
    /// How one-time codes reach people.
    pub mail: Mail,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Site")
    }
}

impl Site {
    /// Answers one request.
    pub(super) async fn answer(&self, from: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().clone();
        let mut response = match (path.as_str(), request.method()) {
            (path, _) if is_whip(path) => whip::answer(&self.control, from, request).await,
            (path, &Method::OPTIONS) if crosses(path) => preflight(path),
            (path, _) if path.starts_with("/v1/") => self.v1.answer(&self.control, from, request).await,
            ("/api", &Method::GET | &Method::POST) => self.operation(from, request).await,
            ("/api", _) => not_allowed("GET, POST, OPTIONS"),
            (path, _) if path == "/files" || path.starts_with("/files/") => {
                self.uploads.answer(&self.control, request).await
            }
            ("/healthz", &Method::GET | &Method::HEAD) => self.health().await,
            ("/config.json", &Method::GET | &Method::HEAD) => json_answer(&self.config(&headers)),
            (path, &Method::GET | &Method::HEAD) => files::answer(path, &headers)
                .unwrap_or_else(|| text(StatusCode::NOT_FOUND, "There is nothing here.\n")),
            _ => not_allowed("GET, HEAD"),
        };
        if crosses(&path) {
            self.allow_origin(&headers, response.headers_mut());
        }
        self.secure(&headers, response.headers_mut());
        response
    }

    async fn operation(&self, from: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let mut parameters = Parameters::default();
        parameters.add(request.uri().query().unwrap_or_default().as_bytes());
        if request.method() == Method::POST {
            let kind =
                request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
            let form = Limited::new(request.into_body(), BODY_BYTES).collect();
            match tokio::time::timeout(BODY_TIME, form).await {
                Ok(Ok(form)) => match kind.as_deref().and_then(boundary) {
                    Some(boundary) => parameters.add_parts(&form.to_bytes(), boundary),
                    None => parameters.add(&form.to_bytes()),
                },
                Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "A form has at most 64 KiB.\n"),
                Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time.\n"),
            }
        }
        let asked = self.control.with(move |state, now| {
            let mut letter = None;
            let answer = run(&mut state.directory, now.unix, from, &parameters, &mut letter);
            (answer, letter, parameters, now.unix)
        });
        match asked.await {
            Ok((answer, letter, parameters, now)) => {
                let answer = match letter {
                    Some(letter) => self.post(&letter).await.and(answer),
                    None => answer,
                };
                json_answer(&envelope(&parameters, now, answer))
            }
            Err(unavailable) => {
                tracing::warn!("REST: {unavailable}");
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let answer = envelope(&Parameters::default(), now, Err(Refusal::Unavailable));
                let mut response = json_answer(&answer);
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
            }
        }
    }

    /// Sends a one-time code on its way; whoever waits for it hears that it left.
    async fn post(&self, letter: &Letter) -> Answer {
        match &self.mail {
            Mail::Server(mailer) => mailer.send_code(&letter.to, &letter.code).await.map_err(|error| {
                tracing::warn!("mail: {error}");
                Refusal::MailFailed
            })?,
            Mail::Log => {
                tracing::info!("the code that signs {} in is {}", letter.to, letter.code.0);
            }
            Mail::Off => return Err(Refusal::NoMail),
        }
        Ok(Map::new())
    }

    async fn health(&self) -> Response<Body> {
        let draining = self.control.with(|state, _| state.draining()).await;
        match (draining, (self.healthy)()) {
            (Ok(false), true) => text(StatusCode::OK, "ok\n"),
            (Ok(true), true) => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            (Err(_), true) => text(StatusCode::SERVICE_UNAVAILABLE, "the control plane does not answer\n"),
            (_, false) => text(StatusCode::SERVICE_UNAVAILABLE, "a shard does not turn\n"),
        }
    }

    /// What a client needs before it connects (docs/signalling.md).
    fn config(&self, headers: &HeaderMap) -> Value {
        let signal = format!("https://{}/signal", self.signal_host(headers));
        let mut config = json!({ "signal": signal, "hashes": (self.hashes)(), "files": self.uploads.told() });
        if !matches!(self.mail, Mail::Off) {
            config["appid"] = json!(DEFAULT_APP);
        }
        // So that the page can say where to look for the code.
        if matches!(self.mail, Mail::Log) {
            config["codes"] = json!("log");
        }
        config
    }

    /// Host and port of signalling for a client who reached us under this `Host`.
    fn signal_host(&self, headers: &HeaderMap) -> String {
        let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let host = host.as_ref().map(|host| host.host().trim_matches(['[', ']']));
        let ip = host.and_then(|host| host.parse::<IpAddr>().ok());
        // The page's own name, unless signalling listens where that name does not lead: a browser tries ::1 for
        // "localhost" and finds nobody there.
        let local = host.is_none_or(|host| host == "localhost") || ip.is_some_and(|ip| ip.is_loopback());
        let family = |address: &&SocketAddr| ip.is_none_or(|ip| ip.is_ipv4() == address.is_ipv4());
        let Some(address) = self.signal.iter().find(family).or_else(|| self.signal.first()) else {
            return String::new();
        };
        if local || address.ip().is_loopback() {
            let here = match address.ip() {
                ip if !ip.is_unspecified() => ip,
                IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            return SocketAddr::new(here, address.port()).to_string();
        }
        match (ip, host) {
            (Some(ip), _) => SocketAddr::new(ip, address.port()).to_string(),
            (None, Some(host)) => format!("{host}:{}", address.port()),
            (None, None) => address.to_string(),
        }
    }

    /// Lets pages of the listed origins read the answer.
    fn allow_origin(&self, asked: &HeaderMap, headers: &mut HeaderMap) {
        headers.insert(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = asked.get(ORIGIN) else { return };
        if origin.to_str().is_ok_and(|origin| self.origins.lists(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let readable =
                HeaderValue::from_static("accept-patch, accept-post, etag, link, location, retry-after");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, readable);
        }
    }

    /// What browsers shall hold every answer to.
    fn secure(&self, asked: &HeaderMap, headers: &mut HeaderMap) {
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
             media-src 'self' blob: mediastream:; connect-src 'self' https://{}; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'self'",
            self.signal_host(asked)
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        // What people sent is held to more already.
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // A room's link holds its pin.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static(
                "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
            ),
        );
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn json_answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(body(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether pages of the listed origins may use what is at a path.
fn crosses(path: &str) -> bool {
    matches!(path, "/api" | "/config.json" | "/files")
        || path.starts_with("/v1/")
        || path.starts_with("/files/")
        || is_whip(path)
}

fn is_whip(path: &str) -> bool {
    path.starts_with("/whip/") || path.starts_with("/whep/")
}

fn preflight(path: &str) -> Response<Body> {
    let mut response = text(StatusCode::NO_CONTENT, "");
    let (methods, fields) = match path.starts_with("/v1/") {
        true => ("GET, POST, PUT, PATCH, DELETE", "authorization, content-type, idempotency-key, if-match"),
        false => ("GET, POST", "authorization, content-type"),
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(fields));
    response
}

pub(super) fn not_allowed(allow: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "This method does nothing here.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}
