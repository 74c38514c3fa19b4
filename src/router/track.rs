//! Published tracks as this shard knows them: their logs, whether filled by a publisher of ours or from another
//! shard, and who pulls from them.

use std::sync::Arc;

use super::command::{Kind, SessionParams, TrackParams};
use super::demand::Demand;
use super::event::Why;
use super::history::Log;
use super::id::{LayerId, ShardId, TrackId};
use super::ingest::dependencies::Dependencies;
use super::ingest::frames::Frames;
use super::ingest::limit::{Limit, Seen};
use super::ingest::meter::Meter;
use super::ingest::reception::Reception;
use super::ingest::shape::{Shape, Shaper};
use super::keyframes::Keyframes;
use super::speakers::Voice;
use super::target::{ALL, Rung, Rungs, Target, guessed_rate, usual_keyframe};
use crate::units::{Duration, Instant, PictureSize};
use crate::wire::payload::Codec;

/// The most layers of a track.
pub(crate) const MAX_LAYERS: usize = 8;
/// The highest place in the table: what the control plane names beyond is not believed.
const MAX_TRACKS: u32 = 1 << 20;
/// A layer that was silent for so many of its usual gaps, within these bounds, while others of its track arrive, is gone.
const SILENT_GAPS: u32 = 15;
const SILENT_AT_LEAST: Duration = Duration::from_millis(500);
const SILENT_AT_MOST: Duration = Duration::from_millis(1000);
/// A track of which nothing came for so long is silent.
const ALL_SILENT: Duration = Duration::from_millis(2500);

/// A subscription: a slot of a session of this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sub {
    /// Place of the session.
    pub(crate) session: u32,
    pub(crate) slot: u16,
}

/// What a sender report says: this timestamp was sampled at that time of the sender's clock, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) ntp: i64,
    pub(crate) ts: u32,
}

impl Clock {
    /// The time at which `ts` was sampled.
    pub(crate) fn ntp_of(&self, ts: u32, rate: u32) -> i64 {
        let ticks = i64::from(ts.wrapping_sub(self.ts) as i32);
        self.ntp.saturating_add(ticks * 1_000_000 / i64::from(rate.max(1)))
    }

    /// The timestamp of what is sampled at `ntp`.
    pub(crate) fn ts_at(&self, ntp: i64, rate: u32) -> u32 {
        let passed = i128::from(ntp.saturating_sub(self.ntp));
        self.ts.wrapping_add((passed * i128::from(rate) / 1_000_000) as u32)
    }
}

/// One layer.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) log: Log,
    /// Who sends it now or waits for its keyframe.
    pub(crate) subs: Vec<Sub>,
    pub(crate) size: Option<PictureSize>,
    pub(crate) live: bool,
    /// When its last packet came.
    heard: Option<Instant>,
    /// The usual time between two arrivals.
    gap: Duration,
    pub(crate) clock: Option<Clock>,
    /// What it costs.
    pub(crate) meter: Meter,
    /// What it is made of.
    pub(crate) shape: Shape,
    pub(crate) shaper: Shaper,
    /// How many pictures it brings.
    pub(crate) frames: Frames,
    /// What its dependency descriptors refer to.
    pub(crate) dependencies: Dependencies,
    pub(crate) demand: Demand,
    /// More than its publisher may send: what comes of it is dropped.
    pub(crate) refused: bool,
    pub(crate) epoch: u32,
    /// Has packets that were not yet pulled.
    fresh: bool,
    pub(crate) keyframes: Keyframes,
    /// Up to where other shards have it.
    pub(crate) relayed: u64,
    /// Loss and order on the way in, at the publisher's shard.
    pub(crate) reception: Option<Box<Reception>>,
}

