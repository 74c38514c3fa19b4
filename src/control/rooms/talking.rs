//! Who is talking: the shards' lists, ranked together, as each group sees them.

use super::Rooms;
use crate::control::ids::Gid;
use crate::router::id::ShardId;
use crate::router::speakers::Talker;
use crate::signal::message::{Notice, StreamId};
use crate::sorted::Set;

impl Rooms {
    /// Replaces what a shard said last.
    pub(super) fn talking(&mut self, shard: ShardId, talkers: Vec<Talker>) {
        let before = self.talkers.insert(shard, talkers).unwrap_or_default();
        let after = self.talkers.get(&shard).into_iter().flatten();
        let touched: Set<_> = before
            .iter()
            .chain(after)
            .filter_map(|talker| self.tracks.get(talker.track))
            .filter_map(|track| self.streams.get(&track.stream))
            .flat_map(|published| published.gids.iter().copied())
            .collect();
        let all: Vec<_> = self.talkers.values().flatten().copied().collect();
        self.ranking.rank(&all);
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

    /// The talking streams of a group, the dominant first.
    fn talkers_in(&self, gid: Gid) -> Vec<StreamId> {
        let here = |talker: &Talker| {
            let stream = self.tracks.get(talker.track)?.stream;
            let published = self.streams.get(&stream)?;
            (published.gids.contains(&gid) && !published.muted.audio).then_some(stream)
        };
        let mut streams = Vec::new();
        for stream in self.ranking.talkers().iter().filter_map(here) {
            if !streams.contains(&stream) {
                streams.push(stream);
            }
        }
        streams
    }
}
