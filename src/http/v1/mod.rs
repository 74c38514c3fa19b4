//! REST in resource style: `/v1/…` (platform API section 3.2).
//!
//! 1. The table of routes (`routes`) says what there is: path, method, parameters, body, answer.
//! 2. Whoever asks shows a token (`caller`), and does not ask too often.
//! 3. Parameters and body are checked by their shapes (`shape`), all mistakes together.
//! 4. The handler runs on the control task, in one turn: what it finds and what it changes belong together.
//! 5. What was asked with an `Idempotency-Key` is remembered, and the same answer given again (`replay`).
//!
//! The OpenAPI document is a file (`openapi.json`) that a test makes from the same table and shapes (`openapi`), so it cannot say
//! anything else: the server only sends it.

mod apps;
mod caller;
mod capture;
mod groups;
mod live;
mod members;
mod messages;
mod node;
mod openapi;
mod page;
mod pins;
mod problem;
mod recorder;
mod replay;
mod routes;
mod shape;
mod shown;
mod summary;
mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use self::caller::{Caller, Callers};
pub use self::node::{NodeReport, ShardReport};
pub use self::openapi::document as openapi;
use self::problem::{Problem, Sort};
use self::recorder::Later;
use self::replay::Replays;
use self::routes::{Found, Route, find};
use self::shape::{Object, Wrong};
use super::{Body, body, files};
use crate::control::directory::hex;
use crate::control::{Control, Now, State};
use crate::signal::message::Secret;

/// Longest body of a request.
const BODY_BYTES: usize = 64 * 1024;
/// How long a client may take to send it.
const BODY_TIME: Duration = Duration::from_secs(15);
/// The longest `Idempotency-Key`.
const KEY_BYTES: usize = 64;
/// What captures of packets are called (IANA).
const CAPTURE: &str = "application/vnd.tcpdump.pcap";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the resource style needs beside the control plane.
pub struct V1 {
    callers: Callers,
    replays: Arc<Replays>,
    node: Box<dyn Fn() -> NodeReport + Send + Sync>,
}

impl std::fmt::Debug for V1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("V1")
    }
}

/// What a handler gets, checked.
struct Call {
    now: Now,
    caller: Caller,
    /// The parameters of the path, in their order.
    path: Vec<Value>,
    query: Object,
    body: Object,
    /// The entity tags of `If-Match`.
    if_match: Option<Vec<String>>,
    node: Option<NodeReport>,
}

/// What a handler answers.
struct Reply {
    status: StatusCode,
    body: Content,
    /// Whether it is a version of something that can be changed.
    tagged: bool,
    location: Option<String>,
    /// What is answered instead, once it is there.
    later: Option<Later>,
}

/// What an answer carries.
enum Content {
    Nothing,
    Json(Value),
    Capture(Vec<u8>),
}

type Answer = Result<Reply, Problem>;
type Handler = fn(&mut State, &Call) -> Answer;

impl Reply {
    /// Here it is.
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Content::Json(body), ..Self::done() }
    }

    /// Here it is, in this version.
    fn version(body: Value) -> Self {
        Self { tagged: true, ..Self::ok(body) }
    }

    /// It was made, and is there from now on.
    fn made(body: Value, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..Self::ok(body) }
    }

    /// It is done.
    fn done() -> Self {
        let status = StatusCode::NO_CONTENT;
        Self { status, body: Content::Nothing, tagged: false, location: None, later: None }
    }

    /// Headers of packets, as tcpdump writes them.
    fn capture(bytes: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body: Content::Capture(bytes), ..Self::done() }
    }

    /// Others have to be asked first.
    fn later(answer: Later) -> Self {
        Self { later: Some(answer), ..Self::done() }
    }

    fn answer(self) -> Response<Body> {
        let (bytes, kind) = match self.body {
            Content::Nothing => (Vec::new(), None),
            Content::Json(body) => (body.to_string().into_bytes(), Some("application/json")),
            Content::Capture(bytes) => (bytes, Some(CAPTURE)),
        };
        let tag = self.tagged.then(|| tag_of(&bytes));
        let mut response = Response::new(body(bytes));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
            headers.insert(ETAG, tag);
        }
        if let Some(location) = self.location.and_then(|at| HeaderValue::try_from(at).ok()) {
            headers.insert(LOCATION, location);
        }
        response
    }
}

