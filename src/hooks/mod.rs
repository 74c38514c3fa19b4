//! Webhooks: what happens in groups is told to servers of the operator, and to the app's whose group it is, signed as
//! Standard Webhooks has it.
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, warn};

pub(crate) use self::post::status;
pub use self::post::{Endpoint, endpoint};
use self::post::{Post, Request};
use crate::base64;
use crate::control::directory::{Webhook, hex};
use crate::control::ids::Gid;
use crate::control::rooms::Happened;
use crate::signal::message::Secret;

/// What waits for one endpoint of the operator, or of an app; what comes beyond is dropped.
const WAITING: usize = 10_000;
const WAITING_OF_APP: usize = 1_000;
/// What waits for the endpoints of all apps together.
const WAITING_OF_APPS: usize = 100_000;
/// Requests at once to one endpoint.
const AT_ONCE: usize = 16;
/// How long something is tried to be delivered.
const AGE: Duration = Duration::from_secs(3600);
/// The first pause before it is sent again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The shortest secret.
pub const SECRET_BYTES: usize = 24;

/// Where webhooks go, but for those of apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The endpoints of the operator.
    pub endpoints: Vec<Endpoint>,
    /// What is signed with that goes there: `whsec_` and base 64, or a text of [`SECRET_BYTES`] bytes or more.
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
    settings: Settings,
    endpoints: Vec<mpsc::Sender<Event>>,
    /// The lines of apps, made when there is something to tell.
    apps: HashMap<String, AppLine>,
    /// Room for what waits in the lines of apps.
    room: Arc<Semaphore>,
    /// The apps of the groups with somebody in them: a group that is deleted is over only after that.
    live: HashMap<Gid, String>,
}

#[derive(Debug)]
struct AppLine {
    webhook: Webhook,
    line: mpsc::Sender<Event>,
}

/// Something that happened, ready to be sent.
#[derive(Clone, Debug)]
struct Event {
    gid: Gid,
    id: String,
    body: Bytes,
    since: Instant,
    /// What it takes of the room that apps share.
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

/// What a line needs to send.
struct Way {
    post: Post,
    key: hmac::Key,
    places: Semaphore,
    first_pause: Duration,
    /// What waits for it at most.
    waiting: usize,
}

impl Hooks {
    /// Starts a line to each endpoint of the operator on the current tokio runtime.
    pub fn start(settings: Option<&Settings>) -> Self {
        let settings = settings.cloned().unwrap_or_default();
        let start = |endpoint: &Endpoint| settings.line(endpoint.clone(), &settings.secret, WAITING);
        Self {
            endpoints: settings.endpoints.iter().map(start).collect(),
            apps: HashMap::new(),
            room: Arc::new(Semaphore::new(WAITING_OF_APPS)),
            live: HashMap::new(),
            settings,
        }
    }

    /// Tells all endpoints what happened in a group, at this time since 1970; `app` is the group's, unless the group is
    /// gone, and where it is told. Never waits.
    pub fn tell(
        &mut self,
        unix: Duration,
        gid: Gid,
        app: Option<(&str, Option<&Webhook>)>,
        happened: &Happened,
    ) {
        let to_app = self.app_line(gid, app, happened);
        if self.endpoints.is_empty() && to_app.is_none() {
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
        let event = Event { gid, id, body, since: Instant::now(), _place: None };
        for line in &self.endpoints {
            if line.try_send(event.clone()).is_err() {
                debug!(%gid, kind, "webhooks: an endpoint is behind, and something was not told to it");
            }
        }
        let Some(line) = to_app else { return };
        let place = Arc::clone(&self.room).try_acquire_owned().ok().map(Arc::new);
        if place.is_none() || line.try_send(Event { _place: place, ..event }).is_err() {
            debug!(%gid, kind, "webhooks: an app's endpoint is behind, and something was not told to it");
        }
    }

    /// The line of a group's app, if it has one. Where the app is told something else now, what waited is dropped.
    fn app_line(
        &mut self,
        gid: Gid,
        app: Option<(&str, Option<&Webhook>)>,
        happened: &Happened,
    ) -> Option<mpsc::Sender<Event>> {
        let ends = matches!(happened, Happened::End);
        let Some((appid, webhook)) = app else {
            let appid = if ends { self.live.remove(&gid) } else { self.live.get(&gid).cloned() };
            return Some(self.apps.get(&appid?)?.line.clone());
        };
        let Some(webhook) = webhook else {
            self.apps.remove(appid);
            self.live.remove(&gid);
            return None;
        };
        if ends {
            self.live.remove(&gid);
        } else if matches!(happened, Happened::Join(_)) && !self.live.contains_key(&gid) {
            self.live.insert(gid, appid.to_owned());
        }
        if self.apps.get(appid).is_none_or(|before| before.webhook != *webhook) {
            let line = self.settings.line(endpoint(&webhook.url.0)?, &webhook.secret, WAITING_OF_APP);
            self.apps.insert(appid.to_owned(), AppLine { webhook: webhook.clone(), line });
        }
        Some(self.apps.get(appid)?.line.clone())
    }
}

impl Settings {
    /// A line to an endpoint.
    fn line(&self, endpoint: Endpoint, secret: &Secret, waiting: usize) -> mpsc::Sender<Event> {
        let (line, events) = mpsc::channel(waiting);
        let way = Way {
            post: Post::new(endpoint, self.ca.clone()),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret_bytes(&secret.0).unwrap_or_default()),
            places: Semaphore::new(AT_ONCE),
            first_pause: self.first_pause.unwrap_or(FIRST_PAUSE),
            waiting,
        };
        crate::task::spawn(run(Arc::new(way), events));
        line
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
                if waiting >= way.waiting {
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
