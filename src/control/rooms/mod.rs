//! Live rooms: who is present, what is published, who watches what.

use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::units::Instant;

/// All live rooms.
#[derive(Debug, Default)]
pub struct Rooms {}

impl Rooms {
    /// When [`Rooms::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// News from a shard.
    pub fn handle_event(&mut self, _now: Instant, _shard: ShardId, _event: Event) {}

    /// How a handshake ended.
    pub fn handle_handshake(&mut self, _now: Instant, _session: SessionId, _outcome: Result<(), String>) {}
}
