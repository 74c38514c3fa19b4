//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an offer is posted, its answer comes back, and what `Location` names
//! is patched (ICE) and deleted.
//!
//! | path | what it is |
//! | --- | --- |
//! | `/whip/GID` | where one publishes; `?sid=` says as which stream, `?name=` how it is called |
//! | `/whep/GID`, `/whep/GID/UID`, `/whep/GID/UID/SID` | where one watches: anybody, somebody, one stream |
//! | `/whip/session/ID`, `/whep/session/ID` | what was made by posting there |
//! | `/whep/session/ID/layer` | where a player picks a layer |
//! | `/whep/session/ID/sse`, `/whep/session/ID/sse/N` | where a player is told what it sees |
//!
//! Who watches where nobody publishes yet is answered, and sees who comes: players that are refused do not ask again.

mod events;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ALLOW, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Body, Content, body};
use crate::control::ids::{Gid, Sid, Uid};
use crate::control::posted::{Aim, IfMatch, Kinds, Made, Patched, Post};
use crate::control::rooms::{Follow, Pick};
use crate::control::{Control, State, Unavailable};
use crate::signal::message::{Refusal, Secret};
use crate::units::PictureSize;

const OFFER: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const JSON: &str = "application/json";
const EXTENSION: &str = "urn:ietf:params:whep:ext:core";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Longest offer or fragment.
const BODY_BYTES: usize = 64 * 1024;
/// How long a client may take to send it.
const BODY_TIME: Duration = Duration::from_secs(15);

/// Why something was not done.
struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// As problem details (RFC 9457).
    fn answer(self) -> Response<Body> {
        let title = self.status.canonical_reason().unwrap_or_default();
        let told = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = empty(self.status);
        *response.body_mut() = body(told.to_string());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\""));
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(ACCEPT_POST, HeaderValue::from_static(OFFER));
                headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.error.as_str() {
            "BADSDP" => StatusCode::BAD_REQUEST,
            "AUTHFAIL" => StatusCode::UNAUTHORIZED,
            "NOTALLOWED" | "EXPIRED" => StatusCode::FORBIDDEN,
            "BADGROUP" | "NOSESSION" => StatusCode::NOT_FOUND,
            "STALE" => StatusCode::PRECONDITION_FAILED,
            "UNPROCESSABLE" => StatusCode::UNPROCESSABLE_ENTITY,
            "NOCONDITION" => StatusCode::PRECONDITION_REQUIRED,
            "RATELIMIT" => StatusCode::TOO_MANY_REQUESTS,
            "BUSY" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        let retry_after = match (status, refusal.retry_ms) {
            (_, Some(ms)) => Some(ms.div_ceil(1000)),
            (StatusCode::TOO_MANY_REQUESTS, None) => Some(60),
            _ => None,
        };
        Self { status, detail: refusal.text, retry_after }
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        tracing::warn!("WHIP: {unavailable}");
        let detail = format!("It failed because {unavailable}; ask again later.");
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }
}

/// What is at a path.
enum Place<'a> {
    Publish(Gid),
    Watch(Follow),
    Session(&'a str),
    Layer(&'a str),
    Events(&'a str),
    Stream(&'a str, u32),
}

impl<'a> Place<'a> {
    fn find(path: &'a str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let publishes = match parts.next()? {
            "whip" => true,
            "whep" => false,
            _ => return None,
        };
        let parts: Vec<_> = parts.collect();
        Some(match (publishes, parts.as_slice()) {
            (_, ["session", id]) => Self::Session(id),
            (false, ["session", id, "layer"]) => Self::Layer(id),
            (false, ["session", id, "sse"]) => Self::Events(id),
            (false, ["session", id, "sse", number]) => Self::Stream(id, number.parse().ok()?),
            (true, [gid]) => Self::Publish(Gid(gid.parse().ok()?)),
            (false, [gid, stream @ ..]) if stream.len() <= 2 => {
                let uid = stream.first().map(|uid| uid.parse().map(Uid)).transpose().ok()?;
                let sid = stream.get(1).map(|sid| sid.parse().map(Sid)).transpose().ok()?;
                Self::Watch(Follow { gid: Gid(gid.parse().ok()?), uid, sid })
            }
            _ => return None,
        })
    }

    const fn methods(&self) -> &'static str {
        match self {
            Self::Publish(_) | Self::Watch(_) | Self::Layer(_) => "POST, OPTIONS",
            Self::Session(_) => "PATCH, DELETE, OPTIONS",
            Self::Events(_) => "GET, POST, OPTIONS",
            Self::Stream(..) => "GET, DELETE, OPTIONS",
        }
    }
}

/// Answers one request.
pub(super) async fn answer(control: &Control, from: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some(place) = Place::find(&path) else {
        let detail = "There is /whip/GID, /whep/GID, /whep/GID/UID and /whep/GID/UID/SID.";
        return Problem::new(StatusCode::NOT_FOUND, detail).answer();
    };
    let answered = match (&place, request.method()) {
        (_, &Method::OPTIONS) => Ok(options(&place)),
        (Place::Publish(gid), &Method::POST) => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            match stream_of(&query) {
                Ok(sid) => post(control, from, request, "whip", *gid, Aim::Publish(sid)).await,
                Err(problem) => Err(problem),
            }
        }
        (Place::Watch(follow), &Method::POST) => {
            post(control, from, request, "whep", follow.gid, Aim::Watch(*follow)).await
        }
        (Place::Session(id), &Method::PATCH) => patch(control, id, request).await,
        (Place::Session(id), &Method::DELETE) => delete(control, id, request.headers()).await,
        (Place::Layer(id), &Method::POST) => pick(control, id, request).await,
        (Place::Events(id), &Method::POST) => listen(control, id, request).await,
        (Place::Events(id), &Method::GET) => events(control, id, None).await,
        (Place::Stream(id, number), &Method::GET) => events(control, id, Some(*number)).await,
        (Place::Stream(id, number), &Method::DELETE) => {
            unlisten(control, id, *number, request.headers()).await
        }
        _ => Ok(not_allowed(&place)),
    };
    answered.unwrap_or_else(Problem::answer)
}

