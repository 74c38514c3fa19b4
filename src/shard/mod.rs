//! One core's thread: datagrams in, router, datagrams out.
//!
//! [`Shards`] is the handle that the control plane holds; it exists before the threads do, because what the threads
//! tell goes to others who need the handle. [`Seats::start`] brings the threads up.

mod batching;
mod core;
mod door;
mod latency;
mod mailbox;
mod turn;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{debug, error, info};

pub use self::core::Core;
use self::door::Door;
pub use self::latency::{BOUNDS_US, Latency};
use self::mailbox::{Inbox, Outbox};
use self::turn::Turner;
use crate::batch::Path;
use crate::net::{self, Choice, Driver, Sockets, Stream, Waker};
use crate::router::command::{Command, SessionParams};
use crate::router::counters::{Counters, Gauges};
use crate::router::event::Event;
use crate::router::id::ShardId;
use crate::router::{Router, RouterConfig, Snapshot};
use crate::units::{Duration, Instant};

/// A shard that has not come round for this long is stuck: an idle one comes round every second.
const STUCK: Duration = Duration::from_secs(3);
/// The most shards there may be: [`ShardId`] is one byte.
const MOST: usize = 255;

/// For how many reasons something is dropped.
pub const REASONS: usize = 20;

/// What the threads run with.
#[derive(Debug)]
pub struct ShardConfig {
    /// A set of sockets for each shard.
    pub sockets: Sockets,
    /// Which driver.
    pub io: Choice,
    /// Whether each thread stays on a core of its own.
    pub pin: bool,
}

/// A session that another process left.
pub type Left = (Arc<SessionParams>, Snapshot);

/// Takes one QUIC datagram.
pub type QuicSink = Box<dyn FnMut(Path, &[u8]) + Send>;

/// Where a shard's news goes. Both are called on the shard's thread: they must neither block nor take long.
pub struct Sinks {
    /// News for the control plane and the handshake workers.
    pub event: Box<dyn FnMut(Event) + Send>,
    /// QUIC datagrams, for the endpoint.
    pub quic: QuicSink,
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sinks")
    }
}

/// What one shard has done since it began, at most a second ago.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardStats {
    /// When it was so.
    pub at: Instant,
    /// Its driver.
    pub net: net::Counters,
    /// Its router.
    pub router: Counters,
    /// What its router has now.
    pub gauges: Gauges,
    /// From the arrival of datagrams until what they caused was sent.
    pub latency: Latency,
    /// Times round the loop.
    pub turns: u64,
    /// Processor time of its thread.
    pub processor_time: Duration,
    /// QUIC datagrams handed to the endpoint.
    pub quic: u64,
    /// Commands carried out.
    pub commands: u64,
    /// Messages to other shards that were dropped because those did not keep up.
    pub peer_overflow: u64,
    /// Panics; each ended the session concerned and nothing else.
    pub panics: u64,
}