/// One track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) kind: Kind,
    pub(crate) home: Option<ShardId>,
    /// Place of the publishing session, if it is this shard's.
    pub(crate) publisher: Option<u32>,
    source: Option<(Arc<SessionParams>, usize)>,
    pub(crate) layers: Vec<Layer>,
    /// All slots that hold the track, whether they send or not.
    pub(crate) watchers: Vec<Sub>,
    /// What other shards want: layers by bit.
    pub(crate) remote: Vec<(ShardId, u32)>,
    /// What we asked of its home.
    pub(crate) wanted: u32,
    pub(crate) muted: bool,
    /// What is heard of it.
    pub(crate) voice: Voice,
    /// Sessions that hear it only while it is among the loudest, by place.
    pub(crate) crowd: Vec<u32>,
    /// Which of its payloads came last.
    pub(crate) payload: u8,
    /// Our clock minus the sender's, in microseconds.
    pub(crate) clock_offset: Option<i64>,
    /// How much of it may come.
    pub(crate) limit: Limit,
    /// Which layers the control plane knows to be wanted, by bit.
    pub(crate) told_active: u32,
    fresh: bool,
    relaying: bool,
    /// In the list of those to tell the control plane of, to tell other shards of, to ask keyframes of.
    in_news: bool,
    in_states: bool,
    in_asking: bool,
}

impl Track {
    fn new(id: TrackId, kind: Kind) -> Self {
        Self {
            id,
            kind,
            home: None,
            publisher: None,
            source: None,
            layers: Vec::new(),
            watchers: Vec::new(),
            remote: Vec::new(),
            wanted: 0,
            muted: false,
            voice: Voice::default(),
            crowd: Vec::new(),
            payload: 0,
            clock_offset: None,
            limit: Limit::default(),
            told_active: 0,
            fresh: false,
            relaying: false,
            in_news: false,
            in_states: false,
            in_asking: false,
        }
    }

    pub(crate) fn params(&self) -> Option<&TrackParams> {
        let (session, at) = self.source.as_ref()?;
        session.tracks.get(*at)
    }

    /// The sound that belongs to this picture.
    pub(crate) fn sound(&self) -> Option<TrackId> {
        let (session, _) = self.source.as_ref()?;
        session.tracks.iter().find(|t| t.kind == Kind::Audio).map(|t| t.id)
    }

    pub(crate) fn codec(&self, payload: u8) -> Option<Codec> {
        Some(self.params()?.payloads.get(usize::from(payload))?.codec)
    }

    pub(crate) fn clock_rate(&self) -> u32 {
        self.params().map_or(90_000, |p| p.clock_rate)
    }

