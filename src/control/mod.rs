//! Groups, rights, pins and live rooms: one actor owns all of it.
//!
//! The actor is a task that owns a [`State`] and turns on what arrives, one thing at a time: closures from REST and
//! from signalling ([`Control::with`]), events from the shards, outcomes of handshakes, and its own timer.
//! `State` itself does no I/O: after each turn the actor hands its changes to the store, its notices to the links,
//! and its commands to the data plane. An answer is given once the store has committed what it rests on.

mod chat;
pub mod directory;
#[cfg(test)]
mod house;
pub mod ids;
pub mod limits;
mod moderate;
pub mod negotiate;
pub mod port;
pub mod posted;
mod recorder;
pub mod requests;
mod rest;
pub mod rights;
pub mod rooms;
mod snapshot;
pub mod store;
pub mod tally;

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{debug, error, warn};

use self::directory::{Change, Directory};
use self::port::Port;
pub use self::rest::Resting;
use self::rooms::{Effect, LinkId, Rooms};
pub use self::snapshot::Taken;
use self::tally::Tally;
use crate::handshake::{Fingerprint, Handshakes};
use crate::hooks::Hooks;
use crate::router::command::Command;
use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::signal::message::write_notice;
use crate::units::Instant;

/// Requests that wait for the actor; who comes later waits for room.
const WAITING_REQUESTS: usize = 4096;
/// Events that wait for the actor. The shards never wait: what does not fit is dropped, and the rooms learn what
/// matters (the owner of a session) from the session's claim.
const WAITING_EVENTS: usize = 65_536;

/// The longest sleep before another look at what is due by the time of day.
const CLOCK_LOOK: Duration = Duration::from_secs(60);

/// Notices that wait for a link's transport. A client that does not keep up with so many loses its transport, and
/// gets everything anew when it resumes.
pub const WAITING_NOTICES: usize = 256;

/// What the actor owns.
#[derive(Debug)]
pub struct State {
    /// Users, tokens, groups, members, pins: what the store keeps.
    pub directory: Directory,
    /// Who is here, what is published, who watches what: what a restart forgets.
    pub rooms: Rooms,
    /// What WHIP and WHEP posted.
    resources: posted::Resources,
    /// Who waits for what flight recorders have.
    recalls: recorder::Recalls,
    /// Whether nobody new is let in.
    draining: bool,
    /// Where notices to a link go: lines, ready to be written. Closed when the link is over.
    ports: HashMap<LinkId, Port>,
}

impl State {
    /// A directory as it was kept, and rooms with nobody in them.
    pub fn new(directory: Directory, rooms: Rooms) -> Self {
        Self {
            directory,
            rooms,
            resources: posted::Resources::default(),
            recalls: recorder::Recalls::default(),
            draining: false,
            ports: HashMap::new(),
        }
    }

    /// Whether nobody new is let in.
    pub const fn draining(&self) -> bool {
        self.draining
    }

    /// Lets nobody new in, or everybody again. Who is here stays, and may resume.
    pub const fn drain(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// From now on notices to `link` go to `port`; whoever had them before sees the end of its own.
    pub fn set_port(&mut self, link: LinkId, port: Port) {
        self.ports.insert(link, port);
    }
}

/// The time of one turn of the actor: read once.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic.
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
    /// Calls `lent` once all that it took is committed, with what it is committed to, if another process may have that.
    fn lend(&self, lent: Box<dyn FnOnce(Option<File>) + Send>) {
        lent(None);
    }
}

/// The shards, as the actor sees them. No call blocks.
pub trait DataPlane: Send + 'static {
    /// To one shard.
    fn send(&self, shard: ShardId, command: Command);
    /// To every shard.
    fn broadcast(&self, make: &dyn Fn() -> Command);
}

/// The handshake workers, as the actor sees them. No call blocks.
pub trait Handshaking: Send + 'static {
    /// A peer with one of these certificates is about to come.
    fn expect(&self, session: SessionId, fingerprints: Vec<Fingerprint>);
    /// It need not come any more.
    fn forget(&self, session: SessionId);
}

impl Handshaking for Handshakes {
    fn expect(&self, session: SessionId, fingerprints: Vec<Fingerprint>) {
        Self::expect(self, session, fingerprints);
    }

    fn forget(&self, session: SessionId) {
        Self::forget(self, session);
    }
}

/// What the actor is made of.
pub struct Parts {
    /// What it owns.
    pub state: State,
    /// Where changes are kept.
    pub keeper: Box<dyn Keeper>,
    /// The shards.
    pub data_plane: Box<dyn DataPlane>,
    /// The handshake workers.
    pub handshakes: Box<dyn Handshaking>,
    /// Who is told what happens in groups.
    pub hooks: Hooks,
    /// What time it is by the clock of the rooms.
    pub now: Instant,
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
    rests: mpsc::Sender<rest::Asked>,
    tally: Arc<Tally>,
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
        let (rests, rest_inbox) = mpsc::channel(1);
        let inbox = Inbox { requests: request_inbox, news: news_inbox, rests: rest_inbox };
        (Self { requests, news, rests, tally: Arc::default() }, inbox)
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
        // The work was dropped: by a panic, or since the actor ended before its turn came.
        let over = || if self.requests.is_closed() { Unavailable::Stopping } else { Unavailable::Failed };
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// What is counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
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
            self.tally.dropped_event();
            warn!("the control plane is behind: an event was dropped");
        }
    }
}

