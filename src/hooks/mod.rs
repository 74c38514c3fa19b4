//! Webhooks: what happens in groups is told to servers of the operator, signed as Standard Webhooks has it.
//!
//! 1. The control task hands over what happened, and never waits: [`Hooks::tell`].
//! 2. Each endpoint has a line of its own: one that is dead holds up no other.
//! 3. In it each group has a queue: what happened next waits until what happened before is delivered or given up.
//! 4. What is not taken (any answer but 2xx) is sent again, after a second, two, four, at most five minutes, give or
//!    take a quarter, until it is an hour old.

mod post;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, warn};

pub use self::post::{Endpoint, endpoint};
use self::post::{Post, Request};
use crate::base64;
use crate::control::directory::hex;
use crate::control::ids::Gid;
use crate::control::rooms::Happened;
use crate::signal::message::Secret;

/// What waits for one endpoint; what comes beyond is dropped.
const WAITING: usize = 10_000;
/// Requests at once to one endpoint.
const AT_ONCE: usize = 16;
/// How long something is tried to be delivered.
const AGE: Duration = Duration::from_secs(3600);
/// The first pause before it is sent again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The shortest secret.
pub const SECRET_BYTES: usize = 24;

/// Where webhooks go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// What all are signed with: `whsec_` and base 64, or a text of [`SECRET_BYTES`] bytes or more.
    pub secret: Secret,
    /// The certificates to trust (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// The first pause, another one in tests.
    pub first_pause: Option<Duration>,
}

/// The bytes that a secret stands for, if there are enough.
pub fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    let bytes = match secret.strip_prefix("whsec_") {
        Some(coded) => base64::decode(coded)?,
        None => secret.as_bytes().to_vec(),
    };
    (bytes.len() >= SECRET_BYTES).then_some(bytes)
}

/// The way to all endpoints.
#[derive(Debug)]
pub struct Hooks {
    endpoints: Vec<mpsc::Sender<Event>>,
}

/// Something that happened, ready to be sent.
#[derive(Clone, Debug)]
struct Event {
    gid: Gid,
    id: String,
    body: Bytes,
    since: Instant,
}

/// What a line needs to send.
struct Way {
    post: Post,
    key: hmac::Key,
    places: Semaphore,
    first_pause: Duration,
}

impl Hooks {
    /// Starts a line to each endpoint on the current tokio runtime.
    pub fn start(settings: Option<&Settings>) -> Self {
        let Some(settings) = settings else { return Self { endpoints: Vec::new() } };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret_bytes(&settings.secret.0).unwrap_or_default());
        let start = |endpoint: &Endpoint| {
            let (line, events) = mpsc::channel(WAITING);
            let way = Way {
                post: Post::new(endpoint.clone(), settings.ca.clone()),
                key: key.clone(),
                places: Semaphore::new(AT_ONCE),
                first_pause: settings.first_pause.unwrap_or(FIRST_PAUSE),
            };
            tokio::spawn(run(Arc::new(way), events));
            line
        };
        Self { endpoints: settings.endpoints.iter().map(start).collect() }
    }

    /// Tells all endpoints what happened, at this time since 1970. Never waits.
    pub fn tell(&self, unix: Duration, gid: Gid, happened: &Happened) {
        if self.endpoints.is_empty() {
            return;
        }
        let mut id = [0; 16];
        if SystemRandom::new().fill(&mut id).is_err() {
            return;
        }
        let id = format!("msg_{}", hex(&id));
        let (kind, data) = happened.told();
        let ts = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        let body = json!({ "id": id, "type": kind, "ts": ts, "gid": gid, "data": data }).to_string().into();
        let event = Event { gid, id, body, since: Instant::now() };
        for line in &self.endpoints {
            if line.try_send(event.clone()).is_err() {
                debug!(%gid, kind, "webhooks: an endpoint is behind, and something was not told to it");
            }
        }
    }
}

/// One endpoint's line.
async fn run(way: Arc<Way>, mut events: mpsc::Receiver<Event>) {
    let mut groups: HashMap<Gid, VecDeque<Event>> = HashMap::new();
    let mut waiting = 0_usize;
    let mut at_work = JoinSet::new();
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return };
                if waiting >= WAITING {
                    debug!("webhooks: an endpoint is behind, and something was not told to it");
                    continue;
                }
                waiting += 1;
                let queue = groups.entry(event.gid).or_default();
                if queue.is_empty() {
                    at_work.spawn(deliver(Arc::clone(&way), event.clone()));
                }
                queue.push_back(event);
            }
            Some(done) = at_work.join_next() => {
                let Ok(gid) = done else { continue };
                waiting = waiting.saturating_sub(1);
                let Some(queue) = groups.get_mut(&gid) else { continue };
                queue.pop_front();
                match queue.front() {
                    Some(next) => { at_work.spawn(deliver(Arc::clone(&way), next.clone())); }
                    None => { groups.remove(&gid); }
                }
            }
        }
    }
}

/// Sends something until it is taken, or too old.
async fn deliver(way: Arc<Way>, event: Event) -> Gid {
    let mut pause = way.first_pause;
    loop {
        let failed = match way.places.acquire().await {
            Ok(_place) => way.post.send(&way.request(&event)).await.err(),
            Err(_) => None,
        };
        let Some(why) = failed else { return event.gid };
        let wait = about(pause);
        if event.since.elapsed() + wait > AGE {
            let endpoint = way.post.endpoint();
            warn!("webhooks: {endpoint} was not told of something in group {}: {why}", event.gid);
            return event.gid;
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Way {
    /// Signed anew each time: endpoints refuse what was signed long ago.
    fn request(&self, event: &Event) -> Request {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{}.{now}.", event.id).as_bytes());
        context.update(&event.body);
        let signature = base64::encode(context.sign().as_ref());
        Request { id: event.id.clone(), timestamp: now, signature, body: event.body.clone() }
    }
}

/// A quarter more or less, so that many do not come back as one.
fn about(pause: Duration) -> Duration {
    let mut byte = [128];
    // Without a random byte it is the pause itself.
    let _ = SystemRandom::new().fill(&mut byte);
    pause * (384 + u32::from(byte[0])) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_differs_by_a_quarter_at_the_most() {
        for _ in 0..1000 {
            let pause = about(Duration::from_secs(100));
            assert!((75..=125).contains(&pause.as_secs()), "{pause:?}");
        }
    }

    #[test]
    fn a_secret_is_long_enough() {
        assert_eq!(secret_bytes("short"), None);
        assert_eq!(secret_bytes("whsec_YWJj"), None);
        assert_eq!(secret_bytes("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3").map(|bytes| bytes.len()), Some(24));
        assert!(secret_bytes("a text that is long enough for it").is_some());
    }
}