    pub(crate) fn leave(&mut self, layer: u8, sub: Sub) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer))
            && let Some(at) = layer.subs.iter().position(|s| *s == sub)
        {
            layer.subs.swap_remove(at);
        }
    }

    pub(crate) fn join(&mut self, layer: u8, sub: Sub) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer))
            && !layer.subs.contains(&sub)
        {
            layer.subs.push(sub);
        }
    }

    /// The ways to send it that arrive now or can be had on demand, from the least up.
    pub(crate) fn rungs(&self) -> Rungs {
        let mut rungs = Rungs::new();
        let there = |(_, layer): &(usize, &Layer)| layer.live || layer.demand.can_be_had();
        for (at, layer) in self.layers.iter().enumerate().filter(there) {
            let size = self.size_of(at);
            let rate = layer.meter.rate().unwrap_or_else(|| guessed_rate(size, at as u8));
            let ((top, last), whole) =
                (layer.shape.tops(), (layer.shape.top_spatial(), layer.shape.top_temporal()));
            let opening = layer.keyframes.bytes().max(usual_keyframe(rate));
            for (spatial, temporal) in (0..=top).flat_map(|s| (0..=last).map(move |t| (s, t))) {
                // A quarter of the pictures of a larger size is worse than all of a smaller one.
                if temporal == 0 && last >= 2 && !rungs.is_empty() && (spatial > 0 || top == 0) {
                    continue;
                }
                // What comes on top of the topmost belongs to it.
                let all = |layer, top| if layer == top { ALL } else { layer };
                let target = Target {
                    layer: at as u8,
                    spatial: all(spatial, whole.0),
                    temporal: all(temporal, whole.1),
                };
                let size = layer.shape.size(spatial).or(size);
                let rate = layer.shape.part(rate, spatial, temporal);
                rungs.push(Rung { target, size, rate, opening });
            }
        }
        rungs
    }

    /// What is sent for want of `target`: itself, or where it rests, and is wished for by that, the next best of what
    /// arrives.
    pub(crate) fn attain(&mut self, target: Target, why: Why) -> (Target, Why) {
        let at = usize::from(target.layer);
        match self.layers.get_mut(at) {
            Some(layer) if self.kind == Kind::Video && !layer.live => layer.demand.wish(),
            _ => return (target, why),
        }
        let live = |(_, layer): &(usize, &Layer)| layer.live;
        let below = self.layers.iter().enumerate().take(at).rfind(live);
        let nearest = below.or_else(|| self.layers.iter().enumerate().skip(at).find(live));
        let why = if why == Why::Bandwidth { why } else { Why::Keyframe };
        nearest.map_or((Target::NOTHING, Why::Silent), |(at, layer)| {
            let (spatial, temporal) = layer.shape.held.unwrap_or((ALL, ALL));
            (Target { layer: at as u8, spatial, temporal }, why)
        })
    }

    /// Sees which layers nobody watches, where its publisher is. True if that changed which can be had.
    pub(crate) fn tend(&mut self, now: Instant) -> bool {
        if self.kind == Kind::Audio || self.layers.len() < 2 || self.muted {
            return false;
        }
        let remote = self.remote.iter().fold(0, |all, (_, layers)| all | layers);
        let mut changed = false;
        for (at, layer) in self.layers.iter_mut().enumerate() {
            // The smallest is there for whoever comes.
            let watched = at == 0 || !layer.subs.is_empty() || remote >> at & 1 == 1;
            let active = layer.demand.active();
            changed |= layer.demand.tend(now, watched, layer.live);
            if active != layer.demand.active() {
                // Falling silent does not make it cheaper.
                layer.meter.pause();
            }
        }
        changed
    }

    /// Sees which layers are more than its publisher may send. Bits of those of which that changed.
    pub(crate) fn police(&mut self, now: Instant) -> u32 {
        if self.kind == Kind::Audio {
            return 0;
        }
        let seen = self.layers.iter().map(|layer| Seen {
            // Of spatial layers the smallest decides: those above it can be left out.
            size: Some(layer.shape.top_spatial())
                .filter(|top| *top > 0)
                .and_then(|_| layer.shape.size(0))
                .or(layer.size),
            rate: layer.meter.rate().filter(|_| layer.live || layer.refused).unwrap_or_default(),
        });
        let refused = self.limit.refused(now, seen);
        let mut changed = 0;
        let alone = self.layers.len() == 1;
        for (at, layer) in self.layers.iter_mut().enumerate() {
            let part = self.limit.part(alone, &layer.shape, &layer.frames);
            let held = Some(part).filter(|part| *part != (ALL, ALL));
            changed |= u32::from(std::mem::replace(&mut layer.shape.held, held) != held) << at;
            let refuse = refused >> at & 1 == 1;
            if std::mem::replace(&mut layer.refused, refuse) == refuse {
                continue;
            }
            changed |= 1 << at;
            layer.live = false;
            layer.log.cut();
            layer.keyframes.forget();
            // What was dropped leaves a hole in the numbers that no viewer shall take for loss.
            layer.reception = None;
        }
        changed
    }

    /// Layers that bring more pictures than they may, and of which none can be left out.
    pub(crate) fn too_fast(&self) -> usize {
        self.layers.iter().filter(|layer| layer.live && self.limit.too_fast(&layer.frames)).count()
    }

    /// The layers that its publisher shall send, by bit.
    pub(crate) fn active(&self) -> u32 {
        let active = self.layers.iter().enumerate().filter(|(_, l)| l.demand.active());
        active.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    /// Whether the picture size of a layer is not known.
    pub(crate) fn unmeasured(&self, layer: u8) -> bool {
        self.layers.get(usize::from(layer)).is_some_and(|l| l.size.is_none())
    }

    /// The size of a layer, where it is not known guessed from the nearest above: each is half as wide as the next.
    fn size_of(&self, layer: usize) -> Option<PictureSize> {
        let above = self.layers.get(layer..)?;
        let (up, size) = above.iter().enumerate().find_map(|(up, l)| Some((up, l.size?)))?;
        Some(PictureSize::new(size.width >> up, size.height >> up))
    }

    /// Layers that slots of this shard send, wait for or wish for, by bit.
    pub(crate) fn wants(&self) -> u32 {
        let wanted = self.layers.iter().enumerate().filter(|(_, l)| !l.subs.is_empty() || l.demand.wished());
        let layers = wanted.fold(0, |bits, (at, _)| bits | 1 << at);
        // Someone watches but no layer is known to be live: the state of all is still to be learned.
        if layers == 0 && !(self.watchers.is_empty() && self.crowd.is_empty()) { 1 << 31 } else { layers }
    }

    /// Notes a packet of a layer, of so many bytes; true if that changed what is live.
    pub(crate) fn heard(&mut self, layer: u8, bytes: usize, now: Instant) -> bool {
        let Some(layer) = self.layers.get_mut(usize::from(layer)) else { return false };
        layer.meter.count(now, bytes);
        let gap = layer.heard.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        if !gap.is_zero() {
            layer.gap = (layer.gap * 7 + gap.min(SILENT_AT_MOST)) / 8;
        }
        let came_alive = !layer.live;
        layer.live = true;
        came_alive
    }

    /// Finds layers that fell silent; true if any did.
    pub(crate) fn listen(&mut self, now: Instant) -> bool {
        let newest = self.layers.iter().filter_map(|l| l.heard).max().unwrap_or_default();
        let mut changed = false;
        for layer in self.layers.iter_mut().filter(|l| l.live) {
            let heard = layer.heard.unwrap_or_default();
            let silence = (layer.gap * SILENT_GAPS).clamp(SILENT_AT_LEAST, SILENT_AT_MOST);
            if newest.since(heard) >= silence || (self.kind == Kind::Video && now.since(heard) >= ALL_SILENT)
            {
                layer.live = false;
                layer.meter.pause();
                layer.shaper.pause();
                layer.frames = Frames::default();
                changed = true;
            }
        }
        changed
    }

    /// Measures what its layers cost; true if that is news for other shards.
    pub(crate) fn measure(&mut self, now: Instant) -> bool {
        let mut news = false;
        for layer in self.layers.iter_mut().filter(|l| l.demand.active()) {
            news |= layer.meter.tick(now);
            news |= layer.shaper.tick(&mut layer.shape, now);
            layer.frames.tick(now);
        }
        // Sound comes and goes, and costs little.
        news && self.kind == Kind::Video
    }

    /// Forgets what came: the track is muted, or begins anew.
    pub(crate) fn silence(&mut self) {
        for layer in &mut self.layers {
            layer.live = false;
            layer.meter.pause();
            layer.shaper.pause();
            layer.frames = Frames::default();
            layer.heard = None;
            layer.keyframes.forget();
            layer.log.cut();
        }
    }

    /// A keyframe of the layer came.
    pub(crate) fn keyframe_came(&mut self, layer: u8) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            layer.keyframes.came();
        }
    }

    /// Whether keyframes are awaited.
    pub(crate) fn wants_keyframes(&self) -> bool {
        self.layers.iter().any(|l| l.keyframes.wanted())
    }

    /// The layers of which a keyframe is to be asked for now.
    pub(crate) fn due_keyframes(&mut self, now: Instant) -> impl Iterator<Item = LayerId> + '_ {
        let layers = self.layers.iter_mut().enumerate();
        layers.filter_map(move |(at, l)| (l.live && l.keyframes.due(now)).then_some(LayerId(at as u8)))
    }
}

