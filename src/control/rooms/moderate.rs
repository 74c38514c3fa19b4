//! What an admin does to people who are here, and what they are told of it. Who may is the directory's business.

use super::Rooms;
use super::publish::End;
use super::watch::no_stream;
use crate::control::ids::{Gid, Sid, Uid};
use crate::signal::message::{Muted, Notice, Refusal, StreamId};
use crate::sorted::Set;

impl Rooms {
    /// Everyone who is in a group.
    pub fn people(&self, gid: Gid) -> Set<Uid> {
        self.groups.get(&gid).map(|group| group.people.keys().copied().collect()).unwrap_or_default()
    }

    /// What somebody publishes in a group: one stream, or all.
    pub(super) fn streams_of(&self, gid: Gid, uid: Uid, sid: Option<Sid>) -> Vec<StreamId> {
        let Some(group) = self.groups.get(&gid) else { return Vec::new() };
        let of = StreamId { uid, sid: Sid(0) }..=StreamId { uid, sid: Sid(u8::MAX) };
        group.streams.range(of).copied().filter(|stream| sid.is_none_or(|sid| sid == stream.sid)).collect()
    }

    /// Mutes what somebody publishes: the tracks are dropped from here on, until that person unmutes them.
    pub fn mute_for(&mut self, gid: Gid, by: Uid, uid: Uid, sid: Option<Sid>, what: Muted) {
        for stream in self.streams_of(gid, uid, sid) {
            let Some(published) = self.streams.get(&stream) else { continue };
            let (owner, before) = (published.link, published.muted);
            let after = Muted { audio: before.audio || what.audio, video: before.video || what.video };
            if before != after {
                self.set_muted(stream, after);
                let Muted { audio, video } = after;
                self.tell(owner, Notice::Muted { gid, sid: stream.sid, by, audio, video });
            }
        }
    }

    /// Ends what somebody publishes in a group.
    pub fn hang_up(&mut self, gid: Gid, uid: Uid, sid: Option<Sid>) {
        for stream in self.streams_of(gid, uid, sid) {
            self.take_out(stream, gid, End::Complete);
        }
    }

    /// Lowers somebody's hand for that person.
    pub fn lower_hand_of(&mut self, gid: Gid, uid: Uid) {
        self.lower_hand(gid, uid);
    }

    /// Asks people for something that only they can do.
    pub fn ask_people(&mut self, gid: Gid, people: &Set<Uid>, notice: Notice) {
        let Some(group) = self.groups.get(&gid) else { return };
        let links = people.iter().filter_map(|uid| group.people.get(uid)).flatten().copied().collect();
        self.tell_all(links, notice);
    }

    /// Refuses a stream that is not in the group.
    pub fn must_have(&self, gid: Gid, stream: StreamId) -> Result<(), Refusal> {
        let known = self.groups.get(&gid).is_some_and(|group| group.streams.contains(&stream));
        known.then_some(()).ok_or_else(no_stream)
    }
}
