//! Groups, rights, pins and live rooms: one actor owns all of it.
//!
//! The actor is a task that owns a [`State`] and turns on what arrives, one thing at a time: closures from REST and
//! from signalling ([`Control::with`]), events from the shards, outcomes of handshakes, and its own timer.
//! `State` itself does no I/O: after each turn the actor hands its changes to the store, its notices to the links,
//! and its commands to the data plane. An answer is given once the store has committed what it rests on.

pub mod directory;
pub mod ids;
pub mod negotiate;
pub mod rights;
pub mod rooms;
pub mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use self::directory::{Change, Directory};
use self::rooms::Rooms;
use crate::router::command::Command;
use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::units::Instant;

/// Requests that wait for the actor; who comes later waits for room.
const WAITING_REQUESTS: usize = 4096;
/// Events that wait for the actor. The shards never wait: what does not fit is dropped, and the rooms learn what
/// matters (the owner of a session) from the session's claim.
const WAITING_EVENTS: usize = 65_536;

/// What the actor owns.
#[derive(Debug)]
pub struct State {
    /// Users, tokens, groups, members, pins: what the store keeps.
    pub directory: Directory,
    /// Who is here, what is published, who watches what: what a restart forgets.
    pub rooms: Rooms,
}

/// The time of one turn of the actor: read once.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic, since the actor began.
    pub instant: Instant,
    /// Time since 1970, for what is kept across restarts.
    pub unix: Duration,
}

/// Why [`Control::with`] has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The actor is gone.
    #[error("the server is stopping")]
    Stopping,
    /// The closure panicked; the log says where.
    #[error("the server failed at this request; its log says why")]
    Failed,
    /// The change was made, but the store could not keep it.
    #[error("the change could not be written to the data folder")]
    NotKept,
}

/// Keeps what changed in the directory.
pub trait Keeper: Send + 'static {
    /// Takes `changes` without blocking and calls `kept` once they are committed (true) or could not be (false).
    fn keep(&self, changes: Vec<Change>, kept: Box<dyn FnOnce(bool) + Send>);
}

/// The shards, as the actor sees them. No call blocks.
pub trait DataPlane: Send + 'static {
    /// To one shard.
    fn send(&self, shard: ShardId, command: Command);
    /// To every shard.
    fn broadcast(&self, make: &dyn Fn() -> Command);
}

/// What the actor is made of.
pub struct Parts {
    /// What it owns.
    pub state: State,
    /// Where changes are kept.
    pub keeper: Box<dyn Keeper>,
    /// The shards.
    pub data_plane: Box<dyn DataPlane>,
}

type Finish = Box<dyn FnOnce(bool) + Send>;
type Work = Box<dyn FnOnce(&mut State, Now) -> Finish + Send>;

enum News {
    Shard(ShardId, Event),
    Handshake(SessionId, Result<(), String>),
}

/// A handle to the actor; clones share it. The actor ends when the last one is gone.
#[derive(Clone)]
pub struct Control {
    requests: mpsc::Sender<Work>,
    news: mpsc::Sender<News>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// A handle, and the actor's inbox for [`Inbox::start`]. Apart, because shards and handshakes need the handle and
    /// the actor needs the shards.
    pub fn new() -> (Self, Inbox) {
        let (requests, request_inbox) = mpsc::channel(WAITING_REQUESTS);
        let (news, news_inbox) = mpsc::channel(WAITING_EVENTS);
        (Self { requests, news }, Inbox { requests: request_inbox, news: news_inbox })
    }

    /// Runs `work` on the actor, and answers after the store committed what it changed.
    pub async fn with<R, F>(&self, work: F) -> Result<R, Unavailable>
    where
        R: Send + 'static,
        F: FnOnce(&mut State, Now) -> R + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |state, now| {
            let result = work(state, now);
            Box::new(move |kept| {
                // Nobody listens any more when the connection of the asker is gone.
                let _ = answer.send(if kept { Ok(result) } else { Err(Unavailable::NotKept) });
            })
        });
        self.requests.send(work).await.map_err(|_| Unavailable::Stopping)?;
        answered.await.unwrap_or(Err(Unavailable::Failed))
    }

    /// News from a shard. Never blocks.
    pub fn shard_event(&self, shard: ShardId, event: Event) {
        self.tell(News::Shard(shard, event));
    }

    /// How the handshake of a session ended, with the reason if it failed. Never blocks.
    pub fn handshake(&self, session: SessionId, outcome: Result<(), String>) {
        self.tell(News::Handshake(session, outcome));
    }

    fn tell(&self, news: News) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.news.try_send(news) {
            warn!("the control plane is behind: an event was dropped");
        }
    }
}

/// What waits for the actor until it starts.
pub struct Inbox {
    requests: mpsc::Receiver<Work>,
    news: mpsc::Receiver<News>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    /// Starts the actor on the current tokio runtime.
    pub fn start(self, parts: Parts) -> JoinHandle<()> {
        tokio::spawn(run(self, parts))
    }
}

async fn run(mut inbox: Inbox, parts: Parts) {
    let Parts { mut state, keeper, data_plane: _data_plane } = parts;
    let epoch = tokio::time::Instant::now();
    loop {
        let timeout = state.rooms.poll_timeout();
        let timer = match timeout {
            Instant::NEVER => None,
            at => epoch.checked_add(Duration::from_micros(at.as_micros())),
        };
        tokio::select! {
            biased;
            news = inbox.news.recv() => {
                let Some(news) = news else { return };
                turn(&mut state, epoch, |state, now| match news {
                    News::Shard(shard, event) => state.rooms.handle_event(now.instant, shard, event),
                    News::Handshake(session, outcome) => state.rooms.handle_handshake(now.instant, session, outcome),
                });
            }
            work = inbox.requests.recv() => {
                let Some(work) = work else { return };
                let finish = turn(&mut state, epoch, work);
                // A panic may have come after a change: memory and store stay alike all the same.
                let changes = state.directory.take_changes();
                match (finish, changes.is_empty()) {
                    (Some(finish), true) => finish(true),
                    (Some(finish), false) => keeper.keep(changes, finish),
                    (None, true) => {}
                    (None, false) => keeper.keep(changes, Box::new(|_| ())),
                }
            }
            () = sleep_until(timer) => {
                turn(&mut state, epoch, |state, now| state.rooms.handle_timeout(now.instant));
            }
        }
    }
}

/// Runs one piece of work; a panic ends the work and nothing else.
fn turn<R>(
    state: &mut State,
    epoch: tokio::time::Instant,
    work: impl FnOnce(&mut State, Now) -> R,
) -> Option<R> {
    let now = Now {
        instant: Instant::from_micros(u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX)),
        unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    };
    catch_unwind(AssertUnwindSafe(|| work(state, now)))
        .inspect_err(|_| error!("a request made the control plane panic; only that request ends"))
        .ok()
}

async fn sleep_until(timer: Option<tokio::time::Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
