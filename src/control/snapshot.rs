//! What the store does not keep, handed to another process: rooms, and resources of WHIP and WHEP.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::error;

use super::posted::Resources;
use super::rooms::{Config, Rooms};
use super::{Directory, State};
use crate::router::command::SessionParams;
use crate::router::id::SessionId;
use crate::units::Instant;

/// Rooms as another process left them.
#[derive(Debug, Default)]
pub struct Taken(Option<(Rooms, Resources)>);

impl Taken {
    /// From what [`super::Resting`] has. Nothing, if it cannot be read.
    pub fn read(live: &[u8]) -> Self {
        Self(postcard::from_bytes(live).inspect_err(|e| error!("nobody stays in a room: {e}")).ok())
    }

    /// What the shards must know of each media session.
    pub fn connections(&self) -> HashMap<SessionId, Arc<SessionParams>> {
        self.0.as_ref().map(|(rooms, _)| rooms.connections()).unwrap_or_default()
    }

    /// A state that goes on where that process ended, with the media sessions that went over; else one with nobody in it.
    pub fn go_on(
        self,
        now: Instant,
        directory: Directory,
        config: Config,
        went_over: impl Fn(SessionId) -> bool,
    ) -> State {
        let Some((mut rooms, resources)) = self.0 else { return State::new(directory, Rooms::new(config)) };
        rooms.resume(now, config, went_over);
        State { resources, ..State::new(directory, rooms) }
    }
}

impl State {
    /// What [`Taken::read`] reads.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        let written = postcard::to_allocvec(&(&self.rooms, &self.resources));
        written.inspect_err(|e| error!("who is in a room cannot be handed over: {e}")).unwrap_or_default()
    }
}
