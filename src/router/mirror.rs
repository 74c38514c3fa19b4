//! Tracks whose publisher is another shard's: asked for when watched, logged here again, so that everything else is the
//! same as for tracks of ours. And what belongs to other shards' sessions, relayed to them.

use std::sync::Arc;

use super::command::Kind;
use super::history::KEYFRAME;
use super::id::{ShardId, TrackId};
use super::peer::{LayerState, MediaBatch, PeerMessage, Relayed, TrackState};
use super::track::MAX_LAYERS;
use super::{MAX_PEER_MESSAGES, Router};
use crate::batch::Path;
use crate::units::{Duration, Instant};

/// How often homes are reminded of what we want: a message may have found its ring full.
const REMIND: Duration = Duration::from_secs(1);
/// Batches of media that may be under way; more are made and not kept.
const MAX_BATCHES: usize = 64;
/// Relay buffers kept for reuse.
const MAX_SPENT: usize = 16;

/// What lies between us and the other shards.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    /// Batches we made: those that no shard holds any more serve again.
    batches: Vec<Arc<MediaBatch>>,
    /// Relays being filled, by shard.
    relays: Vec<(ShardId, Relayed)>,
    spent: Vec<Relayed>,
    reminded: Instant,
}

impl Mirrors {
    /// An empty batch, a used one if there is one.
    fn batch(&mut self, track: TrackId) -> Arc<MediaBatch> {
        let free = self.batches.iter_mut().position(|b| Arc::get_mut(b).is_some());
        let mut batch = match free {
            Some(at) => self.batches.swap_remove(at),
            None => return Arc::new(MediaBatch::new(track)),
        };
        if let Some(inner) = Arc::get_mut(&mut batch) {
            inner.track = track;
            inner.bytes.clear();
            inner.packets.clear();
        }
        batch
    }

    fn keep(&mut self, batch: &Arc<MediaBatch>) {
        if self.batches.len() < MAX_BATCHES {
            self.batches.push(Arc::clone(batch));
        }
    }
}

impl Router {
    /// Takes in a message of another shard.
    pub fn handle_peer(&mut self, now: Instant, from: ShardId, message: PeerMessage) {
        self.at_work = None;
        match message {
            PeerMessage::Relay(mut relayed) => {
                let Relayed { bytes, datagrams } = &mut relayed;
                for (path, start, len) in datagrams.iter() {
                    if let Some(datagram) = bytes.get_mut(*start..start + len) {
                        self.take_in(now, *path, datagram, true);
                    }
                }
                relayed.clear();
                self.send_peer(from, PeerMessage::Spent(relayed));
            }
            PeerMessage::Spent(relayed) => {
                if self.mirrors.spent.len() < MAX_SPENT {
                    self.mirrors.spent.push(relayed);
                }
            }
            PeerMessage::Want { track, layers } => self.take_want(now, from, track, layers),
            PeerMessage::Media(batch) => self.take_batch(now, &batch),
            PeerMessage::State(state) => self.take_state(&state),
            PeerMessage::Keyframe { track, layer } => {
                if self.tracks.find(track).is_some() {
                    self.counters.keyframe_wishes += 1;
                    self.tracks.want_keyframe(track.index, layer.0);
                }
            }
        }
    }

    fn send_peer(&mut self, to: ShardId, message: PeerMessage) {
        if self.to_peers.len() < MAX_PEER_MESSAGES {
            self.to_peers.push_back((to, message));
        } else {
            self.counters.drops.overflow += 1;
        }
    }

    /// Hands a datagram to the shard that owns its session.
    pub(super) fn relay(&mut self, to: ShardId, path: Path, datagram: &[u8]) {
        let mirrors = &mut self.mirrors;
        let at = match mirrors.relays.iter().position(|(shard, _)| *shard == to) {
            Some(at) => at,
            None => {
                mirrors.relays.push((to, mirrors.spent.pop().unwrap_or_default()));
                mirrors.relays.len() - 1
            }
        };
        if mirrors.relays.get_mut(at).is_some_and(|(_, relayed)| relayed.push(path, datagram)) {
            self.counters.relayed += 1;
        } else {
            self.counters.drops.overflow += 1;
        }
    }