async fn post(
    control: &Control,
    from: IpAddr,
    request: Request<Incoming>,
    kind: &str,
    gid: Gid,
    aim: Aim,
) -> Result<Response<Body>, Problem> {
    let bearer = bearer(request.headers()).map(|token| Secret(token.to_owned()));
    let bearer = bearer.ok_or_else(|| {
        let detail = "Send a token, or a pin of the group, as Authorization: Bearer ...";
        Problem::new(StatusCode::UNAUTHORIZED, detail)
    })?;
    let name = parameter(request.uri().query().unwrap_or_default(), "name");
    let sdp = read(request, OFFER).await?;
    let post = Post { gid, bearer, name, aim, sdp };
    let made = control.with(move |state, now| state.post(now, from, &post)).await??;
    Ok(created(kind, made))
}

fn created(kind: &str, made: Made) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    *response.body_mut() = body(made.sdp);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(OFFER));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    let at = format!("/{kind}/session/{}", made.id.0);
    if kind == "whep" {
        let links = [
            format!("<{at}/layer>; rel=\"{EXTENSION}:layer\""),
            format!("<{at}/sse>; rel=\"{EXTENSION}:server-sent-events\"; events=\"{}\"", events::names()),
        ];
        links.into_iter().flat_map(HeaderValue::try_from).for_each(|link| _ = headers.append(LINK, link));
    }
    locate(headers, at);
    tag(headers, &made.tag);
    response
}

async fn patch(control: &Control, id: &str, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    let bearer = bearer(request.headers()).map(str::to_owned);
    let condition = condition(request.headers());
    let fragment = read(request, FRAGMENT).await?;
    let id = id.to_owned();
    let patched =
        control.with(move |state, _| state.patch(&id, bearer.as_deref(), &condition, &fragment)).await??;
    Ok(match patched {
        Patched::Trickled => empty(StatusCode::NO_CONTENT),
        Patched::Restarted { tag: new, fragment } => {
            let mut response = empty(StatusCode::OK);
            *response.body_mut() = body(fragment);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            tag(response.headers_mut(), &new);
            response
        }
    })
}

async fn delete(control: &Control, id: &str, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
    let (id, bearer) = (id.to_owned(), bearer(headers).map(str::to_owned));
    control.with(move |state, now| state.unpost(now, &id, bearer.as_deref())).await??;
    Ok(empty(StatusCode::OK))
}

/// Picks what a player is sent of the picture.
async fn pick(control: &Control, id: &str, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    let (id, bearer) = (id.to_owned(), bearer(request.headers()).map(str::to_owned));
    let asked: Value = json_of(&read(request, JSON).await?)?;
    let text = |name: &str| asked.get(name).and_then(Value::as_str).map(str::to_owned);
    let pixels = |name: &str| {
        let pixels = asked.get(name)?.as_u64()?;
        Some(u16::try_from(pixels).unwrap_or(u16::MAX))
    };
    let by_number = ["spatialLayerId", "temporalLayerId", "maxSpatialLayerId", "maxTemporalLayerId"];
    if by_number.iter().any(|name| asked.get(name).is_some_and(|value| !value.is_null())) {
        let detail = "Layers within an encoding are picked by size, with maxWidth and maxHeight.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let most = match (pixels("maxWidth"), pixels("maxHeight")) {
        (None, None) => None,
        // A picture that lies is no higher than it is wide, ...
        (Some(width), None) => Some(PictureSize::new(width, width)),
        // ... and may be as wide as it likes.
        (None, Some(height)) => Some(PictureSize::new(u16::MAX, height)),
        (Some(width), Some(height)) => Some(PictureSize::new(width, height)),
    };
    // Its name in the draft since its third version.
    let encoding = text("encodingId").or_else(|| text("rid"));
    let (media, pick) = (text("mediaId"), Pick { encoding, most });
    let picked =
        move |state: &mut State, now| state.pick(now, &id, bearer.as_deref(), media.as_deref(), &pick);
    control.with(picked).await??;
    Ok(empty(StatusCode::OK))
}

