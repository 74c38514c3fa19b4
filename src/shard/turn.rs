//! The loop of one shard.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::{Consumer, Producer, RingBuffer};
use tracing::error;

use super::batching::Batching;
use super::door::Door;
use super::mailbox::Inbox;
use super::{Core, ShardStats, Shown, Sinks};
use crate::batch::{Path, TxBatch};
use crate::net::{self, Driver, Waker};
use crate::router::command::Command;
use crate::router::event::Event;
use crate::router::id::ShardId;
use crate::units::{Duration, Instant};
use crate::wire::demux::{self, Kind};

/// Messages that wait for another shard in the ring between the two ...
const RING: usize = 1024;
/// ... and on our side of it, while the other is behind.
const BACKLOG: usize = 4096;
/// An idle shard comes round at least this often, to show that it lives.
const IDLE: Duration = Duration::from_secs(1);
/// Panics in a row, without a session to blame and without one good turn between them, after which the shard gives
/// up: it would do nothing else any more. Its heart stops, and whoever watches the server restarts it.
const HOPELESS: u32 = 16;

/// Both directions between this shard and another.
pub(super) struct Link<P> {
    peer: ShardId,
    to: Producer<P>,
    from: Consumer<P>,
    backlog: VecDeque<P>,
    waker: Waker,
    /// Where its TCP connections come in.
    door: Door,
    /// Whether something was put into the ring since the other shard was last woken.
    told: bool,
}

/// For each shard its links to all others.
pub(super) fn links<P>(wakers: &[Waker], doors: &[Door]) -> Vec<Vec<Link<P>>> {
    let mut links: Vec<Vec<Link<P>>> = wakers.iter().map(|_| Vec::new()).collect();
    for one in 0..wakers.len() {
        for other in one + 1..wakers.len() {
            let (to_other, from_one) = RingBuffer::new(RING);
            let (to_one, from_other) = RingBuffer::new(RING);
            for (here, there, to, from) in
                [(one, other, to_other, from_other), (other, one, to_one, from_one)]
            {
                if let (Some(links), Some(waker), Some(door)) =
                    (links.get_mut(here), wakers.get(there), doors.get(there))
                {
                    let (peer, waker, door) = (ShardId(there as u8), waker.clone(), door.clone());
                    links.push(Link { peer, to, from, backlog: VecDeque::new(), waker, door, told: false });
                }
            }
        }
    }
    links
}

impl<P> Link<P> {
    /// Queues a message; false if it was dropped.
    fn push(&mut self, message: P) -> bool {
        self.flush();
        if self.backlog.len() >= BACKLOG {
            return false;
        }
        if self.backlog.is_empty() {
            self.told = true;
            if let Err(rtrb::PushError::Full(message)) = self.to.push(message) {
                self.backlog.push_back(message);
            }
        } else {
            self.backlog.push_back(message);
        }
        true
    }

    fn flush(&mut self) {
        while !self.backlog.is_empty() && !self.to.is_full() {
            if let Some(message) = self.backlog.pop_front() {
                self.told = true;
                // There is room: nobody else writes to this ring.
                let _ = self.to.push(message);
            }
        }
    }
}

/// One shard with all it needs.
pub(super) struct Turner<C: Core> {
    id: ShardId,
    driver: Driver,
    work: Work<C>,
    inbox: Inbox,
    door: Door,
    links: Vec<Link<C::Peer>>,
    batch: TxBatch,
    batching: Batching,
    shown: Arc<Shown>,
    published: Instant,
    /// How long what comes next was left in the sockets.
    held: Duration,
}

/// What handling touches, apart from what moves datagrams.
struct Work<C> {
    id: ShardId,
    core: C,
    sinks: Sinks,
    stats: ShardStats,
    /// Panics since the last turn without one.
    hopeless: u32,
}