    /// Makes messages of what gathered in this turn.
    pub(super) fn fill_peers(&mut self) {
        while let Some((to, relayed)) = self.mirrors.relays.pop() {
            self.to_peers.push_back((to, PeerMessage::Relay(relayed)));
        }
        while let Some(track) = self.tracks.next_state() {
            let layers = |track: &super::track::Track| {
                let layers = track.layers.iter();
                layers
                    .map(|l| LayerState {
                        live: l.live,
                        on_demand: l.demand.can_be_had(),
                        size: l.size,
                        clock: l.clock,
                        rate: l.meter.rate(),
                        shape: l.shape,
                    })
                    .collect()
            };
            for (to, _) in &track.remote {
                let state = TrackState {
                    track: track.id,
                    muted: track.muted,
                    clock_offset: track.clock_offset,
                    voice: track.voice,
                    layers: layers(track),
                };
                self.to_peers.push_back((*to, PeerMessage::State(Box::new(state))));
            }
        }
        while let Some(track) = self.tracks.next_relaying() {
            let wanted = track.remote.iter().fold(0, |all, (_, layers)| all | layers);
            let mut batch = self.mirrors.batch(track.id);
            let Some(content) = Arc::get_mut(&mut batch) else { continue };
            for (at, layer) in track.layers.iter_mut().enumerate() {
                let head = layer.log.head();
                let from = std::mem::replace(&mut layer.relayed, head).max(layer.log.tail());
                if wanted >> at & 1 == 0 {
                    continue;
                }
                content.append(at as u8, &layer.log, from..head);
            }
            if content.packets.is_empty() {
                self.mirrors.keep(&batch);
                continue;
            }
            for (to, _) in track.remote.iter().filter(|(_, layers)| layers & !(1 << 31) != 0) {
                if self.to_peers.len() < MAX_PEER_MESSAGES {
                    self.to_peers.push_back((*to, PeerMessage::Media(Arc::clone(&batch))));
                } else {
                    self.counters.drops.overflow += 1;
                }
            }
            self.mirrors.keep(&batch);
        }
    }

    /// Another shard watches layers of a track of ours. Of a layer that it did not watch before it gets what leads from the
    /// newest keyframe to where the relay goes on; if that is too much, a keyframe is asked for on its behalf.
    fn take_want(&mut self, now: Instant, from: ShardId, id: TrackId, layers: u32) {
        let us = self.config.shard;
        let Some(track) = self.tracks.find_mut(id).filter(|t| t.home == Some(us)) else { return };
        let before = track.remote.iter().position(|(shard, _)| *shard == from);
        let had = before.and_then(|at| track.remote.get(at)).map_or(0, |(_, had)| *had);
        match before.and_then(|at| track.remote.get_mut(at)) {
            Some(_) if layers == 0 => track.remote.retain(|(shard, _)| *shard != from),
            Some(entry) => entry.1 = layers,
            None if layers != 0 => {
                if track.remote.is_empty() {
                    // What came while nobody listened is not sent.
                    track.layers.iter_mut().for_each(|l| l.relayed = l.log.head());
                }
                track.remote.push((from, layers));
            }
            None => return,
        }
        self.tracks.tell(id.index);
        let new = layers & !had;
        for layer in (0..MAX_LAYERS as u8).filter(|at| new >> at & 1 == 1) {
            if !self.send_past(now, from, id, layer) {
                self.tracks.want_keyframe(id.index, layer);
            }
        }
    }

    /// Sends another shard the past of a layer, from where one may begin. False: there is no such place.
    fn send_past(&mut self, now: Instant, to: ShardId, id: TrackId, at: u8) -> bool {
        let mut batch = self.mirrors.batch(id);
        let layer = self.tracks.find(id).and_then(|track| track.layers.get(usize::from(at)));
        let place = layer.and_then(|layer| Some((layer, layer.log.beginning(now)?)));
        let first = place.and_then(|(layer, place)| Some((layer, place, layer.log.get(place)?)));
        if let (Some((layer, place, first)), Some(content)) = (first, Arc::get_mut(&mut batch)) {
            let from = layer.log.overtaken(place, first.epoch, first.seq);
            content.append(at, &layer.log, from..layer.relayed);
        }
        let found = !batch.packets.is_empty();
        if found {
            self.send_peer(to, PeerMessage::Media(Arc::clone(&batch)));
        }
        self.mirrors.keep(&batch);
        found
    }