/// All tracks, by place.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    table: Vec<Option<Box<Track>>>,
    /// Tracks with packets that were not yet pulled, and not yet relayed.
    fresh: Vec<u32>,
    relaying: Vec<u32>,
    news: Vec<u32>,
    states: Vec<u32>,
    asking: Vec<u32>,
    epochs: u32,
}

impl Tracks {
    pub(crate) fn at(&self, index: u32) -> Option<&Track> {
        self.table.get(index as usize)?.as_deref()
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Track> {
        self.table.get_mut(index as usize)?.as_deref_mut()
    }

    pub(crate) fn find(&self, id: TrackId) -> Option<&Track> {
        self.at(id.index).filter(|t| t.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: TrackId) -> Option<&mut Track> {
        self.at_mut(id.index).filter(|t| t.id == id)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        self.table.iter_mut().filter_map(|t| t.as_deref_mut())
    }

    /// How many are published here.
    pub(crate) fn published(&self) -> u64 {
        self.table.iter().flatten().filter(|track| track.publisher.is_some()).count() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.iter().all(Option::is_none)
    }

    /// The track of this name, made if it is new; `None` if it is older than what holds its place.
    pub(crate) fn enter(&mut self, id: TrackId, kind: Kind) -> Option<&mut Track> {
        if id.index >= MAX_TRACKS {
            return None;
        }
        let place = id.index as usize;
        if self.table.len() <= place {
            self.table.resize_with(place + 1, || None);
        }
        let place = self.table.get_mut(place)?;
        match place {
            Some(track) if track.id.generation > id.generation => return None,
            Some(track) if track.id == id => {}
            _ => *place = Some(Box::new(Track::new(id, kind))),
        }
        place.as_deref_mut()
    }

    /// Learns what a session will publish.
    pub(crate) fn describe(&mut self, session: &Arc<SessionParams>) {
        for (at, params) in session.tracks.iter().enumerate() {
            let epoch = self.epochs;
            let Some(track) = self.enter(params.id, params.kind) else { continue };
            if track.source.is_some() {
                continue;
            }
            track.kind = params.kind;
            track.muted = params.muted;
            track.limit.most = params.limits;
            let count = params.layers.len().max(params.ssrcs.len()).clamp(1, MAX_LAYERS);
            track.layers.resize_with(count, Layer::default);
            for (number, layer) in track.layers.iter_mut().enumerate() {
                layer.size = params.layers.get(number).and_then(|l| l.size);
                layer.epoch = epoch + 1 + number as u32;
            }
            track.told_active = track.active();
            track.source = Some((session.clone(), at));
            self.epochs = epoch + 1 + count as u32;
        }
    }

    pub(crate) fn remove(&mut self, id: TrackId) -> Option<Box<Track>> {
        self.find(id)?;
        self.table.get_mut(id.index as usize)?.take()
    }

    /// What comes of a layer from now on does not go on from what came before.
    pub(crate) fn begin_epoch(&mut self, id: TrackId, layer: u8) {
        let epoch = self.epochs + 1;
        if let Some(layer) = self.find_mut(id).and_then(|t| t.layers.get_mut(usize::from(layer))) {
            layer.epoch = epoch;
            layer.log.cut();
            self.epochs = epoch;
        }
    }

    /// Notes that a layer has packets to pull.
    pub(crate) fn freshen(&mut self, index: u32, layer: u8) {
        let Some(track) = self.table.get_mut(index as usize).and_then(|t| t.as_deref_mut()) else { return };
        if let Some(layer) = track.layers.get_mut(usize::from(layer)) {
            layer.fresh = true;
        }
        if !track.fresh {
            track.fresh = true;
            self.fresh.push(index);
        }
        if !track.relaying && !track.remote.is_empty() {
            track.relaying = true;
            self.relaying.push(index);
        }
    }

    /// Hands every subscription of a layer with fresh packets to `mark`.
    pub(crate) fn spread(&mut self, mut mark: impl FnMut(Sub)) {
        for index in self.fresh.drain(..) {
            let Some(track) = self.table.get_mut(index as usize).and_then(|t| t.as_deref_mut()) else {
                continue;
            };
            track.fresh = false;
            for layer in track.layers.iter_mut().filter(|l| l.fresh) {
                layer.fresh = false;
                layer.subs.iter().copied().for_each(&mut mark);
            }
        }
    }

    /// Someone needs a keyframe of a layer.
    pub(crate) fn want_keyframe(&mut self, index: u32, layer: u8) {
        let Some(track) = self.table.get_mut(index as usize).and_then(|t| t.as_deref_mut()) else { return };
        if track.kind == Kind::Audio {
            return;
        }
        let Some(layer) = track.layers.get_mut(usize::from(layer)) else { return };
        layer.keyframes.want();
        self.ask(index);
    }

    /// Keyframes that are wanted of a track may be due.
    pub(crate) fn ask(&mut self, index: u32) {
        let Some(track) = self.table.get_mut(index as usize).and_then(|t| t.as_deref_mut()) else { return };
        if !track.in_asking {
            track.in_asking = true;
            self.asking.push(index);
        }
    }

    /// What is live of a track, or how large it is, changed.
    pub(crate) fn changed(&mut self, index: u32) {
        let Some(track) = self.table.get_mut(index as usize).and_then(|t| t.as_deref_mut()) else { return };
        if !track.in_news {
            track.in_news = true;
            self.news.push(index);
        }
        self.tell(index);
    }

    /// Other shards shall know how the track does.
    pub(crate) fn tell(&mut self, index: u32) {
        let Some(track) = self.table.get_mut(index as usize).and_then(|t| t.as_deref_mut()) else { return };
        if !track.in_states && !track.remote.is_empty() {
            track.in_states = true;
            self.states.push(index);
        }
    }

    /// The next track of which keyframes may be due.
    pub(crate) fn next_asking(&mut self) -> Option<&mut Track> {
        let index = next_of(&mut self.asking, &self.table)?;
        let track = self.at_mut(index)?;
        track.in_asking = false;
        Some(track)
    }

    /// The next track to tell the control plane of.
    pub(crate) fn next_news(&mut self) -> Option<&mut Track> {
        let index = next_of(&mut self.news, &self.table)?;
        let track = self.at_mut(index)?;
        track.in_news = false;
        Some(track)
    }

    /// The next track to tell other shards of.
    pub(crate) fn next_state(&mut self) -> Option<&mut Track> {
        let index = next_of(&mut self.states, &self.table)?;
        let track = self.at_mut(index)?;
        track.in_states = false;
        Some(track)
    }

    /// The next track with packets for other shards.
    pub(crate) fn next_relaying(&mut self) -> Option<&mut Track> {
        let index = next_of(&mut self.relaying, &self.table)?;
        let track = self.at_mut(index)?;
        track.relaying = false;
        Some(track)
    }
}

/// The next place in a list whose track is still there.
fn next_of(list: &mut Vec<u32>, table: &[Option<Box<Track>>]) -> Option<u32> {
    std::iter::from_fn(|| list.pop()).find(|index| table.get(*index as usize).is_some_and(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_maps_both_ways() {
        let clock = Clock { ntp: 5_000_000, ts: u32::MAX - 44_999 };
        assert_eq!(clock.ts_at(6_000_000, 90_000), 45_000);
        assert_eq!(clock.ntp_of(45_000, 90_000), 6_000_000);
        assert_eq!(clock.ts_at(4_000_000, 90_000), u32::MAX - 134_999);
    }
}