/// Makes a stream of the events that a player names, or of all.
async fn listen(control: &Control, id: &str, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    let (session, bearer) = (id.to_owned(), bearer(request.headers()).map(str::to_owned));
    let kinds = match request.headers().contains_key(CONTENT_TYPE) {
        true => {
            let asked = json_of(&read(request, JSON).await?)?;
            let names = asked.as_array().into_iter().flatten().filter_map(Value::as_str);
            Kinds::among(&names.map(str::to_owned).collect::<Vec<_>>())
        }
        false => Kinds::ALL,
    };
    let made = control.with(move |state, _| state.listen(&session, bearer.as_deref(), kinds)).await??;
    let mut response = empty(StatusCode::CREATED);
    locate(response.headers_mut(), format!("/whep/session/{id}/sse/{made}"));
    Ok(response)
}

async fn events(control: &Control, id: &str, stream: Option<u32>) -> Result<Response<Body>, Problem> {
    let (id, session) = (id.to_owned(), id.to_owned());
    let first = control.with(move |state, now| state.look(now, &session, stream)).await??;
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Content::Events(events::tell(control, id, stream, first));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

async fn unlisten(
    control: &Control,
    id: &str,
    number: u32,
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let (id, bearer) = (id.to_owned(), bearer(headers).map(str::to_owned));
    control.with(move |state, _| state.unlisten(&id, bearer.as_deref(), number)).await??;
    Ok(empty(StatusCode::OK))
}

/// What may be done here, for browsers and for others (RFC 9725 section 4.2).
fn options(place: &Place<'_>) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(place.methods()));
    match place {
        Place::Publish(_) | Place::Watch(_) => headers.insert(ACCEPT_POST, HeaderValue::from_static(OFFER)),
        Place::Session(_) => headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT)),
        Place::Layer(_) | Place::Events(_) => headers.insert(ACCEPT_POST, HeaderValue::from_static(JSON)),
        Place::Stream(..) => None,
    };
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(place.methods()));
    let fields = HeaderValue::from_static("authorization, content-type, if-match");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields);
    response
}

fn not_allowed(place: &Place<'_>) -> Response<Body> {
    let detail = format!("Here one may {}.", place.methods());
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).answer();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(place.methods()));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn locate(headers: &mut HeaderMap, at: String) {
    HeaderValue::try_from(at).into_iter().for_each(|at| _ = headers.insert(LOCATION, at));
}

fn tag(headers: &mut HeaderMap, tag: &str) {
    HeaderValue::try_from(format!("\"{tag}\"")).into_iter().for_each(|tag| _ = headers.insert(ETAG, tag));
}

/// The body of a request, which is to be of this type.
async fn read(request: Request<Incoming>, wanted: &str) -> Result<String, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Send {wanted}.")));
    }
    let body = Limited::new(request.into_body(), BODY_BYTES).collect();
    let bytes = match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Send 64 KiB at most.")),
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "Send the body within 15 seconds.")),
    };
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, format!("Send {wanted} in UTF-8.")))
}

fn json_of(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "This is no JSON."))
}

/// The token of RFC 6750 section 2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn condition(headers: &HeaderMap) -> IfMatch {
    let mut tags = Vec::new();
    let mut said = false;
    for value in headers.get_all(IF_MATCH).iter().filter_map(|value| value.to_str().ok()) {
        said = true;
        for tag in value.split(',').map(str::trim) {
            if tag == "*" {
                return IfMatch::Any;
            }
            // Weak tags never match here (RFC 9110 section 8.8.3.2).
            tags.extend(tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).map(str::to_owned));
        }
    }
    if said { IfMatch::Tags(tags) } else { IfMatch::Absent }
}

fn stream_of(query: &str) -> Result<Option<Sid>, Problem> {
    let sid = parameter(query, "sid").map(|sid| sid.parse().map(Sid)).transpose();
    sid.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "A sid is a number from 0 to 255."))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}