    /// Tells a track's home what of it is watched here, if that changed.
    pub(super) fn want(&mut self, id: TrackId) {
        let us = self.config.shard;
        let Some(track) = self.tracks.find_mut(id) else { return };
        let Some(home) = track.home.filter(|home| *home != us) else { return };
        let wanted = track.wants();
        if wanted == track.wanted {
            return;
        }
        // A layer that begins to come has a past that is not here.
        let new = wanted & !track.wanted;
        for (_, layer) in track.layers.iter_mut().enumerate().filter(|(at, _)| new >> at & 1 == 1) {
            layer.log.cut();
            // Its home sends what leads up to now, or asks for a keyframe.
            layer.keyframes.asked_elsewhere();
        }
        track.wanted = wanted;
        self.send_peer(home, PeerMessage::Want { track: id, layers: wanted });
    }

    /// Says again what we want.
    pub(super) fn remind_homes(&mut self, now: Instant) {
        if now.since(self.mirrors.reminded) < REMIND {
            return;
        }
        self.mirrors.reminded = now;
        let us = self.config.shard;
        let mut all = Vec::new();
        for track in self.tracks.iter_mut() {
            if let Some(home) = track.home.filter(|home| *home != us && track.wanted != 0) {
                track.wanted = track.wants();
                all.push((home, PeerMessage::Want { track: track.id, layers: track.wanted }));
            }
        }
        all.into_iter().for_each(|(home, message)| self.send_peer(home, message));
    }

    /// Packets of a track that we watch.
    fn take_batch(&mut self, now: Instant, batch: &MediaBatch) {
        let Some(track) = self.tracks.find_mut(batch.track) else { return };
        let wanted = track.wanted;
        let mut fresh = 0u32;
        for packet in &batch.packets {
            let bit = 1u32.checked_shl(packet.layer.into()).unwrap_or(0);
            let Some(layer) = track.layers.get_mut(usize::from(packet.layer)) else { continue };
            if wanted & bit == 0 {
                continue;
            }
            let descriptor = usize::from(packet.entry.descriptor);
            let end = packet.start + descriptor + usize::from(packet.entry.len);
            let Some(bytes) = batch.bytes.get(packet.start..end) else { continue };
            let Some((descriptor, payload)) = bytes.split_at_checked(descriptor) else { continue };
            let mut entry = packet.entry;
            // The clock is the same; a keyframe of a second ago is as old here.
            entry.arrival = entry.arrival.min(now);
            layer.epoch = entry.epoch;
            layer.log.append(entry, descriptor, payload);
            if entry.is(KEYFRAME) {
                if let Some(descriptor) = descriptor.get(usize::from(entry.capture)..) {
                    layer.dependencies.learn(descriptor);
                }
                track.keyframe_came(packet.layer);
            }
            track.heard(packet.layer, 0, now);
            track.payload = packet.entry.payload;
            fresh |= bit;
            self.counters.mirrored += 1;
        }
        for layer in (0..32).filter(|at| fresh >> at & 1 == 1) {
            self.tracks.freshen(batch.track.index, layer);
        }
    }

    /// How a track does that we watch.
    fn take_state(&mut self, state: &TrackState) {
        let us = self.config.shard;
        let Some(track) = self.tracks.find_mut(state.track).filter(|t| t.home != Some(us)) else { return };
        // Voices are told of often, and are all the same to who hears them.
        let same =
            track.kind == Kind::Audio && (track.muted, track.voice.quiet) == (state.muted, state.voice.quiet);
        track.muted = state.muted;
        track.clock_offset = state.clock_offset;
        track.voice = state.voice;
        for (layer, told) in track.layers.iter_mut().zip(&state.layers) {
            (layer.live, layer.size, layer.clock) = (told.live, told.size, told.clock);
            layer.shape = told.shape;
            layer.meter.set(told.rate);
            layer.demand.told(told.on_demand, told.live);
        }
        if !same {
            self.reselect(state.track);
        }
        self.admit(state.track);
        self.want(state.track);
    }
}
