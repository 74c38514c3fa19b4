//! Problem details (RFC 9457): what went wrong, for programs and for people.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde_json::json;

use super::shape::Wrong;
use crate::control::Unavailable;
use crate::control::directory::Failure;
use crate::http::{Body, body};
use crate::signal::message::Refusal;

/// Which problem: its slug is the last part of the `type`, and a heading of docs/rest-v1.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Malformed,
    Unauthorized,
    Forbidden,
    NotFound,
    NotAllowed,
    Timeout,
    Conflict,
    Full,
    Changed,
    TooLarge,
    MediaType,
    Invalid,
    TooMany,
    Unavailable,
}

impl Sort {
    pub(super) const ALL: [Self; 14] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::NotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::Full,
        Self::Changed,
        Self::TooLarge,
        Self::MediaType,
        Self::Invalid,
        Self::TooMany,
        Self::Unavailable,
    ];

    /// Status, slug and title.
    pub(super) const fn told(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed => (400, "malformed", "The request cannot be read"),
            Self::Unauthorized => (401, "unauthorized", "Credentials are missing or wrong"),
            Self::Forbidden => (403, "forbidden", "These credentials do not permit it"),
            Self::NotFound => (404, "not-found", "There is nothing here"),
            Self::NotAllowed => (405, "method-not-allowed", "This method does nothing here"),
            Self::Timeout => (408, "timeout", "The request did not arrive in time"),
            Self::Conflict => (409, "conflict", "It does not fit what is there"),
            Self::Full => (409, "full", "There are as many as there may be"),
            Self::Changed => (412, "changed", "It was changed in the meantime"),
            Self::TooLarge => (413, "too-large", "The body is too large"),
            Self::MediaType => (415, "media-type", "The body is of the wrong type"),
            Self::Invalid => (422, "invalid", "Some values are not as they should be"),
            Self::TooMany => (429, "too-many-requests", "Too many requests"),
            Self::Unavailable => (503, "unavailable", "The server cannot do this now"),
        }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) sort: Sort,
    /// What to do about it.
    pub(super) detail: String,
    /// What is wrong, value by value.
    pub(super) errors: Vec<Wrong>,
    /// The methods that do something here.
    pub(super) allow: Option<String>,
    /// Seconds after which it may be asked again.
    pub(super) retry_after: Option<u32>,
}

impl Problem {
    pub(super) fn new(sort: Sort, detail: impl Into<String>) -> Self {
        Self { sort, detail: detail.into(), errors: Vec::new(), allow: None, retry_after: None }
    }

    /// Nothing of this name, or nothing that the caller may know of.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(Sort::NotFound, format!("There is no such {what}, or you may not see it."))
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(Sort::Forbidden, detail)
    }

    pub(super) fn invalid(errors: Vec<Wrong>) -> Self {
        let detail = "Correct what `errors` names, and send it again.";
        Self { errors, ..Self::new(Sort::Invalid, detail) }
    }

    /// One value that only the state can tell to be wrong.
    pub(super) fn wrong(at: &str, detail: &str) -> Self {
        Self::invalid(vec![Wrong { at: at.to_owned(), detail: detail.to_owned() }])
    }

    pub(super) fn answer(self) -> Response<Body> {
        let (status, slug, title) = self.sort.told();
        let errors: Vec<_> = self
            .errors
            .iter()
            .map(|wrong| {
                let place = if wrong.at.starts_with('/') { "pointer" } else { "parameter" };
                json!({ place: wrong.at, "detail": wrong.detail })
            })
            .collect();
        let mut told = json!({
            "type": format!("/docs/rest-v1.md#{slug}"),
            "title": title,
            "status": status,
            "detail": self.detail,
        });
        if let Some(told) = told.as_object_mut().filter(|_| !errors.is_empty()) {
            told.insert("errors".to_owned(), errors.into());
        }
        let mut response = Response::new(body(told.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.sort == Sort::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\""));
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        let sentence: String = first.chain(letters).chain(['.']).collect();
        let sort = match failure {
            Failure::BadGroup => return Self::not_found("group"),
            Failure::AuthFail => Sort::Unauthorized,
            Failure::NotAllowed => Sort::Forbidden,
            Failure::RateLimit => Sort::TooMany,
            Failure::TooMany => Sort::Full,
            Failure::BadUser => return Self::not_found("user"),
            _ => Sort::Conflict,
        };
        let retry_after = (sort == Sort::TooMany).then_some(60);
        Self { retry_after, ..Self::new(sort, sentence) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let sort = match refusal.error.as_str() {
            "NOTALLOWED" => Sort::Forbidden,
            "BADGROUP" | "NOSTREAM" | "NORECEIVER" => Sort::NotFound,
            "RATELIMIT" => Sort::TooMany,
            "BUSY" => Sort::Unavailable,
            "TOOMANY" => Sort::Full,
            "TOOLONG" | "BADARG" => Sort::Invalid,
            _ => Sort::Conflict,
        };
        let retry_after = matches!(sort, Sort::TooMany | Sort::Unavailable).then_some(1);
        Self { retry_after, ..Self::new(sort, refusal.text) }
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        tracing::warn!("REST: {unavailable}");
        let detail = format!("It failed because {unavailable}; ask again later.");
        Self { retry_after: Some(1), ..Self::new(Sort::Unavailable, detail) }
    }
}