impl<C: Core> Work<C> {
    /// Lets the core do something. If it panics, the session it worked for ends, and nothing else.
    fn guard<R>(&mut self, now: Instant, work: impl FnOnce(&mut C) -> R) -> Option<R> {
        // The core is whole again once the session it was working for is gone; all else it holds is plain data.
        match catch_unwind(AssertUnwindSafe(|| work(&mut self.core))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.blame(now);
                None
            }
        }
    }

    #[cold]
    fn blame(&mut self, now: Instant) {
        self.stats.panics += 1;
        let Some(session) = self.core.suspect() else {
            self.hopeless += 1;
            error!(shard = self.id.0, "a panic that no session is to blame for");
            return;
        };
        error!(shard = self.id.0, %session, "a panic ended a session");
        let removed =
            catch_unwind(AssertUnwindSafe(|| self.core.handle_command(now, Command::RemoveSession(session))));
        if removed.is_err() {
            self.hopeless += 1;
            error!(shard = self.id.0, %session, "the session cannot even be removed");
        }
        self.report(Event::Lost(session));
    }

    /// Hands a QUIC datagram to the endpoint.
    fn hand_over(&mut self, path: Path, datagram: &[u8]) {
        if catch_unwind(AssertUnwindSafe(|| (self.sinks.quic)(path, datagram))).is_err() {
            self.stats.panics += 1;
        }
    }

    fn report(&mut self, event: Event) {
        if catch_unwind(AssertUnwindSafe(|| (self.sinks.event)(event))).is_err() {
            self.stats.panics += 1;
        }
    }
}

impl<C: Core> Turner<C> {
    pub(super) fn new(
        id: ShardId,
        core: C,
        driver: Driver,
        (inbox, door): (Inbox, Door),
        links: Vec<Link<C::Peer>>,
        sinks: Sinks,
        shown: Arc<Shown>,
    ) -> Self {
        let work = Work { id, core, sinks, stats: ShardStats::default(), hopeless: 0 };
        Self {
            id,
            driver,
            work,
            inbox,
            door,
            links,
            batch: TxBatch::new(),
            batching: Batching::default(),
            shown,
            published: Instant::ZERO,
            held: Duration::ZERO,
        }
    }

    /// Turns until told to stop.
    pub(super) fn run(mut self) {
        let mut now = net::now();
        self.show(now);
        while !self.shown.stop.load(Ordering::Acquire) {
            let panics = self.work.stats.panics;
            now = match self.gather(now).and_then(|patience| self.turn(patience)) {
                Ok(now) => now,
                Err(e) => {
                    error!(shard = self.id.0, "the shard can wait for datagrams no more: {e}");
                    break;
                }
            };
            self.show(now);
            if self.work.stats.panics == panics {
                self.work.hopeless = 0;
            } else if self.work.hopeless > HOPELESS {
                error!(shard = self.id.0, "the shard does nothing but panic");
                break;
            }
        }
        // What commands wait (sessions told to go) is still carried out, and what they cause is sent.
        self.handle_messages(now);
        self.transmit(now);
        let _ = self.driver.turn(Some(Duration::ZERO), &mut |_, _| {});
        if let Ok(left) = catch_unwind(AssertUnwindSafe(|| self.work.core.snapshots())) {
            *super::lock(&self.shown.left) = left;
        }
        self.published = Instant::ZERO;
        self.show(now + IDLE);
    }

    /// How long to wait for something to happen.
    fn patience(&self, now: Instant) -> Duration {
        let behind = self.inbox.is_behind() || self.links.iter().any(|link| !link.backlog.is_empty());
        // Another shard that is behind empties its ring without telling us.
        let most = if behind { Duration::from_millis(1) } else { IDLE };
        self.work.core.poll_timeout().since(now).min(most)
    }

    /// While the shard is busy: waits for something to come, and then a little for more. How long to wait from then on.
    fn gather(&mut self, now: Instant) -> std::io::Result<Duration> {
        if self.batching.is_due(now) {
            self.batching.measure(now, net::processor_time());
        }
        if !self.batching.is_on() {
            return Ok(self.patience(now));
        }
        let began = net::now();
        self.driver.wait(self.patience(began))?;
        let hold = self.batching.hold(now, began, net::now(), self.work.core.poll_timeout());
        self.held = hold;
        if !hold.is_zero() {
            std::thread::sleep(hold);
        }
        Ok(Duration::ZERO)
    }

