//! Answers that are given again: a `POST` with an `Idempotency-Key` is carried out once, however often it is sent.
//!
//! What failed changed nothing, so it is not remembered: it may be sent again, corrected, with the same key.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;

use super::problem::{Problem, Sort};
use crate::http::{Body, body};

/// Keys remembered at once; the oldest goes first.
const KEYS: usize = 10_000;
/// How long one is remembered.
const AGE: Duration = Duration::from_secs(24 * 3600);

/// Caller and key, as a digest.
pub(super) type Key = [u8; 32];

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<Key, Entry>,
    order: VecDeque<Key>,
}

#[derive(Debug)]
struct Entry {
    /// Of the path and the body.
    request: Key,
    since: Instant,
    /// `None` while it is carried out.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// A digest of several texts, which cannot run into each other.
pub(super) fn key(texts: &[&[u8]]) -> Key {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text);
    }
    let mut key = [0; 32];
    key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

impl Replays {
    /// The answer that was given before, or `None`: then [`Replays::end`] must follow.
    pub(super) fn begin(&self, name: Key, request: &[&[u8]]) -> Result<Option<Response<Body>>, Problem> {
        let request = key(request);
        let mut memory = self.lock();
        memory.forget();
        if let Some(entry) = memory.entries.get(&name) {
            if entry.request != request {
                let detail = "This Idempotency-Key was used for another request: take a new one for each.";
                return Err(Problem::new(Sort::Conflict, detail));
            }
            let Some((status, headers, bytes)) = &entry.answer else {
                let detail = "The first request with this Idempotency-Key is still carried out: ask again.";
                return Err(Problem::new(Sort::Conflict, detail));
            };
            let mut response = Response::new(body(bytes.clone()));
            (*response.status_mut(), *response.headers_mut()) = (*status, headers.clone());
            return Ok(Some(response));
        }
        memory.entries.insert(name, Entry { request, since: Instant::now(), answer: None });
        memory.order.push_back(name);
        Ok(None)
    }

    /// Remembers an answer.
    pub(super) async fn end(
        &self,
        name: Key,
        answer: Result<Response<Body>, Problem>,
    ) -> Result<Response<Body>, Problem> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) => {
                let mut memory = self.lock();
                memory.entries.remove(&name);
                memory.order.retain(|known| *known != name);
                return Err(problem);
            }
        };
        let (parts, whole) = answer.into_parts();
        // A body that is there as a whole cannot fail.
        let bytes = whole.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let Parts { status, headers, .. } = &parts;
        if let Some(entry) = self.lock().entries.get_mut(&name) {
            entry.answer = Some((*status, headers.clone(), bytes.clone()));
        }
        Ok(Response::from_parts(parts, body(bytes)))
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Makes room, and forgets what is too old.
    fn forget(&mut self) {
        while let Some(oldest) = self.order.front() {
            let old = self.entries.get(oldest).is_none_or(|entry| entry.since.elapsed() > AGE);
            if !old && self.order.len() < KEYS {
                return;
            }
            self.entries.remove(oldest);
            self.order.pop_front();
        }
    }
}
