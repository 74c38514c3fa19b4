//! Sound in large rooms: a viewer has a few audio slots, and who begins to talk takes the one whose speaker has been
//! silent for longest. Each shard decides for its own viewers as soon as it hears a voice, or is told of one by the
//! shard that does: the state of a track, which goes to every shard where someone watches it, says how it is heard.

use super::command::Kind;
use super::id::{SessionId, TrackId};
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
        self.speakers.tick(now, &talking);
    }

    /// A track joins or leaves the crowd of a viewer.
    pub(super) fn set_crowd(&mut self, now: Instant, id: SessionId, track: TrackId, on: bool) {
        let Some(session) = self.session(id) else { return };
        if !on {
            session.crowd.retain(|t| *t != track);
            return self.leave_crowd(track, id.index);
        }
        let held = session.slots.iter().any(|slot| slot.track == Some(track));
        if held || session.crowd.contains(&track) || session.crowd.len() >= MAX_CROWD {
            return;
        }
        session.crowd.push(track);
        if let Some(track) = self.tracks.enter(track, Kind::Audio) {
            track.crowd.push(id.index);
        }
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
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        let slots = (0..).zip(&session.slots).filter(|(_, slot)| slot.params.kind == Kind::Audio);
        let held = slots.filter_map(|(at, slot)| Some((at, slot.track?)));
        let voices = held.filter_map(|(at, held)| Some((at, held, &self.tracks.find(held)?.voice)));
        let rank = |voice: &super::speakers::Voice| match voice.talking {
            true => (true, voice.medium(), voice.talked),
            false => (false, 0, voice.talked),
        };
        let least = voices.min_by_key(|(_, _, voice)| rank(voice));
        let Some((slot, out, voice)) = least else { return };
        if voice.talking && medium < voice.medium() + CLEARLY {
            return;
        }
        let me = Sub { session: place, slot };
        self.put(me, Some(id));
        if let Some(session) = session_at(&mut self.sessions, place) {
            session.crowd.push(out);
            if let Some(slot) = session.slots.get_mut(usize::from(slot)) {
                slot.moved = true;
            }
        }
        if let Some(out) = self.tracks.find_mut(out) {
            out.crowd.push(place);
        }
        self.slot_news.push(me);
        self.want(id);
        self.want(out);
        self.aim(place);
    }
}