    /// Once round: everything that came, then everything that leaves. The clock is read once, after the wait.
    fn turn(&mut self, patience: Duration) -> std::io::Result<Instant> {
        let mut now = None;
        let work = &mut self.work;
        self.driver.turn(Some(patience), &mut |path, datagram| {
            let now = *now.get_or_insert_with(net::now);
            match demux::classify(datagram) {
                Some(Kind::Quic) if !path.is_stream() => {
                    work.stats.quic += 1;
                    work.hand_over(path, datagram);
                }
                _ => drop(work.guard(now, |core| core.handle_datagram(now, path, datagram))),
            }
        })?;
        let came = now;
        let now = now.unwrap_or_else(net::now);
        self.work.stats.turns += 1;
        self.handle_messages(now);
        if self.work.core.poll_timeout() <= now {
            self.work.guard(now, |core| core.handle_timeout(now));
        }
        self.move_strays(now);
        // Others have their viewers to serve meanwhile.
        self.tell_peers(now);
        let held = std::mem::take(&mut self.held);
        if self.transmit(now) && came.is_some() {
            // The second reading of the clock in a turn, in those that forward: 25 ns beside a system call's microseconds.
            self.work.stats.latency.note(held + net::now().since(now));
        }
        self.tell_peers(now);
        while let Some(Some(event)) = self.work.guard(now, Core::poll_event) {
            self.work.report(event);
        }
        Ok(now)
    }

    /// A TCP connection goes where its session is, before what it brought.
    fn move_strays(&mut self, now: Instant) {
        while let Some(Some((path, owner))) = self.work.guard(now, Core::poll_stray) {
            if let (Some(link), Some(stream)) =
                (self.links.iter_mut().find(|link| link.peer == owner), self.driver.release(path))
            {
                link.door.put(stream);
                link.told = true;
            }
        }
    }

    fn tell_clogs(&mut self, now: Instant) {
        while let Some((path, clogged)) = self.driver.poll_clog() {
            self.work.guard(now, |core| core.handle_clog(path, clogged));
        }
    }

    fn handle_messages(&mut self, now: Instant) {
        for stream in self.door.take() {
            if let Err(e) = self.driver.adopt(stream) {
                error!(shard = self.id.0, "a TCP connection cannot be watched: {e}");
            }
        }
        self.tell_clogs(now);
        for _ in 0..self.inbox.waiting() {
            let Some(command) = self.inbox.take() else { break };
            self.work.stats.commands += 1;
            self.work.guard(now, |core| core.handle_command(now, command));
        }
        for link in &mut self.links {
            for _ in 0..link.from.slots() {
                let Ok(message) = link.from.pop() else { break };
                self.work.guard(now, |core| core.handle_peer(now, link.peer, message));
            }
        }
    }

    /// Sends what is to be sent; whether there was anything.
    fn transmit(&mut self, now: Instant) -> bool {
        let mut sent = false;
        loop {
            let batch = &mut self.batch;
            let more = self.work.guard(now, |core| core.poll_transmit(now, batch));
            if !self.batch.is_empty() {
                sent = true;
                self.driver.send(&mut self.batch);
                self.tell_clogs(now);
            }
            // After a panic the rest waits for the next turn.
            if more != Some(true) {
                return sent;
            }
        }
    }

    fn tell_peers(&mut self, now: Instant) {
        while let Some(Some((peer, message))) = self.work.guard(now, Core::poll_peer) {
            let link = self.links.iter_mut().find(|link| link.peer == peer);
            if !link.is_some_and(|link| link.push(message)) {
                self.work.stats.peer_overflow += 1;
            }
        }
        for link in &mut self.links {
            link.flush();
            if std::mem::take(&mut link.told) {
                link.waker.wake();
            }
        }
    }

    /// Shows that the shard lives and, once a second, what it has done.
    fn show(&mut self, now: Instant) {
        self.shown.heartbeat.store(now.as_micros().max(1), Ordering::Relaxed);
        if self.published == Instant::ZERO || now.since(self.published) >= IDLE {
            self.published = now;
            self.work.stats.at = now;
            self.work.stats.net = self.driver.counters();
            self.work.stats.router = self.work.core.counters();
            self.work.stats.gauges = self.work.core.gauges();
            self.work.stats.processor_time = net::processor_time();
            self.shown.publish(self.work.stats);
        }
    }
}
