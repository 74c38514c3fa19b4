//! Who asks what flight recorders have waits until the shards have answered.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::State;
use super::ids::{Gid, Uid};
use super::rooms::Recalled;
use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::units::Instant;

/// Who waits for what.
pub(super) type Recalls = HashMap<SessionId, Vec<oneshot::Sender<Recalled>>>;

impl State {
    /// Asks for what the recorders of somebody in a group have: an answer of each connection, or none if it ends meanwhile.
    pub fn recall(&mut self, gid: Gid, uid: Uid) -> Vec<oneshot::Receiver<Recalled>> {
        // An answer that found no room in a shard's queue never comes.
        self.recalls.retain(|_, waiting| waiting.iter().any(|who| !who.is_closed()));
        let asked = self.rooms.recall(gid, uid).into_iter().map(|session| {
            let (answer, answered) = oneshot::channel();
            self.recalls.entry(session).or_default().push(answer);
            answered
        });
        asked.collect()
    }

    /// News from a shard.
    pub(super) fn handle_event(&mut self, now: Instant, shard: ShardId, event: Event) {
        let Event::Recalled { session, recording } = event else {
            return self.rooms.handle_event(now, shard, event);
        };
        let waiting = self.recalls.remove(&session).unwrap_or_default();
        let Some(recalled) = self.rooms.recalled(session, recording) else { return };
        for who in waiting {
            // Who went away does not wait any more.
            let _ = who.send(recalled.clone());
        }
    }
}
