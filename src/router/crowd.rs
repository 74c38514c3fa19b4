//! Sound in large rooms: a viewer has a few audio slots, and who begins to talk takes the one whose speaker has been
//! silent for longest. Each shard decides for its own viewers as soon as it hears a voice, or is told of one by the
//! shard that does: the state of a track, which goes to every shard where someone watches it, says how it is heard.

use super::command::Kind;
use super::id::{SessionId, TrackId};
use super::speakers::Voice;
use super::track::Sub;
use super::{Router, session_at};
use crate::units::Instant;

/// Tracks of one viewer's crowd: beyond it is not heard.
const MAX_CROWD: usize = 1024;
/// Where all slots talk, a voice must have talked for so many frames of the last half second more than one of them.
const CLEARLY: u32 = 12;

impl Router {
    /// A packet of a track came with this level.
    pub(super) fn hear(&mut self, now: Instant, id: TrackId, level: u8) {
        let Some(track) = self.tracks.find_mut(id) else { return };
        let quiet = track.voice.quiet;
        if !track.voice.hear(level, now) {
            return;
        }
        let wakes = quiet != track.voice.quiet;
        self.voice_changed(id, wakes);
    }

    fn voice_changed(&mut self, id: TrackId, wakes: bool) {
        self.tracks.tell(id.index);
        self.admit(id);
        if wakes {
            self.reselect(id);
        }
    }

    /// Finds out who ceased to talk, and who dominates.
    pub(super) fn listen(&mut self, now: Instant) {
        let (mut changed, mut talking) = (Vec::new(), Vec::new());
        for track in self.tracks.iter_mut().filter(|t| t.kind == Kind::Audio && t.publisher.is_some()) {
            let quiet = track.voice.quiet;
            let news = track.voice.tick(now);
            if news || (track.voice.talking && !track.crowd.is_empty()) {
                changed.push((track.id, quiet != track.voice.quiet));
            }
            if track.voice.talking {
                talking.push((track.id, track.voice));
            }
        }
        changed.into_iter().for_each(|(id, wakes)| self.voice_changed(id, wakes));
        self.speakers.tick(now, &talking, self.config.shards > 1);
    }

    /// A track joins or leaves the crowd of a viewer.
    pub(super) fn set_crowd(&mut self, now: Instant, id: SessionId, track: TrackId, on: bool) {
        let Some(session) = self.session(id) else { return };
        if !on {
            session.crowd.retain(|t| *t != track);
            return self.leave_crowd(track, id.index);
        }
        if session.slots.iter().any(|slot| slot.track == Some(track)) {
            return;
        }
        self.add_to_crowd(id.index, track);
        self.start_ticking(now);
        self.admit(track);
        self.want(track);
    }

    pub(super) fn leave_crowd(&mut self, id: TrackId, place: u32) {
        if let Some(track) = self.tracks.find_mut(id) {
            track.crowd.retain(|p| *p != place);
        }
        self.want(id);
    }

    /// Lets a track that talks be heard by all in whose crowd it is.
    pub(super) fn admit(&mut self, id: TrackId) {
        let Some(track) = self.tracks.find(id).filter(|t| t.voice.talking && !t.crowd.is_empty()) else {
            return;
        };
        let mut subs = std::mem::take(&mut self.subs);
        subs.extend(track.crowd.iter().map(|place| Sub { session: *place, slot: 0 }));
        subs.drain(..).for_each(|sub| self.admit_to(sub.session, id));
        self.subs = subs;
    }

    fn admit_to(&mut self, place: u32, id: TrackId) {
        let Some(medium) = self.tracks.find(id).map(|t| t.voice.medium()) else { return };
        let Some((slot, voice)) = self.least_heard(place) else { return };
        if voice.talking && medium < voice.medium() + CLEARLY {
            return;
        }
        self.send_out(Sub { session: place, slot }, Some(id));
        self.want(id);
    }

    /// Sends those who are heard least into the crowd, until no more are heard than may be.
    pub(super) fn hush(&mut self, place: u32) {
        loop {
            let Some(session) = session_at(&mut self.sessions, place) else { return };
            let heard = session.slots.iter().filter(|s| s.params.kind == Kind::Audio && s.track.is_some());
            if heard.count() <= usize::from(session.voices) {
                return;
            }
            let Some((slot, _)) = self.least_heard(place) else { return };
            self.send_out(Sub { session: place, slot }, None);
        }
    }

    /// The audio slot of a viewer that can be missed most easily, and the voice in it.
    fn least_heard(&mut self, place: u32) -> Option<(u16, Voice)> {
        let session = session_at(&mut self.sessions, place)?;
        let slots = (0..).zip(&session.slots).filter(|(_, slot)| slot.params.kind == Kind::Audio);
        let voices = slots.filter_map(|(at, slot)| Some((at, self.tracks.find(slot.track?)?.voice)));
        voices.min_by_key(|(_, voice)| match voice.talking {
            true => (true, voice.medium(), voice.talked),
            false => (false, 0, voice.talked),
        })
    }

    /// What a slot carries joins the crowd, and `to` takes its place.
    fn send_out(&mut self, me: Sub, to: Option<TrackId>) {
        let slot = session_at(&mut self.sessions, me.session).and_then(|s| s.slots.get(usize::from(me.slot)));
        let Some(out) = slot.and_then(|slot| slot.track) else { return };
        self.put(me, to);
        self.add_to_crowd(me.session, out);
        let slot =
            session_at(&mut self.sessions, me.session).and_then(|s| s.slots.get_mut(usize::from(me.slot)));
        if let Some(slot) = slot {
            slot.moved.get_or_insert(out);
        }
        self.slot_news.push(me);
        self.want(out);
        self.aim(me.session);
    }

    /// A slot that `out` lost to `taken` went to something else before the control plane knew of it.
    pub(super) fn take_back(&mut self, place: u32, out: TrackId, taken: Option<TrackId>) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        session.crowd.retain(|t| *t != out);
        let held = session.slots.iter().any(|slot| slot.track == taken);
        self.leave_crowd(out, place);
        if let Some(taken) = taken.filter(|_| !held) {
            self.add_to_crowd(place, taken);
            self.want(taken);
        }
    }

    fn add_to_crowd(&mut self, place: u32, id: TrackId) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        if session.crowd.len() >= MAX_CROWD || session.crowd.contains(&id) {
            return;
        }
        if let Some(track) = self.tracks.enter(id, Kind::Audio) {
            session.crowd.push(id);
            track.crowd.push(place);
        }
    }
}
