//! Large rooms: a viewer has a few audio slots, and what finds none of them is its crowd. Whose voice is heard takes a
//! slot by itself, on the viewer's shard and at once; here it is only learned which, for the viewer's map of slots.

use super::connection::Purpose;
use super::view::{Bounds, Peer, Viewing};
use super::watch::stream_id;
use super::{Effect, LinkId, Rooms};
use crate::control::limits::{Limits, MAX_VOICES};
use crate::router::command::{Command, Kind};
use crate::router::id::{SessionId, ShardId, SlotId, TrackId};
use crate::signal::message::{Notice, Sound, StreamRef, Why};
use crate::sorted::{Map, Set};

impl Rooms {
    /// How much a viewer may get: what the strictest limits allow of the groups in which it watches.
    pub(super) fn bounds(&self, id: LinkId, viewing: &Viewing) -> Bounds {
        let gids: Set<_> = viewing.wishes.keys().map(|key| key.gid).collect();
        let groups = self.links.get(id).map(|link| &link.groups);
        let seats = gids.iter().filter_map(|gid| groups?.get(gid));
        let limits = seats.fold(Limits::default(), |all, seat| all.and(seat.limits));
        let voices = if limits.max_voices == 0 { self.config.voices } else { limits.max_voices };
        Bounds { bitrate: limits.subscribe(), voices: voices.min(MAX_VOICES) }
    }

    /// Tells the owner of a viewer's connection how much it may send.
    pub(super) fn sync_bounds(&mut self, owner: ShardId, peer: &mut Peer, bounds: Bounds) {
        if peer.bounds.replace(bounds) != Some(bounds) {
            let Bounds { bitrate: max_bitrate, voices: max_voices } = bounds;
            let command = Command::LimitSession { session: peer.session, max_bitrate, max_voices };
            self.effects.push(Effect::Shard(owner, command));
        }
    }

    /// Tells the owner of a viewer's connection which sound has no slot, and the viewer, too.
    pub(super) fn sync_crowd(&mut self, id: LinkId, owner: ShardId, viewing: &mut Viewing) {
        let Some(peer) = &mut viewing.peer else { return };
        let outside = viewing.wishes.iter().filter(|(key, wish)| wish.hears() && !peer.carries(**key));
        let crowd: Map<TrackId, StreamRef> = outside
            .filter_map(|(key, _)| Some((self.streams.get(&stream_id(*key))?.track(Kind::Audio)?, *key)))
            .collect();
        let session = peer.session;
        let told = std::mem::take(&mut peer.crowd);
        let mut news = Vec::new();
        let mut tell = |track: &TrackId, on| {
            let command = Command::Crowd { session, track: *track, on };
            self.effects.push(Effect::Shard(owner, command));
        };
        for (track, stream) in told.iter().filter(|(track, _)| !crowd.contains_key(track)) {
            tell(track, false);
            if peer.carries(*stream) {
                news.push(Sound { stream: *stream, why: Why::Source });
            }
        }
        for (track, stream) in crowd.iter().filter(|(track, _)| !told.contains_key(track)) {
            tell(track, true);
            news.push(Sound { stream: *stream, why: Why::Loudness });
        }
        peer.crowd = crowd;
        self.tell_sound(id, news);
    }

    /// A shard sent the voice of a slot into the crowd, for another or for none.
    pub(super) fn slot_track(
        &mut self,
        session: SessionId,
        slot: SlotId,
        track: Option<TrackId>,
        out: TrackId,
    ) {
        let Some(Purpose::Watching(id)) = self.sessions.get(session).map(|session| session.purpose) else {
            return;
        };
        let stream = track.and_then(|track| self.tracks.get(track)).map(|track| track.stream);
        let Some(Viewing { wishes, peer: Some(peer), .. }) = self.links.get_mut(id).map(|l| &mut l.viewing)
        else {
            return;
        };
        let key = wishes.keys().copied().find(|key| Some(stream_id(*key)) == stream);
        let Some(slot) = peer.slots.iter_mut().find(|known| known.id == slot) else { return };
        let Some((_, view)) = slot.told.filter(|(told, _)| *told == out) else {
            // The slot was given to something else meanwhile: with that whoever was let in is out again, and who was
            // sent out is in the crowd of the shard alone.
            [track, Some(out)].into_iter().flatten().for_each(|track| _ = peer.crowd.remove(&track));
            if let Some(owner) = self.sessions.get(session).and_then(|session| session.owner) {
                let command = Command::Crowd { session, track: out, on: false };
                self.effects.push(Effect::Shard(owner, command));
            }
            return self.arrange(id);
        };
        let before = slot.fill;
        slot.fill = key;
        slot.told = track.map(|track| (track, view));
        if let Some(track) = track {
            peer.crowd.remove(&track);
        }
        let mut news = Vec::new();
        news.extend(key.map(|stream| Sound { stream, why: Why::Source }));
        if let Some(stream) = before {
            peer.crowd.insert(out, stream);
            news.push(Sound { stream, why: Why::Loudness });
        }
        let slots = Peer::map(peer);
        self.tell(id, Notice::Slots { slots });
        self.tell_sound(id, news);
        // What was wished meanwhile, or not any more, is put right.
        self.arrange(id);
    }

    /// Tells a link that was taken up again what it does not hear.
    pub(super) fn tell_unheard(&mut self, id: LinkId) {
        let peer = self.links.get(id).and_then(|link| link.viewing.peer.as_ref());
        let crowd = peer.into_iter().flat_map(|peer| peer.crowd.values());
        let unheard = crowd.map(|stream| Sound { stream: *stream, why: Why::Loudness }).collect();
        self.tell_sound(id, unheard);
    }

    fn tell_sound(&mut self, id: LinkId, streams: Vec<Sound>) {
        if !streams.is_empty() {
            self.tell(id, Notice::Sound { streams });
        }
    }
}
