//! What there is to tell the control plane: made of the state when it is asked for, so that a hundred changes between two
//! turns are one event.

use std::sync::Arc;

use super::command::Kind;
use super::event::{Event, LayerMeasure, Why};
use super::id::{LayerId, SessionId};
use super::recorder::What;
use super::target::ALL;
use super::{MAX_EVENTS, Router, session_at};

impl Router {
    pub(super) fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.session_event() {
            return Some(event);
        }
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if let Some(event) = self.track_event() {
            return Some(event);
        }
        if let Some(event) = self.slot_event() {
            return Some(event);
        }
        self.speakers.news().map(Event::Talking)
    }

    /// Tells what passed in each slot and layer of a session.
    pub(super) fn measure(&mut self, id: SessionId) {
        let Some(session) = session_at(&mut self.sessions, id.index).filter(|s| s.params.id == id) else {
            return;
        };
        if self.events.len() >= MAX_EVENTS {
            return;
        }
        let slots = session.slots.iter().filter_map(|slot| slot.measure()).collect();
        let tracks = session.params.tracks.iter().filter_map(|track| self.tracks.find(track.id));
        let layers = tracks.flat_map(|track| {
            let live = track.layers.iter().enumerate().filter(|(_, layer)| layer.live);
            live.map(|(at, layer)| LayerMeasure {
                track: track.id,
                layer: LayerId(at as u8),
                rate: layer.meter.rate().unwrap_or_default(),
                fps: if track.kind == Kind::Video { layer.frames.up_to(ALL) } else { 0 },
            })
        });
        let layers = layers.collect();
        self.events.push_back(Event::Measured { session: id, slots, layers });
    }

    /// Tells what the flight recorder of a session has.
    pub(super) fn recall(&mut self, id: SessionId) {
        let Some(session) = session_at(&mut self.sessions, id.index).filter(|s| s.params.id == id) else {
            return;
        };
        if self.events.len() < MAX_EVENTS {
            let recording = Arc::new(session.recall());
            self.events.push_back(Event::Recalled { session: id, recording });
        }
    }

    fn session_event(&mut self) -> Option<Event> {
        let shard = self.config.shard;
        while let Some(place) = self.news.last().copied() {
            if let Some(session) = session_at(&mut self.sessions, place) {
                let id = session.params.id;
                let news = &mut session.news;
                if std::mem::take(&mut news.claimed) {
                    return Some(Event::Claimed { session: id, shard });
                }
                if std::mem::take(&mut news.lost) {
                    return Some(Event::Lost(id));
                }
                if std::mem::take(&mut news.found) {
                    return Some(Event::Found(id));
                }
                if std::mem::take(&mut news.stats) {
                    return Some(Event::Stats { session: id, stats: session.stats });
                }
                news.listed = false;
            }
            self.news.pop();
        }
        None
    }

    fn track_event(&mut self) -> Option<Event> {
        loop {
            let track = self.tracks.next_news()?;
            let Some(publisher) = track.publisher else { continue };
            let Some(codec) = track.codec(track.payload) else { continue };
            let layers = track.layers.iter().enumerate().filter(|(_, l)| l.live);
            let layers: Vec<_> = layers.map(|(at, l)| (LayerId(at as u8), l.size)).collect();
            let track = track.id;
            if let Some(session) = session_at(&mut self.sessions, publisher) {
                let layers = layers.iter().fold(0, |bits, (layer, _)| bits | 1 << layer.0);
                session.notes.add(self.turn_at, What::Arrives { track, layers });
            }
            return Some(Event::TrackLive { track, codec, layers });
        }
    }

    fn slot_event(&mut self) -> Option<Event> {
        while let Some(sub) = self.slot_news.pop() {
            let Some(session) = session_at(&mut self.sessions, sub.session) else { continue };
            let (id, bounded) = (session.params.id, session.is_bounded());
            let Some(slot) = session.slots.get_mut(usize::from(sub.slot)) else { continue };
            if let Some(out) = slot.moved.take() {
                let (slot, track) = (slot.params.slot, slot.track);
                self.slot_news.push(sub);
                return Some(Event::SlotTrack { session: id, slot, track, out });
            }
            let mut shown = slot.shown(&self.tracks);
            if bounded && shown.1 == Why::Bandwidth {
                shown.1 = Why::Cap;
            }
            if slot.reported == Some(shown) {
                continue;
            }
            slot.reported = Some(shown);
            let (layer, why) = shown;
            let (slot, layer_id) = (slot.params.slot, layer.map(|(id, _)| id));
            session.notes.add(self.turn_at, What::Sends { slot, layer: layer_id, why });
            return Some(Event::SlotLayer { session: id, slot, layer, why });
        }
        None
    }
}
