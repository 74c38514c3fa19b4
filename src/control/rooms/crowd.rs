//! Large rooms: a viewer has a few audio slots, and what finds none of them is its crowd. Whose voice is heard takes a
//! slot by itself, on the viewer's shard and at once; here it is only learned which, for the viewer's map of slots.

use std::collections::BTreeSet;

use super::connection::Purpose;
use super::view::{Peer, Viewing};
use super::{Effect, Rooms};
use crate::router::command::{Command, Kind};
use crate::router::id::{SessionId, ShardId, SlotId, TrackId};
use crate::signal::message::Notice;

impl Rooms {
    /// Tells the owner of a viewer's connection which sound has no slot.
    pub(super) fn sync_crowd(&mut self, owner: ShardId, viewing: &mut Viewing) {
        let Some(peer) = &mut viewing.peer else { return };
        let outside = viewing.wishes.iter().filter(|(key, wish)| wish.hears() && !peer.carries(**key));
        let crowd: BTreeSet<TrackId> = outside
            .filter_map(|(key, _)| self.streams.get(&super::watch::stream_id(*key))?.track(Kind::Audio))
            .collect();
        let session = peer.session;
        let told = std::mem::take(&mut peer.crowd);
        let mut tell = |track: &TrackId, on| {
            let command = Command::Crowd { session, track: *track, on };
            self.effects.push(Effect::Shard(owner, command));
        };
        told.difference(&crowd).for_each(|track| tell(track, false));
        crowd.difference(&told).for_each(|track| tell(track, true));
        peer.crowd = crowd;
    }

    /// A shard gave a slot to a voice of the crowd.
    pub(super) fn slot_track(&mut self, session: SessionId, slot: SlotId, track: TrackId) {
        let Some(Purpose::Watching(id)) = self.sessions.get(session).map(|session| session.purpose) else {
            return;
        };
        let stream = self.tracks.get(track).map(|track| track.stream);
        let Some(Viewing { wishes, peer: Some(peer), .. }) = self.links.get_mut(id).map(|l| &mut l.viewing)
        else {
            return;
        };
        let key = wishes.keys().copied().find(|key| Some(super::watch::stream_id(*key)) == stream);
        let Some(slot) = peer.slots.iter_mut().find(|known| known.id == slot) else { return };
        slot.fill = key;
        let out = slot.told.map(|(out, view)| {
            slot.told = Some((track, view));
            out
        });
        peer.crowd.remove(&track);
        peer.crowd.extend(out.filter(|out| *out != track));
        let slots = Peer::map(peer);
        self.tell(id, Notice::Slots { slots });
        // What was wished meanwhile, or not any more, is put right.
        self.arrange(id);
    }
}
