//! What limits mean in running calls: how much of a stream the shards let through, how many streams one publishes and
//! watches, and what one is told of it. They act at once.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::publish::End;
use super::seat::smaller;
use super::{Effect, LinkId, Rooms, Seat};
use crate::control::ids::Gid;
use crate::control::limits::Limits;
use crate::router::command::{Command, Kind, PayloadParams, TrackLimits};
use crate::signal::message::{Notice, Refusal, StreamId, StreamRef, Why};
use crate::sorted::{Set, sort_by_key};

/// How much of a stream the shards let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Allowed {
    pub(super) audio: TrackLimits,
    pub(super) video: TrackLimits,
}

impl Allowed {
    const fn of(&self, kind: Kind) -> TrackLimits {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }
}

impl Rooms {
    /// The strictest of a link's limits in these groups.
    pub(super) fn strictest(&self, id: LinkId, gids: &Set<Gid>) -> Limits {
        let groups = self.links.get(id).map(|link| &link.groups);
        let seats = gids.iter().filter_map(|gid| groups?.get(gid));
        seats.fold(Limits::default(), |all, seat| all.and(seat.limits))
    }

    /// What a link may publish to these groups: what the strictest limits allow, of that no larger picture than some
    /// of them has use for, and of `payloads`, which were negotiated, those of codecs that are allowed.
    pub(super) fn allowed(&self, id: LinkId, gids: &Set<Gid>, payloads: &[PayloadParams]) -> Allowed {
        let groups = self.links.get(id).map(|link| &link.groups);
        let seats = gids.iter().filter_map(|gid| groups?.get(gid));
        let limits = self.strictest(id, gids);
        let (used, most) = (seats.map(Seat::picture).max_by_key(|p| p.area()), limits.picture());
        let mut video = limits.video(used.map_or(most, |used| smaller(used, most)));
        for (at, payload) in payloads.iter().enumerate().take(32) {
            if !limits.codecs.allows(payload.codec) {
                video.payloads &= !(1 << at);
            }
        }
        Allowed { audio: limits.audio(), video }
    }

    /// Tells the owners of what a link publishes how much of it they let through, where that changed.
    pub(super) fn sync_limits(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let (uid, sids) = (link.user.uid, link.streams.clone());
        for stream in sids.into_iter().map(|sid| StreamId { uid, sid }) {
            let Some(published) = self.streams.get(&stream) else { continue };
            let session = self.sessions.get(published.session);
            let params = session.and_then(|session| session.params.as_ref());
            let video = params.and_then(|params| params.tracks.iter().find(|t| t.kind == Kind::Video));
            let payloads = video.map(|track| track.payloads.as_slice()).unwrap_or_default();
            let allowed = self.allowed(id, &published.gids, payloads);
            let Some(owner) = session.and_then(|session| session.owner) else { continue };
            let before = published.allowed;
            for (kind, track) in published.tracks() {
                let limits = allowed.of(kind);
                if limits != before.of(kind) {
                    self.effects.push(Effect::Shard(owner, Command::LimitTrack { track, limits }));
                }
            }
            if let Some(published) = self.streams.get_mut(&stream) {
                published.allowed = allowed;
            }
        }
    }

    /// Whether a link may publish one more stream to each of these groups.
    pub(super) fn may_add(&self, id: LinkId, gids: &Set<Gid>, new: StreamId) -> Result<(), Refusal> {
        for gid in gids {
            let seat = self.links.get(id).and_then(|link| link.groups.get(gid));
            let most = seat.map_or(0, |seat| usize::from(seat.limits.max_streams));
            let others = self.streams_of(*gid, new.uid, None).into_iter().filter(|s| *s != new).count();
            if most != 0 && others >= most {
                let text = format!("You may publish {most} streams at once in group {gid}: end one first.");
                return Err(Refusal::new("TOOMANY", text));
            }
        }
        Ok(())
    }

    /// Whether a link may watch one more stream of a group.
    pub(super) fn may_watch_more(&self, id: LinkId, gid: Gid) -> Result<(), Refusal> {
        let Some(link) = self.links.get(id) else { return Ok(()) };
        let most = link.groups.get(&gid).map_or(0, |seat| usize::from(seat.limits.max_subscriptions));
        let watched = link.viewing.wishes.keys().filter(|key| key.gid == gid).count();
        if most != 0 && watched >= most {
            let text =
                format!("You may watch {most} streams at once in group {gid}: cease to watch one first.");
            return Err(Refusal::new("TOOMANY", text));
        }
        Ok(())
    }

    /// A seat's limits changed: what is beyond them ends, the rest goes on within them, and the holder is told.
    pub(super) fn limits_changed(&mut self, id: LinkId, gid: Gid, before: &Seat, after: &Seat) {
        if before.limits != after.limits {
            self.tell(id, Notice::Limits { gid, limits: after.limits.said() });
            self.end_surplus(id, gid, usize::from(after.limits.max_streams));
            self.unwatch_surplus(id, gid, usize::from(after.limits.max_subscriptions));
        }
        if (before.cap(), before.limits) != (after.cap(), after.limits) {
            self.arrange(id);
        }
        if before.limits.priority != after.limits.priority {
            for viewer in self.viewers_of(id, gid) {
                self.sync_slots(viewer);
            }
        }
    }

    /// Ends streams in a group until no more than so many are left, those with the highest numbers first.
    fn end_surplus(&mut self, id: LinkId, gid: Gid, most: usize) {
        let Some(uid) = self.links.get(id).map(|link| link.user.uid) else { return };
        if most == 0 {
            return;
        }
        for stream in self.streams_of(gid, uid, None).into_iter().skip(most) {
            self.take_out(stream, gid, End::NotAllowed);
        }
    }

    /// Watches no more than so many streams of a group: hidden tiles go first, then those of the lowest priority.
    fn unwatch_surplus(&mut self, id: LinkId, gid: Gid, most: usize) {
        let Some(link) = self.links.get(id) else { return };
        let mut wishes: Vec<_> = link.viewing.wishes.iter().filter(|(key, _)| key.gid == gid).collect();
        if most == 0 || wishes.len() <= most {
            return;
        }
        sort_by_key(&mut wishes, |(key, wish)| (Reverse(wish.rank()), **key));
        let surplus: Vec<StreamRef> = wishes.into_iter().skip(most).map(|(key, _)| *key).collect();
        for key in surplus {
            self.drop_wish(id, key);
            let StreamRef { gid, uid, sid } = key;
            self.tell(id, Notice::Layer { gid, uid, sid, width: 0, height: 0, why: Why::Cap });
        }
        self.arrange(id);
    }

    fn viewers_of(&self, id: LinkId, gid: Gid) -> Set<LinkId> {
        let Some(link) = self.links.get(id) else { return Set::new() };
        let uid = link.user.uid;
        let streams = link.streams.iter().filter_map(|sid| self.streams.get(&StreamId { uid, sid: *sid }));
        let viewers = streams.flat_map(|published| &published.viewers);
        viewers.filter(|(at, _)| *at == gid).map(|(_, viewer)| *viewer).collect()
    }
}
