//! What passes in each slot and layer: asked of the shards while somebody looks, and forgotten soon after.
//!
//! 1. Whoever looks at a person or a stream has the owners of its sessions asked, at most about once a second.
//! 2. They answer with counters; the difference of two answers is a rate.
//! 3. A session that nobody looked at for a while is forgotten.

use std::collections::HashMap;
use std::time::Duration;

use super::{Effect, Rooms, Timer};
use crate::control::ids::{Gid, Uid};
use crate::router::command::Command;
use crate::router::event::{LayerMeasure, SlotMeasure};
use crate::router::id::{LayerId, SessionId, SlotId, TrackId};
use crate::signal::message::StreamId;
use crate::units::{Bitrate, Instant};

/// Between two questions, less some jitter of who asks every second.
const EVERY: Duration = Duration::from_millis(900);
/// Over a shorter time a rate says little.
const SHORTEST: Duration = Duration::from_millis(200);
/// What is older is not of now.
const FRESH: Duration = Duration::from_secs(5);
/// How long after the last look a session is remembered.
const KEPT: Duration = Duration::from_secs(10);

/// What is known of the sessions that somebody looks at.
#[derive(Debug, Default)]
pub(super) struct Measures(HashMap<SessionId, Measured>);

#[derive(Debug)]
struct Measured {
    asked: Instant,
    at: Instant,
    slots: Vec<(SlotMeasure, Option<Bitrate>)>,
    layers: Vec<LayerMeasure>,
}

/// What a slot sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) layer: Option<LayerId>,
    pub(super) rate: Option<Bitrate>,
}

impl Measures {
    fn fresh(&self, now: Instant, session: SessionId) -> Option<&Measured> {
        let measured = self.0.get(&session)?;
        (measured.at != Instant::ZERO && now.since(measured.at) <= FRESH).then_some(measured)
    }

    /// What a slot sends; nothing where it never sent, and unknown before it was measured twice.
    pub(super) fn slot(&self, now: Instant, session: SessionId, slot: SlotId) -> Sent {
        let Some(measured) = self.fresh(now, session) else { return Sent::default() };
        let found = measured.slots.iter().find(|(of, _)| of.slot == slot);
        let unsent = Sent { layer: None, rate: Some(Bitrate::ZERO) };
        found.map_or(unsent, |(of, rate)| Sent { layer: of.layer, rate: *rate })
    }

    /// Rate and pictures a second of a layer that arrives; nothing of one that does not, unknown before it was measured.
    pub(super) fn layer(
        &self,
        now: Instant,
        session: SessionId,
        track: TrackId,
        layer: LayerId,
    ) -> Option<(Bitrate, u16)> {
        let measured = self.fresh(now, session)?;
        let found = measured.layers.iter().find(|of| of.track == track && of.layer == layer);
        Some(found.map_or((Bitrate::ZERO, 0), |of| (of.rate, of.fps)))
    }
}

impl Rooms {
    /// Has measured what somebody in a group publishes and watches.
    pub fn look_at_person(&mut self, now: Instant, gid: Gid, uid: Uid) {
        self.sessions_of(gid, uid).into_iter().for_each(|session| self.look_at(now, session));
    }

    /// Has measured what passes in a stream.
    pub fn look_at_stream(&mut self, now: Instant, stream: StreamId) {
        if let Some(session) = self.streams.get(&stream).map(|published| published.session) {
            self.look_at(now, session);
        }
    }

    fn look_at(&mut self, now: Instant, session: SessionId) {
        let Some(owner) = self.sessions.get(session).and_then(|session| session.owner) else { return };
        match self.measures.0.get_mut(&session) {
            Some(measured) if now.since(measured.asked) < EVERY => return,
            Some(measured) => measured.asked = now,
            None => {
                let new = Measured { asked: now, at: Instant::ZERO, slots: Vec::new(), layers: Vec::new() };
                self.measures.0.insert(session, new);
                self.wake_at(now + KEPT, Timer::Measured(session));
            }
        }
        self.effects.push(Effect::Shard(owner, Command::Measure(session)));
    }

    /// A shard's answer.
    pub(super) fn passed(
        &mut self,
        now: Instant,
        session: SessionId,
        slots: Vec<SlotMeasure>,
        layers: Vec<LayerMeasure>,
    ) {
        let Some(measured) = self.measures.0.get_mut(&session) else { return };
        let elapsed = now.since(measured.at);
        if measured.at != Instant::ZERO && elapsed < SHORTEST {
            return;
        }
        let before = std::mem::take(&mut measured.slots);
        let rate = |slot: &SlotMeasure| {
            let (old, _) = before.iter().find(|(old, _)| old.slot == slot.slot)?;
            Some(Bitrate::of(slot.bytes.wrapping_sub(old.bytes).into(), elapsed))
        };
        measured.slots = slots.into_iter().map(|slot| (slot, rate(&slot))).collect();
        (measured.at, measured.layers) = (now, layers);
    }

    /// Forgets a session that nobody looks at any more.
    pub(super) fn measured_over(&mut self, now: Instant, session: SessionId) {
        let Some(measured) = self.measures.0.get(&session) else { return };
        let over = measured.asked + KEPT;
        if over > now {
            self.wake_at(over, Timer::Measured(session));
        } else {
            self.measures.0.remove(&session);
        }
    }
}