impl ShardStats {
    /// Datagrams and packets that were dropped, by reason.
    pub const fn drops(&self) -> [(&'static str, u64); REASONS] {
        let (router, net) = (&self.router.drops, &self.net);
        [
            ("malformed", router.malformed),
            ("stranger", router.stranger),
            ("unknown_ufrag", router.unknown_ufrag),
            ("wrong_password", router.wrong_password),
            ("no_keys", router.no_keys),
            ("auth", router.auth),
            ("replay", router.replay),
            ("unknown_source", router.unknown_source),
            ("muted", router.muted),
            ("limited", router.limited),
            ("late", router.late),
            ("unfit", router.unfit),
            ("not_resent", router.not_resent),
            ("behind", router.behind),
            ("excess", router.excess),
            ("overflow", router.overflow),
            ("socket_full", net.full),
            ("socket_refused", net.failed),
            ("receive_error", net.receive_errors),
            ("peer_overflow", self.peer_overflow),
        ]
    }
}

/// What a shard's thread shows to others.
#[derive(Debug, Default)]
struct Shown {
    /// When it last came round, in microseconds; 0 before it started.
    heartbeat: AtomicU64,
    stop: AtomicBool,
    stats: Mutex<ShardStats>,
    /// What it left when it ended.
    left: Mutex<Vec<Snapshot>>,
}

impl Shown {
    /// The shard's side: it never waits for a reader.
    fn publish(&self, stats: ShardStats) {
        if let Ok(mut shown) = self.stats.try_lock() {
            *shown = stats;
        }
    }
}

/// The way to the shards; clones share it.
#[derive(Clone, Debug)]
pub struct Shards(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shards: Vec<Reach>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Reach {
    outbox: Outbox,
    waker: Waker,
    door: Door,
    shown: Arc<Shown>,
}

/// Places for the threads of [`Shards`] that have not started yet.
#[derive(Debug)]
pub struct Seats {
    shards: Shards,
    inboxes: Vec<Inbox>,
}

impl Shards {
    /// Handles for `count` shards, and the places for their threads. Commands sent before [`Seats::start`] wait.
    pub fn new(count: usize) -> io::Result<(Self, Seats)> {
        let mut shards = Vec::with_capacity(count);
        let mut inboxes = Vec::with_capacity(count);
        for _ in 0..count.clamp(1, MOST) {
            let (outbox, inbox) = mailbox::pair();
            let door = Door::default();
            shards.push(Reach { outbox, waker: Waker::new()?, door, shown: Arc::default() });
            inboxes.push(inbox);
        }
        let shards = Self(Arc::new(Inner { shards, threads: Mutex::default() }));
        let seats = Seats { shards: shards.clone(), inboxes };
        Ok((shards, seats))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.shards.len()
    }

    /// Hands `command` to one shard. Never waits for it.
    pub fn send(&self, shard: ShardId, command: Command) {
        let Some(reach) = self.0.shards.get(usize::from(shard.0)) else { return };
        // One that was told to end is not blamed for it: handshakes may still be under way.
        if !reach.outbox.post(command) && !reach.shown.stop.load(Ordering::Relaxed) {
            error!(shard = shard.0, "the shard does not take commands any more: one was dropped");
        }
        reach.waker.wake();
    }

    /// Hands a TCP connection to a shard: any will do, it goes on to the one that has its session.
    pub fn carry(&self, stream: Stream) {
        let shard = usize::from(stream.path().remote.port()) % self.count();
        if let Some(reach) = self.0.shards.get(shard) {
            reach.door.put(stream);
            reach.waker.wake();
        }
    }

    /// Hands what `make` makes to every shard.
    pub fn broadcast(&self, make: impl Fn() -> Command) {
        for shard in 0..self.count() {
            self.send(ShardId(shard as u8), make());
        }
    }

    /// What each shard has done.
    pub fn stats(&self) -> Vec<ShardStats> {
        let stats = |reach: &Reach| *lock(&reach.shown.stats);
        self.0.shards.iter().map(stats).collect()
    }

    /// Whether every shard has come round lately: the server is healthy.
    pub fn turning(&self) -> bool {
        let now = net::now();
        self.heartbeats().all(|last| last != Instant::ZERO && now.since(last) < STUCK)
    }

    /// Wakes every shard.
    pub fn wake(&self) {
        self.0.shards.iter().for_each(|reach| reach.waker.wake());
    }

    /// When each came round last; zero before it ever did.
    pub fn heartbeats(&self) -> impl Iterator<Item = Instant> {
        self.0.shards.iter().map(|reach| Instant::from_micros(reach.shown.heartbeat.load(Ordering::Relaxed)))
    }

    /// The sessions that were left by threads that ended.
    pub fn take_snapshots(&self) -> Vec<Snapshot> {
        self.0.shards.iter().flat_map(|reach| std::mem::take(&mut *lock(&reach.shown.left))).collect()
    }

    /// Ends the threads after what they have in hand, and waits for them.
    pub fn stop(&self) {
        for reach in &self.0.shards {
            reach.shown.stop.store(true, Ordering::Release);
            reach.waker.wake();
        }
        for thread in std::mem::take(&mut *lock(&self.0.threads)) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Seats {
    /// Starts the threads, each with a router and the sinks that `sinks` makes for it. Returns when all of them turn,
    /// or with the error of the first that cannot. `seed` is of whatever must not be guessed from outside; `left` are the
    /// sessions of a process before.
    pub fn start(
        self,
        config: ShardConfig,
        seed: u64,
        left: &[Left],
        sinks: impl FnMut(ShardId) -> Sinks,
    ) -> io::Result<()> {
        let shards = self.shards.count() as u8;
        // Each shard has a seed of its own, all of them from the one (the multiplier is that of SplitMix64).
        let seed = |id: ShardId| seed ^ u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (now, unix) = (net::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let router = |shard| {
            let mut router = Router::new(RouterConfig { shard, shards, seed: seed(shard) });
            router.set_time(now, unix);
            left.iter().for_each(|(params, snapshot)| router.restore(now, Arc::clone(params), snapshot));
            router
        };
        self.start_with(config, router, sinks)
    }

    /// Starts the threads, each with a core that `make` makes and the sinks that `sinks` makes for it.
    /// See [`Seats::start`].
    pub fn start_with<C: Core>(
        self,
        config: ShardConfig,
        mut make: impl FnMut(ShardId) -> C,
        mut sinks: impl FnMut(ShardId) -> Sinks,
    ) -> io::Result<()> {
        let count = self.shards.count();
        let sockets = config.sockets.into_shards();
        if sockets.len() != count {
            return Err(io::Error::other("the sockets are for another number of shards"));
        }
        let wakers: Vec<_> = self.shards.0.shards.iter().map(|reach| reach.waker.clone()).collect();
        let doors: Vec<_> = self.shards.0.shards.iter().map(|reach| reach.door.clone()).collect();
        let links = turn::links::<C::Peer>(&wakers, &doors);
        let (ready, readiness) = mpsc::channel();
        for (nth, ((sockets, inbox), links)) in sockets.into_iter().zip(self.inboxes).zip(links).enumerate() {
            let id = ShardId(nth as u8);
            let (Some(waker), Some(reach)) = (wakers.get(nth).cloned(), self.shards.0.shards.get(nth)) else {
                continue;
            };
            let (core, sinks, shown, door) = (make(id), sinks(id), reach.shown.clone(), reach.door.clone());
            let (io, pin, ready) = (config.io.clone(), config.pin, ready.clone());
            let run = move || {
                settle(id, pin);
                // The driver belongs to the thread that opens it.
                let driver = Driver::open(&io, sockets, waker);
                let failure = driver.as_ref().err().map(|e| io::Error::new(e.kind(), e.to_string()));
                shown.heartbeat.store(net::now().as_micros().max(1), Ordering::Relaxed);
                let _ = ready.send(failure);
                drop(ready);
                if let Ok(driver) = driver {
                    Turner::new(id, core, driver, (inbox, door), links, sinks, shown).run();
                }
            };
            let thread = std::thread::Builder::new().name(format!("shard-{nth}")).spawn(run)?;
            lock(&self.shards.0.threads).push(thread);
        }
        drop(ready);
        if let Some(failure) = readiness.into_iter().flatten().next() {
            self.shards.stop();
            return Err(failure);
        }
        info!(shards = count, "datagrams are moved by {}", config.io);
        Ok(())
    }
}

/// Asks the scheduler for what a shard would like to have; it works without.
fn settle(id: ShardId, pin: bool) {
    if let Err(e) = net::raise_priority() {
        debug!(shard = id.0, "runs at ordinary priority: {e}");
    }
    if pin && let Err(e) = net::pin(usize::from(id.0)) {
        debug!(shard = id.0, "is not kept on its core: {e}");
    }
}

impl crate::control::DataPlane for Shards {
    fn send(&self, shard: ShardId, command: Command) {
        Self::send(self, shard, command);
    }

    fn broadcast(&self, make: &dyn Fn() -> Command) {
        Self::broadcast(self, make);
    }
}

impl crate::handshake::ToShard for Shards {
    fn to_shard(&self, shard: ShardId, command: Command) {
        self.send(shard, command);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
