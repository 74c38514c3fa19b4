//! How many handshakes may be in flight. Who comes beyond is told when to ask again, each at a time of its own: so a
//! crowd does not come back as a crowd, and nobody waits for an answer that never comes.

use std::time::Duration;

use super::{Rooms, Timer};
use crate::router::id::SessionId;
use crate::signal::message::Refusal;
use crate::units::Instant;

/// A peer that has not come this far by then is not waited for. Its handshake may still succeed.
const SECURED_WITHIN: Duration = Duration::from_secs(10);
/// Who is refused first may ask again after this, ...
const FIRST_AGAIN: Duration = Duration::from_millis(500);
/// ... and each of the next so much later than the one before: 500 a second come back, ...
const APART: Duration = Duration::from_millis(2);
/// ... and nobody later than this.
const LAST_AGAIN: Duration = Duration::from_secs(10);
/// When to come again to a server where all seats are taken.
pub(super) const FULL_AGAIN: Duration = Duration::from_secs(5);

/// The handshakes in flight.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pub(super) in_flight: usize,
    /// How many began, and how many were told to ask again.
    pub(super) begun: u64,
    pub(super) refused: u64,
    /// When the last who was refused asks again.
    last_turn: Instant,
}

impl Rooms {
    /// Whether a handshake may begin now.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.admission.in_flight < self.config.handshakes {
            return Ok(());
        }
        let turn = (self.admission.last_turn + APART).clamp(now + FIRST_AGAIN, now + LAST_AGAIN);
        self.admission.last_turn = turn;
        self.admission.refused += 1;
        Err(Refusal::busy("Many join at this moment; ask again when it is your turn.", turn.since(now)))
    }

    /// A handshake begins.
    pub(super) fn begin_securing(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| !session.securing) else { return };
        session.securing = true;
        self.admission.in_flight += 1;
        self.admission.begun += 1;
        self.wake_at(now + SECURED_WITHIN, Timer::Secured(id));
    }

    /// It ended, one way or the other, or has taken too long.
    pub(super) fn end_securing(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id).filter(|session| session.securing) {
            session.securing = false;
            self.admission.in_flight -= 1;
        }
    }
}