/// What waits for the actor until it starts.
pub struct Inbox {
    requests: mpsc::Receiver<Work>,
    news: mpsc::Receiver<News>,
    rests: mpsc::Receiver<rest::Asked>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    /// Starts the actor on the current tokio runtime.
    pub fn start(self, parts: Parts) -> JoinHandle<()> {
        crate::task::spawn(run(self, parts))
    }
}

struct Actor {
    state: State,
    keeper: Box<dyn Keeper>,
    data_plane: Box<dyn DataPlane>,
    handshakes: Box<dyn Handshaking>,
    hooks: Hooks,
    /// One moment on two clocks.
    epoch: (Instant, tokio::time::Instant),
}

async fn run(mut inbox: Inbox, parts: Parts) {
    let Parts { state, keeper, data_plane, handshakes, hooks, now } = parts;
    let epoch = (now, tokio::time::Instant::now());
    let mut actor = Actor { state, keeper, data_plane, handshakes, hooks, epoch };
    loop {
        let timer = actor.wakes_at();
        tokio::select! {
            biased;
            news = inbox.news.recv() => {
                let Some(news) = news else { return };
                actor.turn(|state, now| match news {
                    News::Shard(shard, event) => state.handle_event(now.instant, shard, event),
                    News::Handshake(session, outcome) => state.rooms.handle_handshake(session, outcome),
                });
            }
            asked = inbox.rests.recv() => {
                let Some(asked) = asked else { return };
                if let Some(media_goes_on) = rest::rest(actor.lend(), actor.state.snapshot(), asked).await {
                    return actor.state.send_on(media_goes_on);
                }
            }
            work = inbox.requests.recv() => {
                let Some(work) = work else { return };
                let finish = actor.turn(work);
                actor.keep(finish);
            }
            () = sleep_until(timer) => {
                actor.turn(|state, now| {
                    state.rooms.handle_timeout(now.instant);
                    state.directory.handle_timeout(now.unix);
                });
                actor.keep(None);
            }
        }
    }
}

impl Actor {
    /// When something is due next.
    fn wakes_at(&self) -> Option<tokio::time::Instant> {
        let rooms = match self.state.rooms.poll_timeout() {
            Instant::NEVER => None,
            at => self.epoch.1.checked_add(at.since(self.epoch.0)),
        };
        let directory = self.state.directory.poll_timeout().and_then(|at| {
            // Clocks are set, so that is looked at again before long.
            let wait = at.saturating_sub(unix_now()).min(CLOCK_LOOK);
            tokio::time::Instant::now().checked_add(wait)
        });
        rooms.into_iter().chain(directory).min()
    }

    /// Runs one piece of work and carries out what follows from it. A panic ends the work and nothing else.
    fn turn<R>(&mut self, work: impl FnOnce(&mut State, Now) -> R) -> Option<R> {
        let now = Now { instant: self.epoch.0 + self.epoch.1.elapsed(), unix: unix_now() };
        let state = &mut self.state;
        let result = catch_unwind(AssertUnwindSafe(|| work(state, now))).ok();
        let settled = catch_unwind(AssertUnwindSafe(|| state.settle(now))).ok();
        if result.is_none() || settled.is_none() {
            error!("a request made the control plane panic; only that request ends");
        }
        for effect in self.state.rooms.take_effects() {
            self.carry_out(now.unix, effect);
        }
        result
    }

    fn carry_out(&mut self, unix: Duration, effect: Effect) {
        match effect {
            Effect::Tell(links, notice) => {
                let line = Bytes::from(write_notice(&notice));
                links.into_iter().for_each(|link| self.say(link, line.clone()));
            }
            Effect::Say(link, line) => self.say(link, line),
            Effect::Close(link) => {
                self.state.ports.remove(&link);
            }
            Effect::Shard(shard, command) => self.data_plane.send(shard, command),
            Effect::Shards(to_all) => self.data_plane.broadcast(&|| to_all.command()),
            Effect::Expect(session, fingerprints) => self.handshakes.expect(session, fingerprints),
            Effect::Forget(session) => self.handshakes.forget(session),
            Effect::Report(gid, happened) => {
                let app = self.state.directory.webhook_of(gid);
                self.hooks.tell(unix, gid, app, &happened);
            }
        }
    }

    fn say(&mut self, link: LinkId, line: Bytes) {
        let Some(port) = self.state.ports.get(&link) else { return };
        if !port.say(line) {
            debug!(link = link.index, "a client does not keep up, or is gone");
            self.state.ports.remove(&link);
        }
    }

    /// Gives the answer once what changed is kept. A panic may have come after a change: memory and store stay alike
    /// all the same.
    fn keep(&mut self, finish: Option<Finish>) {
        let changes = self.state.directory.take_changes();
        match (finish, changes.is_empty()) {
            (Some(finish), true) => finish(true),
            (Some(finish), false) => self.keeper.keep(changes, finish),
            (None, true) => {}
            (None, false) => self.keeper.keep(changes, Box::new(|_| ())),
        }
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn sleep_until(timer: Option<tokio::time::Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
