//! Gives each slot of a viewer what it sends: gathers what its tiles ask for, has that fitted to the budget, and tells
//! slots, tracks and control plane what changed. Done once for all changes of a turn, before anything is sent.

use super::allocate::Ask;
use super::command::Kind;
use super::egress::select;
use super::event::Why;
use super::id::TrackId;
use super::target::{NONE, Rungs, Target};
use super::track::Sub;
use super::{Router, session_at};
use crate::units::{Bitrate, Instant};

/// What sound costs before it was measured.
const SOUND: Bitrate = Bitrate::from_kbps(40);
/// So many tenths of the last second someone must talk to be served first: no word in between counts.
const TALKS: u32 = 5;
/// Packets of the sound before it was found worth sending that are sent, too: the beginning of a word.
const BEFORE: u64 = 3;

/// What is to become of a slot.
enum Wish {
    Nothing(Why),
    Sound(Bitrate),
    /// What others leave it of what it asks for.
    Picture,
}

impl Router {
    /// The slots of a session are to be looked at anew.
    pub(super) fn aim(&mut self, place: u32) {
        if let Some(session) = session_at(&mut self.sessions, place)
            && !std::mem::replace(&mut session.aiming, true)
        {
            self.aiming.push(place);
        }
    }

    /// What is live of a track changed: every slot that holds it may want something else.
    pub(super) fn reselect(&mut self, id: TrackId) {
        let Some(track) = self.tracks.find(id) else { return };
        let mut subs = std::mem::take(&mut self.subs);
        subs.extend_from_slice(&track.watchers);
        subs.drain(..).for_each(|sub| self.aim(sub.session));
        self.subs = subs;
    }

    /// Looks at all slots that are to be looked at.
    pub(super) fn aim_all(&mut self, now: Instant) {
        while let Some(place) = self.aiming.pop() {
            self.at_work = Some(place);
            self.allocate(now, place);
        }
    }

    fn allocate(&mut self, now: Instant, place: u32) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        session.aiming = false;
        let count = session.slots.len() as u16;
        let mut asks = std::mem::take(&mut self.asks);
        let mut sound = 0;
        for me in (0..count).map(|slot| Sub { session: place, slot }) {
            match self.wish(me, &mut asks) {
                Some(Wish::Nothing(why)) => self.turn_to(now, me, Target::NOTHING, why),
                Some(Wish::Sound(rate)) => {
                    sound += rate.as_bps();
                    self.turn_to(now, me, Target::whole(0), Why::Source);
                }
                Some(Wish::Picture) | None => {}
            }
        }
        if let Some(session) = session_at(&mut self.sessions, place) {
            session.share(now, Bitrate::from_bps(sound), &mut asks);
            let paused = asks.iter().filter(|ask| ask.given.is_none()).count();
            let short = asks.iter().filter(|ask| ask.given != Some(ask.wanted)).count();
            (session.stats.limited, session.stats.paused) = ((short - paused) as u16, paused as u16);
        }
        for ask in asks.drain(..) {
            let me = Sub { session: place, slot: ask.slot };
            match ask.given.and_then(|given| ask.rungs.get(given)) {
                Some(rung) if ask.given == Some(ask.wanted) => self.turn_to(now, me, rung.target, ask.why),
                Some(rung) => self.turn_to(now, me, rung.target, Why::Bandwidth),
                None => self.turn_to(now, me, Target::NOTHING, Why::Paused),
            }
        }
        self.asks = asks;
    }

    /// What a slot would send if there were no other; `None` if it holds nothing.
    fn wish(&mut self, me: Sub, asks: &mut Vec<Ask>) -> Option<Wish> {
        let slot = session_at(&mut self.sessions, me.session)?.slots.get(usize::from(me.slot))?;
        let track = self.tracks.find(slot.track?)?;
        if !slot.view.active {
            return Some(Wish::Nothing(Why::Inactive));
        }
        if track.kind == Kind::Audio {
            let rate = track.layers.first().and_then(|l| l.meter.rate()).unwrap_or(SOUND);
            return Some(match track.muted {
                _ if track.voice.quiet => Wish::Nothing(Why::Silent),
                true => Wish::Nothing(Why::Silent),
                false if !slot.takes(track) => Wish::Nothing(Why::Codec),
                false => Wish::Sound(rate),
            });
        }
        let rungs = track.rungs();
        let Some((wanted, why)) = select::choose(&slot.view, &rungs) else {
            return Some(Wish::Nothing(Why::Silent));
        };
        if !slot.takes(track) {
            return Some(Wish::Nothing(Why::Codec));
        }
        asks.push(Ask {
            slot: me.slot,
            priority: slot.view.priority,
            talking: track
                .sound()
                .and_then(|id| self.tracks.find(id))
                .is_some_and(|t| t.voice.long() >= TALKS),
            area: slot.view.tile.area(),
            now: place_of(slot.target, &rungs),
            rungs,
            wanted,
            why,
            limited: matches!(slot.why, Why::Bandwidth | Why::Paused),
            given: None,
        });
        Some(Wish::Picture)
    }

    /// Tells a slot what to send, and everyone concerned.
    fn turn_to(&mut self, now: Instant, me: Sub, target: Target, why: Why) {
        let Some(session) = session_at(&mut self.sessions, me.session) else { return };
        let Some(slot) = session.slots.get_mut(usize::from(me.slot)) else { return };
        let Some(id) = slot.track else { return };
        let Some(track) = self.tracks.find_mut(id) else { return };
        let (target, why) = track.attain(target, why);
        let (before, before_why) = (slot.target, slot.why);
        if (target, why) == (before, before_why) {
            return;
        }
        (slot.target, slot.why) = (target, why);
        if target.is_nothing() {
            slot.stop();
            for layer in &mut track.layers {
                layer.subs.retain(|s| *s != me);
            }
        } else if target != before {
            let sent = slot.layer();
            if before.layer != sent && before.layer != target.layer {
                track.leave(before.layer, me);
            }
            track.join(target.layer, me);
            if sent == NONE {
                let head = track.layers.get(usize::from(target.layer)).map_or(0, |l| l.log.head());
                slot.begin_at(head.saturating_sub(BEFORE));
            }
            let layer = track.layers.get(usize::from(target.layer));
            if !session.is_secured() && layer.is_some_and(|l| l.log.beginning(now).is_none()) {
                // It is there when the handshake is done; asked for once, since that may never be.
                self.tracks.want_keyframe(id.index, target.layer);
            }
            // The layer may have a keyframe at hand; if not, the first pull asks for one.
            self.queue.mark_slot(me);
        }
        self.slot_news.push(me);
        self.want(id);
    }

    /// A session may send from now on: its pictures begin with what is at hand, its sound with what is said now.
    pub(super) fn begin_slots(&mut self, place: u32) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        for (at, slot) in session.slots.iter_mut().enumerate() {
            let track = slot.track.and_then(|id| self.tracks.find(id));
            let Some(layer) = track.and_then(|t| t.layers.get(usize::from(slot.target.layer))) else {
                continue;
            };
            slot.begin_at(layer.log.head().saturating_sub(BEFORE));
            self.queue.mark_slot(Sub { session: place, slot: at as u16 });
        }
    }
}

/// The place of a target among the rungs; of one that is gone, that of the next below.
fn place_of(target: Target, rungs: &Rungs) -> Option<usize> {
    if target.is_nothing() {
        return None;
    }
    let order = |t: Target| (t.layer, t.spatial, t.temporal);
    let exact = rungs.iter().position(|rung| rung.target == target);
    exact.or_else(|| rungs.iter().rposition(|rung| order(rung.target) < order(target))).or(Some(0))
}
