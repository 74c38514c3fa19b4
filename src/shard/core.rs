//! What a shard turns: the sans-I/O core, as the loop sees it.

use crate::batch::{Path, TxBatch};
use crate::router::command::Command;
use crate::router::counters::{Counters, Gauges};
use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::router::peer::PeerMessage;
use crate::router::{Router, Snapshot};
use crate::units::Instant;

/// A sans-I/O core. Whatever it is handed, it may afterwards have something to transmit, to tell a peer shard or to
/// report: the loop asks for all of it at the end of each turn.
pub trait Core: Send + 'static {
    /// What the cores of two shards say to each other.
    type Peer: Send + 'static;

    /// A datagram that is not QUIC. It may be changed in place.
    fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]);
    /// A command of the control plane.
    fn handle_command(&mut self, now: Instant, command: Command);
    /// A message of another shard.
    fn handle_peer(&mut self, now: Instant, from: ShardId, message: Self::Peer);
    /// [`Core::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);
    /// When to call [`Core::handle_timeout`].
    fn poll_timeout(&self) -> Instant;
    /// Fills `batch`; true if there is more than fits.
    fn poll_transmit(&mut self, now: Instant, batch: &mut TxBatch) -> bool;
    /// Something waits in the queue of a TCP connection, or nothing does any more.
    fn handle_clog(&mut self, path: Path, clogged: bool) {
        let _ = (path, clogged);
    }
    /// The next TCP connection that another shard is to have.
    fn poll_stray(&mut self) -> Option<(Path, ShardId)> {
        None
    }
    /// The next message for another shard.
    fn poll_peer(&mut self) -> Option<(ShardId, Self::Peer)>;
    /// The next piece of news.
    fn poll_event(&mut self) -> Option<Event>;
    /// Whose work was last begun: who ends if that work panicked.
    fn suspect(&self) -> Option<SessionId>;
    /// What it has counted.
    fn counters(&self) -> Counters;
    /// What it has now.
    fn gauges(&self) -> Gauges {
        Gauges::default()
    }
    /// What it leaves to a successor when it does nothing any more.
    fn snapshots(&self) -> Vec<Snapshot> {
        Vec::new()
    }
}

impl Core for Router {
    type Peer = PeerMessage;

    fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.handle_datagram(now, path, datagram);
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        self.handle_command(now, command);
    }

    fn handle_peer(&mut self, now: Instant, from: ShardId, message: PeerMessage) {
        self.handle_peer(now, from, message);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Instant {
        self.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, batch: &mut TxBatch) -> bool {
        self.poll_transmit(now, batch)
    }

    fn handle_clog(&mut self, path: Path, clogged: bool) {
        self.handle_clog(path, clogged);
    }

    fn poll_stray(&mut self) -> Option<(Path, ShardId)> {
        self.poll_stray()
    }

    fn poll_peer(&mut self) -> Option<(ShardId, PeerMessage)> {
        self.poll_peer()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn suspect(&self) -> Option<SessionId> {
        self.suspect()
    }

    fn counters(&self) -> Counters {
        *self.counters()
    }

    fn gauges(&self) -> Gauges {
        self.gauges()
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        self.snapshots()
    }
}
