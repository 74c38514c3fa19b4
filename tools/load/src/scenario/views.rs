//! What a client wants to see and hear of those who are there.

use std::collections::BTreeMap;

use millrace::control::ids::{Gid, Uid};
use millrace::signal::message::{Notice, Request, Stream, StreamId, StreamRef, Watch};

use super::Watching;

/// How a stream is watched: sound, picture.
type View = (bool, bool);

/// Who publishes in a room, and what of it is watched.
pub(super) struct Views {
    gid: Gid,
    own: Uid,
    plan: Watching,
    streams: BTreeMap<(u32, u8), StreamId>,
    /// Those who talked, the last one first.
    talked: Vec<StreamId>,
    watched: BTreeMap<(u32, u8), View>,
}

fn key(stream: StreamId) -> (u32, u8) {
    (stream.uid.0, stream.sid.0)
}

impl Views {
    pub(super) fn new(gid: Gid, own: Uid, plan: Watching) -> Self {
        Self { gid, own, plan, streams: BTreeMap::new(), talked: vec![], watched: BTreeMap::new() }
    }

    /// Takes note of who is there and who talks; whether anything changed.
    pub(super) fn hear(&mut self, notice: &Notice) -> bool {
        match notice {
            Notice::Roster { all, joined, left, .. } => {
                if *all {
                    self.streams.clear();
                }
                let others = joined.iter().filter(|stream| stream.uid != self.own);
                self.streams.extend(others.map(id).map(|id| (key(id), id)));
                for gone in left {
                    self.streams.remove(&key(*gone));
                }
                true
            }
            Notice::Talking { streams, .. } => {
                self.talked.retain(|known| !streams.contains(known));
                self.talked.splice(0..0, streams.iter().copied());
                self.plan.tiles > 0 && self.streams.len() > self.plan.tiles
            }
            _ => false,
        }
    }

    /// What is to be asked for now.
    pub(super) fn changes(&mut self) -> Vec<(&'static str, Request)> {
        let tiles = if self.plan.tiles == 0 { usize::MAX } else { self.plan.tiles };
        let mut seen: Vec<StreamId> = Vec::new();
        let talked = self.talked.iter().filter(|id| self.streams.contains_key(&key(**id)));
        for id in talked.chain(self.streams.values()) {
            if seen.len() < tiles && !seen.contains(id) {
                seen.push(*id);
            }
        }
        let (gid, (width, height)) = (self.gid, self.plan.tile);
        let mut requests = Vec::new();
        let gone: Vec<_> =
            self.watched.keys().filter(|key| !self.streams.contains_key(*key)).copied().collect();
        for stream in gone {
            self.watched.remove(&stream);
            let (uid, sid) = (Uid(stream.0), millrace::control::ids::Sid(stream.1));
            requests.push(("unwatch", Request::Unwatch(StreamRef { gid, uid, sid })));
        }
        for (stream, id) in &self.streams {
            let view = (self.plan.audio, self.plan.video && seen.contains(id));
            if view == (false, false) || self.watched.get(stream) == Some(&view) {
                continue;
            }
            self.watched.insert(*stream, view);
            let (audio, video) = view;
            let StreamId { uid, sid } = *id;
            let watch = Watch { gid, uid, sid, audio, video, width, height, visible: true, priority: 1 };
            requests.push(("watch", Request::Watch(watch)));
        }
        // Who is seen no more makes room first.
        requests.sort_by_key(|(_, request)| matches!(request, Request::Watch(watch) if watch.video));
        requests
    }
}

fn id(stream: &Stream) -> StreamId {
    StreamId { uid: stream.uid, sid: stream.sid }
}

#[cfg(test)]
mod tests {
    use millrace::control::ids::Sid;
    use millrace::signal::message::Muted;

    use super::*;

    fn roster(uids: std::ops::Range<u32>) -> Notice {
        let stream = |uid| Stream {
            uid: Uid(uid),
            sid: Sid(0),
            name: String::new(),
            address: String::new(),
            source: 1,
            audio: true,
            video: true,
            muted: Muted::default(),
        };
        Notice::Roster {
            gid: Gid(1),
            all: true,
            joined: uids.map(stream).collect(),
            changed: vec![],
            left: vec![],
        }
    }

    fn pictures(requests: &[(&str, Request)]) -> Vec<u32> {
        let picture = |(_, request): &(&str, Request)| match request {
            Request::Watch(watch) if watch.video => Some(watch.uid.0),
            _ => None,
        };
        requests.iter().filter_map(picture).collect()
    }

    #[test]
    fn all_are_heard_and_those_who_talked_last_are_seen() {
        let plan = Watching { tiles: 2, ..Watching::default() };
        let mut views = Views::new(Gid(1), Uid(3), plan);
        assert!(views.hear(&roster(1..6)));
        let first = views.changes();
        assert_eq!((first.len(), pictures(&first)), (4, vec![1, 2]), "oneself is not watched");
        assert!(views.changes().is_empty(), "nothing new, nothing to ask for");
        let talking = StreamId { uid: Uid(5), sid: Sid(0) };
        assert!(views.hear(&Notice::Talking { gid: Gid(1), streams: vec![talking] }));
        let next = views.changes();
        assert_eq!((next.len(), pictures(&next)), (2, vec![5]), "5 comes, 2 goes");
    }

    #[test]
    fn who_left_is_not_watched_any_more() {
        let mut views = Views::new(Gid(1), Uid(9), Watching::default());
        views.hear(&roster(1..4));
        views.changes();
        views.hear(&roster(1..2));
        assert_eq!(views.changes().iter().filter(|(what, _)| *what == "unwatch").count(), 2);
        assert_eq!(views.watched.len(), 1);
    }
}
