//! Who is talking: the shards' lists, as each group sees them.

use std::collections::BTreeSet;

use super::Rooms;
use crate::router::id::{ShardId, TrackId};
use crate::signal::message::{Notice, StreamId};

impl Rooms {
    /// Replaces what a shard said last.
    pub(super) fn talking(&mut self, shard: ShardId, tracks: Vec<TrackId>) {
        let before = self.talkers.insert(shard, tracks).unwrap_or_default();
        let after = self.talkers.get(&shard).into_iter().flatten();
        let touched: BTreeSet<_> = before
            .iter()
            .chain(after)
            .filter_map(|track| self.tracks.get(*track))
            .filter_map(|track| self.streams.get(&track.stream))
            .flat_map(|published| published.gids.iter().copied())
            .collect();
        for gid in touched {
            let talking = self.talkers_in(gid);
            let Some(group) = self.groups.get_mut(&gid) else { continue };
            if group.talking != talking {
                group.talking.clone_from(&talking);
                let listeners = self.listeners(gid, None);
                self.tell_all(listeners, Notice::Talking { gid, streams: talking });
            }
        }
    }

    /// The talking streams of a group, loudest first within each shard.
    fn talkers_in(&self, gid: crate::control::ids::Gid) -> Vec<StreamId> {
        let tracks = self.talkers.values().flatten().filter_map(|track| self.tracks.get(*track));
        let mut streams = Vec::new();
        for track in tracks {
            let here = self
                .streams
                .get(&track.stream)
                .is_some_and(|published| published.gids.contains(&gid) && !published.muted.audio);
            if here && !streams.contains(&track.stream) {
                streams.push(track.stream);
            }
        }
        streams
    }
}