impl Call {
    /// A whole number of the path.
    fn number(&self, place: usize) -> u32 {
        let number = self.path.get(place).and_then(shape::whole).unwrap_or_default();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Refuses a change of what is not in the version that `If-Match` names (RFC 9110 section 13.1.1).
    fn guard(&self, current: &Value) -> Result<(), Problem> {
        let Some(wanted) = &self.if_match else { return Ok(()) };
        let tag = tag_of(current.to_string().as_bytes());
        let fits = wanted.iter().any(|wanted| wanted == "*" || *wanted == tag);
        fits.then_some(()).ok_or_else(|| {
            Problem::new(Sort::Changed, "Read it again, and send the change with the new ETag as If-Match.")
        })
    }
}

/// The version of a representation.
fn tag_of(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("\"{}\"", hex(digest.as_ref().get(..12).unwrap_or_default()))
}

impl V1 {
    /// The resource style for who holds `key`, the server's admin token, and for the users of the control plane.
    pub fn new(key: &Secret, node: Box<dyn Fn() -> NodeReport + Send + Sync>) -> Self {
        Self { callers: Callers::new(key), replays: Arc::default(), node }
    }

    /// Lets through who holds the server's admin token.
    pub(super) async fn admit_server(
        &self,
        control: &Control,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<(), Response<Body>> {
        let caller = self.callers.identify(control, from, headers).await;
        caller.and_then(|caller| caller.must_be_server()).map_err(Problem::answer)
    }

    /// Answers one request.
    pub(super) async fn answer(
        &self,
        control: &Control,
        from: IpAddr,
        request: Request<Incoming>,
    ) -> Response<Body> {
        self.run(control, from, request).await.unwrap_or_else(Problem::answer)
    }

    async fn run(
        &self,
        control: &Control,
        from: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Problem> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        if path == "/v1/openapi.json"
            && matches!(parts.method, Method::GET | Method::HEAD)
            && let Some(document) = files::answer(&path, &parts.headers)
        {
            return Ok(document);
        }
        let Found { route, path: names } = find(&parts.method, &path)?;
        let caller = self.callers.identify(control, from, &parts.headers).await?;
        if route.of_server {
            caller.must_be_server()?;
        }
        let path_values = route.read_path(&names)?;
        let query = route.read_query(parts.uri.query().unwrap_or_default());
        let (bytes, object) = read_body(route, &parts.headers, body).await?;
        let query = merge(query, route.check_body(&object))?;
        let key = replay_key(&parts.headers, route, &caller)?;
        if let Some(key) = &key
            && let Some(before) = self.replays.begin(*key, &[path.as_bytes(), &bytes])?
        {
            return Ok(before);
        }
        let if_match = read_tags(&parts.headers)?;
        let node = route.reports.then(|| (self.node)());
        let (handler, control, replays) = (route.run, control.clone(), Arc::clone(&self.replays));
        let work = async move {
            let answer = control
                .with(move |state, now| {
                    let call = Call { now, caller, path: path_values, query, body: object, if_match, node };
                    handler(state, &call)
                })
                .await;
            let answer = match answer.map_err(Problem::from).and_then(|answer| answer) {
                Ok(Reply { later: Some(later), .. }) => later.await,
                other => other,
            };
            let answer = answer.map(Reply::answer);
            match key {
                Some(key) => replays.end(key, answer).await,
                None => answer,
            }
        };
        // A client that goes away stops no work: what it did is to be remembered.
        tokio::spawn(work).await.unwrap_or_else(|_| {
            Err(Problem::new(Sort::Unavailable, "The server failed at this request; its log says why."))
        })
    }
}

/// All that is wrong with query and body together.
fn merge(query: Result<Object, Vec<Wrong>>, body: Vec<Wrong>) -> Result<Object, Problem> {
    match query {
        Ok(query) if body.is_empty() => Ok(query),
        Ok(_) => Err(Problem::invalid(body)),
        Err(mut wrong) => {
            wrong.extend(body);
            Err(Problem::invalid(wrong))
        }
    }
}

/// The body of a request that takes one, as it came and as an object.
async fn read_body(route: &Route, headers: &HeaderMap, body: Incoming) -> Result<(Bytes, Object), Problem> {
    if route.body.is_none() {
        return Ok((Bytes::new(), Object::new()));
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let patch = route.method == "PATCH" && kind == "application/merge-patch+json";
    let body = Limited::new(body, BODY_BYTES).collect();
    let bytes = match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(Problem::new(Sort::TooLarge, "Send 64 KiB at most.")),
        Err(_) => return Err(Problem::new(Sort::Timeout, "Send the body within 15 seconds.")),
    };
    if kind.is_empty() && bytes.is_empty() && !route.body_needed() {
        return Ok((bytes, Object::new()));
    }
    if kind != "application/json" && !patch {
        let detail = match route.method {
            "PATCH" => "Send application/merge-patch+json (RFC 7396) or application/json.",
            _ => "Send application/json.",
        };
        return Err(Problem::new(Sort::MediaType, detail));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok((bytes, object)),
        Ok(_) => Err(Problem::wrong("/", "expected an object")),
        Err(error) => Err(Problem::new(Sort::Malformed, format!("Send JSON: {error}."))),
    }
}

/// The entity tags of `If-Match` (RFC 9110 section 13.1.1); a star is among them as one.
fn read_tags(headers: &HeaderMap) -> Result<Option<Vec<String>>, Problem> {
    let Some(text) = headers.get(IF_MATCH) else { return Ok(None) };
    let tags = text.to_str().ok().and_then(tags);
    let wrong = || Problem::wrong("If-Match", "expected an ETag as it was given, or *");
    tags.map(Some).ok_or_else(wrong)
}

/// A list of entity tags, which may have commas inside; empty elements are passed over (section 5.6.1.2).
fn tags(mut text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let weak = if text.starts_with("W/") { 2 } else { 0 };
        let end = match text.get(weak..)?.strip_prefix('"') {
            Some(inside) => weak + inside.find('"')? + 2,
            None if text.starts_with('*') => 1,
            None => return None,
        };
        let (tag, rest) = text.split_at_checked(end)?;
        let rest = rest.trim_start_matches([' ', '\t']);
        if !tag.bytes().all(|byte| byte.is_ascii_graphic()) || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        found.push(tag.to_owned());
        text = rest;
    }
}

/// Under which name the answer is remembered, if it is to be.
fn replay_key(headers: &HeaderMap, route: &Route, caller: &Caller) -> Result<Option<replay::Key>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY).filter(|_| route.method == "POST") else { return Ok(None) };
    let fits = (1..=KEY_BYTES).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    if !fits {
        let detail = format!("expected 1 to {KEY_BYTES} visible ASCII characters");
        return Err(Problem::wrong("Idempotency-Key", &detail));
    }
    Ok(Some(replay::key(&[&caller.name(), key.as_bytes()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_told_apart_by_their_quotes() {
        for (text, expected) in [
            ("\"a\"", Some(vec!["\"a\""])),
            ("\"a,b\", W/\"c\" ,,", Some(vec!["\"a,b\"", "W/\"c\""])),
            ("*", Some(vec!["*"])),
            ("", Some(Vec::new())),
            ("a", None),
            ("\"a", None),
            ("\"a\"b", None),
            ("\"a b\"", None),
            ("W/", None),
        ] {
            let expected =
                expected.map(|tags: Vec<_>| tags.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(tags(text), expected, "{text}");
        }
    }
}
