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

    /// The talking streams of a group, the dominant first. Shards say who leads among theirs; who led already goes on
    /// leading over those of another shard.
    fn talkers_in(&self, gid: crate::control::ids::Gid) -> Vec<StreamId> {
        let before = self.groups.get(&gid).map(|group| &group.talking[..]).unwrap_or_default();
        let place = |stream: &StreamId| before.iter().position(|s| s == stream).unwrap_or(usize::MAX);
        let here = |track: &TrackId| {
            let stream = self.tracks.get(*track)?.stream;
            let published = self.streams.get(&stream)?;
            (published.gids.contains(&gid) && !published.muted.audio).then_some(stream)
        };
        let mut lists: Vec<_> =
            self.talkers.values().map(|tracks| tracks.iter().filter_map(here).peekable()).collect();
        let mut streams = Vec::new();
        loop {
            let next = lists.iter_mut().filter_map(|list| Some((place(list.peek()?), list)));
            let Some((_, list)) = next.min_by_key(|(place, _)| *place) else { return streams };
            let stream = list.next().filter(|stream| !streams.contains(stream));
            streams.extend(stream);
        }
    }
}
