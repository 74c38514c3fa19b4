//! One slot of a viewer: it pulls from the log of one layer and sends under its own SSRC, with sequence numbers,
//! timestamps and picture numbers that go on without a seam whatever fills it.
//!
//! Between two switches everything is a constant shift ([`Segment`]), closed up around what its [`Sieve`] leaves out. At
//! a switch the next segment begins after the highest number ever sent, and of its source only what follows the keyframe
//! is sent; every log holds a number once. So no SRTP index is ever used for two plaintexts.

use super::numbers::Numbers;
use super::outlet::{Head, Outlet, Sent, Turn};
use super::sieve::{Fate, Shift, Sieve};
use crate::batch::TxBatch;
use crate::router::command::{Kind, SlotParams, View};
use crate::router::counters::Counters;
use crate::router::event::{SlotMeasure, Why};
use crate::router::history::{Entry, KEEP, KEYFRAME, Log, WIDE_ID};
use crate::router::id::{LayerId, TrackId};
use crate::router::target::{ALL, NONE, Target};
use crate::router::track::{Clock, Layer, Sub, Track, Tracks};
use crate::units::{Duration, Instant, PictureSize};
use crate::wire::ext::dependency_descriptor::Active;
use crate::wire::id::{Pt, Seq, Ssrc};
use crate::wire::payload::Codec;

/// What is held back for longer is not sent any more.
const LATE: Duration = Duration::from_millis(1200);

/// What is sent of a slot: its layer, its picture size, and why.
pub(crate) type Shown = (Option<(LayerId, Option<PictureSize>)>, Why);

/// How far a slot got with its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// All that there is to send was sent.
    All,
    /// The batch is full: call again.
    Full,
    /// The rest is held back by the pacer.
    Held,
}

/// A stretch of one layer of one track: what is added to its numbers.
#[derive(Debug)]
struct Segment {
    /// `out = in + seq_shift`, wrapping, less what the sieve left out before.
    seq_shift: u64,
    /// Its first number going out.
    first: u64,
    ts_shift: u32,
    epoch: u32,
    /// Place of the track.
    track: u32,
    picture_shift: u16,
    tl0_shift: u8,
    frame_shift: u16,
    layer: u8,
    /// Whether picture numbers close up, too, around pictures that are left out: in VP8 a decoder takes a gap for a
    /// loss (RFC 7741 section 4.2). In VP9 their distance says what refers to what (RFC 9628 section 4.2).
    closes: bool,
    sieve: Sieve,
}

impl Segment {
    const EMPTY: Self = Self {
        seq_shift: 0,
        first: u64::MAX,
        ts_shift: 0,
        epoch: 0,
        track: u32::MAX,
        picture_shift: 0,
        tl0_shift: 0,
        frame_shift: 0,
        layer: NONE,
        closes: false,
        sieve: Sieve::EMPTY,
    };

    const fn picture_shift(&self, shift: Shift) -> u16 {
        if self.closes { self.picture_shift.wrapping_sub(shift.pictures) } else { self.picture_shift }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Slot {
    // Read and written for every packet.
    segment: Segment,
    cursor: u64,
    numbers: Numbers,
    /// The source's payload that `pt` stands for.
    payload: u8,
    pt: Pt,
    /// Whether redundant audio is sent without what it repeats.
    unwraps: bool,
    /// Whether `segment` is being sent; if not, a place to begin is awaited.
    running: bool,
    /// Whether the peer takes descriptors of what depends on what; without, AV1 is sent in one spatial layer.
    described: bool,
    /// What to send.
    pub(crate) target: Target,
    ssrc: Ssrc,
    /// When the last keyframe went out.
    pub(crate) keyframe_at: Instant,
    // Read at switches, reports and retransmissions.
    previous: Segment,
    rtx: Option<(Ssrc, Pt)>,
    pub(crate) params: SlotParams,
    /// What is to be shown.
    pub(crate) track: Option<TrackId>,
    pub(crate) view: View,
    pub(crate) why: Why,
    pub(crate) reported: Option<Shown>,
    /// Since when something is held back; zero while nothing is.
    behind_since: Instant,
    /// What it carried as far as the control plane knows, if we gave it something else since.
    pub(crate) moved: Option<TrackId>,
}

impl Slot {
    pub(crate) fn new(params: SlotParams, view: View, described: bool, random: u64) -> Self {
        Self {
            segment: Segment::EMPTY,
            cursor: 0,
            numbers: Numbers::new(random),
            payload: NONE,
            pt: Pt(0),
            unwraps: false,
            running: false,
            described,
            target: Target::NOTHING,
            ssrc: params.ssrc,
            keyframe_at: Instant::ZERO,
            previous: Segment::EMPTY,
            rtx: None,
            params,
            track: None,
            view,
            why: Why::Inactive,
            reported: None,
            behind_since: Instant::ZERO,
            moved: None,
        }
    }

    pub(crate) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Goes on where another process ended. No number is left out: peers would wait for what was never sent, for up to a
    /// second. A picture that was cut short they know by its missing marker.
    pub(crate) const fn resume(&mut self, numbers: Numbers) {
        self.numbers = numbers;
    }

    pub(crate) const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The layer being sent, or [`NONE`].
    pub(crate) const fn layer(&self) -> u8 {
        if self.running { self.segment.layer } else { NONE }
    }

    /// The spatial layer up to which it is sent.
    pub(crate) const fn spatial(&self) -> u8 {
        self.segment.sieve.spatial()
    }

    /// Whether it waits for a keyframe to send more spatial layers.
    pub(crate) fn climbs(&self, tracks: &Tracks) -> bool {
        if !self.running || self.segment.layer != self.target.layer || self.spatial() == ALL {
            return false;
        }
        let Some(track) = tracks.at(self.segment.track) else { return false };
        let Some(layer) = track.layers.get(usize::from(self.segment.layer)) else { return false };
        self.spatial() < self.allowed(track.codec(self.payload)).spatial.min(layer.shape.top_spatial())
    }

    /// Its target as far as the peer can follow.
    const fn allowed(&self, codec: Option<Codec>) -> Target {
        match codec {
            Some(Codec::Av1 { .. }) if !self.described => Target { spatial: 0, ..self.target },
            _ => self.target,
        }
    }

    /// Whether it waits for a place at which to begin its target.
    pub(crate) const fn waits(&self) -> bool {
        !self.target.is_nothing() && (!self.running || self.segment.layer != self.target.layer)
    }

    /// Whether it waits for a lower layer.
    const fn descends(&self) -> bool {
        self.running && self.target.layer < self.segment.layer
    }

    /// Whether the peer can decode any of the track's payloads.
    pub(crate) fn takes(&self, track: &Track) -> bool {
        let theirs = track.params().map(|p| &p.payloads[..]).unwrap_or_default();
        theirs.iter().any(|p| self.params.payloads.iter().any(|ours| ours.codec == p.codec))
    }

    /// Sends nothing until a new place to begin; what comes from now on counts.
    pub(crate) fn stop(&mut self) {
        if self.running {
            self.running = false;
            self.previous = std::mem::replace(&mut self.segment, Segment::EMPTY);
        }
    }

    /// The peer has reported this source, so it knows which m-line it belongs to.
    pub(crate) const fn acknowledged(&mut self) {
        self.numbers.with_mid = 0;
    }

    /// Sends all that is there and may be sent.
    pub(crate) fn pull(
        &mut self,
        me: Sub,
        turn: &Turn,
        outlet: &mut Outlet,
        batch: &mut TxBatch,
        tracks: &mut Tracks,
        counters: &mut Counters,
    ) -> Pulled {
        let Some(track) = self.track.and_then(|id| tracks.find_mut(id)) else { return Pulled::All };
        loop {
            if self.running {
                match self.drain(turn, outlet, batch, track, counters) {
                    Pulled::All => self.behind_since = Instant::ZERO,
                    Pulled::Full => return Pulled::Full,
                    Pulled::Held if self.is_late(turn.now) => {
                        counters.drops.behind += self.left_behind(track);
                        self.stop();
                        self.behind_since = Instant::ZERO;
                    }
                    // What does not fit is of no use if what is to come instead is there.
                    Pulled::Held if !(self.descends() && self.begin(me, turn.now, track)) => {
                        return Pulled::Held;
                    }
                    Pulled::Held => continue,
                }
            }
            if !self.waits() || !self.begin(me, turn.now, track) {
                return Pulled::All;
            }
        }
    }

    /// Whether what is held back has waited for too long to be of use: what follows begins with a keyframe.
    fn is_late(&mut self, now: Instant) -> bool {
        if self.behind_since == Instant::ZERO {
            self.behind_since = now;
        }
        now.since(self.behind_since) >= LATE
    }

    /// Packets of the running segment that were not sent yet.
    fn left_behind(&self, track: &Track) -> u64 {
        let layer = track.layers.get(usize::from(self.segment.layer));
        layer.map_or(0, |layer| layer.log.head().saturating_sub(self.cursor))
    }

    /// Sends the running segment up to the head of its log.
    #[inline]
    fn drain(
        &mut self,
        turn: &Turn,
        outlet: &mut Outlet,
        batch: &mut TxBatch,
        track: &Track,
        counters: &mut Counters,
    ) -> Pulled {
        let Some(layer) = track.layers.get(usize::from(self.segment.layer)) else { return Pulled::All };
        let paced = track.kind == Kind::Video;
        let log = &layer.log;
        let allowed = match self.segment.layer == self.target.layer {
            true => self.allowed(track.codec(self.payload)),
            // Until it has gone over to another layer, what it has goes on.
            false => Target::whole(self.segment.layer),
        };
        self.cursor = self.cursor.max(log.tail());
        let (mut alike, mut even) = (0, 0);
        while let Some(entry) = log.get(self.cursor) {
            if entry.epoch != self.segment.epoch {
                self.stop();
                return Pulled::All;
            }
            if paced && !outlet.pacer.lets_pictures() {
                return Pulled::Held;
            }
            let whole = entry.seq.wrapping_add(self.segment.seq_shift);
            // What overtook the switch on its way belongs to the segment before.
            let old = whole.wrapping_sub(self.segment.first) > i64::MAX as u64;
            if old || (entry.payload != self.payload && !self.take_payload(track, entry)) {
                self.cursor += 1;
                counters.drops.unfit += u64::from(!old);
                continue;
            }
            let (shift, blank) = match self.segment.sieve.sift(entry, allowed) {
                Fate::Pass(shift) => (shift, false),
                Fate::Fill(shift) => (shift, true),
                Fate::Drop => {
                    self.cursor += 1;
                    continue;
                }
            };
            if self.cursor >= alike {
                (alike, even) = log.alike(self.cursor);
            }
            // The last of a run may be shorter, and what leaves alone needs no padding.
            let is_last = self.cursor + 1 >= alike;
            let head = Head {
                ssrc: self.ssrc,
                seq: Seq(whole.wrapping_sub(shift.packets.into())),
                ts: entry.ts.wrapping_add(self.segment.ts_shift),
                pt: self.pt,
                marker: self.segment.sieve.ends_picture(entry),
                picture_shift: self.segment.picture_shift(shift),
                tl0_shift: self.segment.tl0_shift,
                frame_shift: self.segment.frame_shift,
                active: if entry.is_described() { self.active(layer, entry) } else { None },
                blank,
                original: None,
                unwrap: self.unwraps,
                even: if paced && !is_last && !blank { even } else { 0 },
            };
            match self.send(&head, turn, outlet, batch, log, entry) {
                Sent::Full => return Pulled::Full,
                Sent::Never => counters.drops.unfit += 1,
                Sent::Yes(len) => {
                    counters.packets_out += 1;
                    counters.bytes_out += len as u64;
                    self.numbers.packets = self.numbers.packets.wrapping_add(1);
                    self.numbers.octets = self.numbers.octets.wrapping_add(u32::from(entry.len));
                }
            }
            self.cursor += 1;
        }
        Pulled::All
    }

    #[inline]
    fn send(
        &mut self,
        head: &Head,
        turn: &Turn,
        outlet: &mut Outlet,
        batch: &mut TxBatch,
        log: &Log,
        entry: &Entry,
    ) -> Sent {
        let mid = if self.numbers.with_mid > 0 { Some(&self.params.mid) } else { None };
        let sent = outlet.send(batch, turn, head, log, entry, mid);
        if sent == Sent::Full {
            return sent;
        }
        // Even where nothing went out the number is spent: the receiver sees a loss, never a repetition.
        self.numbers.next_seq = self.numbers.next_seq.max(head.seq.0 + 1);
        self.numbers.with_mid = self.numbers.with_mid.saturating_sub(1);
        if entry.is(KEYFRAME) {
            self.keyframe_at = turn.now;
        }
        if head.ts.wrapping_sub(self.numbers.last_ts) as i32 >= 0 {
            self.numbers.last_ts = head.ts;
            self.numbers.last_arrival = entry.arrival;
        }
        if head.blank {
            return sent;
        }
        if entry.is_described() {
            let frame = entry.frame.wrapping_add(head.frame_shift);
            if frame.wrapping_sub(self.numbers.last_frame) < 1 << 15 {
                self.numbers.last_frame = frame;
            }
        }
        if entry.picture_id_at != 0 {
            let picture = entry.picture_id.wrapping_add(head.picture_shift);
            if picture.wrapping_sub(self.numbers.last_picture) & 0x7fff < 0x4000 {
                self.numbers.last_picture = picture & 0x7fff;
            }
        }
        if entry.tl0_at != 0 {
            let tl0 = entry.tl0.wrapping_add(head.tl0_shift);
            if (tl0.wrapping_sub(self.numbers.last_tl0) as i8) > 0 {
                self.numbers.last_tl0 = tl0;
            }
        }
        sent
    }

    /// The decode targets to name in a descriptor: with every frame while some are left out, and until a keyframe
    /// when all come again.
    fn active(&mut self, layer: &Layer, entry: &Entry) -> Option<Active> {
        let limits = self.segment.sieve.limits();
        if limits.is_none() && entry.is(KEYFRAME) {
            self.numbers.narrowed = false;
        }
        self.numbers.narrowed |= limits.is_some();
        let (spatial, temporal) = limits.unwrap_or((ALL, ALL));
        let (count, active) = layer.dependencies.targets.within(spatial, temporal);
        (self.numbers.narrowed && count > 0 && active != 0).then_some((count, active))
    }

    /// Finds the payload type for another payload of the source.
    #[cold]
    fn take_payload(&mut self, track: &Track, entry: &Entry) -> bool {
        let Some(codec) = track.codec(entry.payload) else { return false };
        let ours = |codec| self.params.payloads.iter().find(|p| p.codec == codec);
        // Redundancy is redundancy of Opus: who does not take it gets what is inside.
        let inside = || if codec == Codec::Red { ours(Codec::Opus) } else { None };
        let Some(ours) = ours(codec).or_else(inside) else { return false };
        self.unwraps = ours.codec != codec;
        self.payload = entry.payload;
        self.pt = ours.pt;
        self.rtx = self.params.rtx_ssrc.zip(ours.rtx);
        self.numbers.clock_rate = track.clock_rate();
        true
    }

    /// Begins the target layer if its log has a place for it: a keyframe's first packet, for audio any packet.
    fn begin(&mut self, me: Sub, now: Instant, track: &mut Track) -> bool {
        let Some(layer) = track.layers.get(usize::from(self.target.layer)) else { return false };
        let place = match track.kind {
            Kind::Audio => {
                let fresh = |place: &u64| {
                    layer.log.get(*place).is_some_and(|e| e.arrival > self.numbers.last_arrival)
                };
                (self.cursor.max(layer.log.tail())..layer.log.head()).find(fresh)
            }
            Kind::Video => layer.log.beginning(now),
        };
        let Some(entry) = place.and_then(|p| layer.log.get(p)).copied() else { return false };
        // Older than what was sent, it would turn time back for as long as the viewer stays.
        if entry.arrival < self.numbers.last_arrival {
            return false;
        }
        self.payload = NONE;
        if !self.take_payload(track, &entry) {
            return false;
        }
        let ts = self.continued_ts(track, layer, &entry);
        let (picture_shift, tl0_shift) = self.continued_picture(&entry);
        let place = place.unwrap_or_default();
        self.cursor = layer.log.overtaken(place, entry.epoch, entry.seq);
        let codec = track.codec(entry.payload);
        let next = Segment {
            seq_shift: self.numbers.next_seq.wrapping_sub(entry.seq),
            first: self.numbers.next_seq,
            ts_shift: ts.wrapping_sub(entry.ts),
            epoch: entry.epoch,
            track: track.id.index,
            picture_shift,
            tl0_shift,
            frame_shift: self.numbers.last_frame.wrapping_add(1).wrapping_sub(entry.frame),
            layer: self.target.layer,
            closes: codec == Some(Codec::Vp8),
            sieve: Sieve::new(&entry, self.allowed(codec)),
        };
        let before = std::mem::replace(&mut self.segment, next);
        if std::mem::replace(&mut self.running, true) {
            if before.layer != self.target.layer {
                track.leave(before.layer, me);
            }
            // Where there is room for less, what is missing of more is not sent again: the keyframe makes up for it.
            let lower = self.segment.track == before.track && self.segment.layer < before.layer;
            self.previous = if lower { Segment::EMPTY } else { before };
        }
        true
    }

    /// The timestamp at which a segment that begins with `entry` goes on.
    fn continued_ts(&self, track: &Track, layer: &Layer, entry: &Entry) -> u32 {
        if self.numbers.last_arrival == Instant::ZERO {
            return self.numbers.last_ts;
        }
        let from = if self.running { &self.segment } else { &self.previous };
        let same = (from.track == track.id.index)
            .then(|| track.layers.get(usize::from(from.layer)))
            .flatten()
            .filter(|old| old.epoch == from.epoch);
        // Layers of one source are aligned by what their sender reports (RFC 3550 section 6.4.1) ...
        let aligned = same.and_then(|old| {
            let (before, after) = (old.clock?, layer.clock?);
            let at = after.ntp_of(entry.ts, self.numbers.clock_rate);
            Some(before.ts_at(at, self.numbers.clock_rate).wrapping_add(from.ts_shift))
        });
        // ... and all else by when it arrived.
        let arrived = || {
            let passed = entry.arrival.since(self.numbers.last_arrival).as_micros() as u64;
            self.numbers
                .last_ts
                .wrapping_add((passed * u64::from(self.numbers.clock_rate) / 1_000_000) as u32)
        };
        // A report that is off by seconds is not believed.
        let near = |ts: &u32| {
            (ts.wrapping_sub(self.numbers.last_ts) as i32).unsigned_abs() < self.numbers.clock_rate * 2
        };
        let ts = aligned.filter(near).unwrap_or_else(arrived);
        if ts.wrapping_sub(self.numbers.last_ts) as i32 > 0 {
            ts
        } else {
            self.numbers.last_ts.wrapping_add(1)
        }
    }

    /// What to add to picture numbers so that a segment that begins with `entry` goes on by one.
    const fn continued_picture(&self, entry: &Entry) -> (u16, u8) {
        let width = if entry.is(WIDE_ID) { 0x7fff } else { 0x7f };
        (
            self.numbers.last_picture.wrapping_add(1).wrapping_sub(entry.picture_id) & width,
            self.numbers.last_tl0.wrapping_add(1).wrapping_sub(entry.tl0),
        )
    }

    /// Sends again, as a retransmission (RFC 4588), what went out under this number. `None`: it is not to be had.
    pub(crate) fn resend(
        &mut self,
        out: u64,
        turn: &Turn,
        outlet: &mut Outlet,
        batch: &mut TxBatch,
        tracks: &Tracks,
    ) -> Option<Sent> {
        let (ssrc, pt) = self.rtx?;
        let segment = [&self.segment, &self.previous].into_iter().find(|s| out >= s.first)?;
        if out >= self.numbers.next_seq {
            return None;
        }
        let (seq, shift) = segment.sieve.original(out.wrapping_sub(segment.seq_shift))?;
        let log = &tracks.at(segment.track)?.layers.get(usize::from(segment.layer))?.log;
        let entry = log.get(log.find(segment.epoch, seq)?)?;
        if turn.now.since(entry.arrival) > KEEP {
            return None;
        }
        let head = Head {
            ssrc,
            seq: Seq(self.numbers.rtx_next),
            ts: entry.ts.wrapping_add(segment.ts_shift),
            pt,
            marker: segment.sieve.ended_picture(entry),
            picture_shift: segment.picture_shift(shift),
            tl0_shift: segment.tl0_shift,
            frame_shift: segment.frame_shift,
            active: None,
            blank: segment.sieve.is_filled(entry),
            original: Some(out as u16),
            unwrap: false,
            even: 0,
        };
        let sent = outlet.send(batch, turn, &head, log, entry, Some(&self.params.mid));
        if sent != Sent::Full {
            self.numbers.rtx_next += 1;
        }
        Some(sent)
    }

    /// Sends something that says nothing new, as a retransmission: what went out `back` packets ago, or padding.
    /// `None`: there is no source for it.
    pub(crate) fn pad(
        &mut self,
        back: u64,
        turn: &Turn,
        outlet: &mut Outlet,
        batch: &mut TxBatch,
        tracks: &Tracks,
    ) -> Option<Sent> {
        let (ssrc, pt) = self.rtx?;
        let out = self.numbers.next_seq.saturating_sub(1 + back);
        if let Some(sent) = self.resend(out, turn, outlet, batch, tracks) {
            return Some(sent);
        }
        let sent = outlet.send_padding(batch, turn, ssrc, self.numbers.rtx_next, self.numbers.last_ts, pt);
        if sent != Sent::Full {
            self.numbers.rtx_next += 1;
        }
        Some(sent)
    }

    /// The full number that a NACK means.
    pub(crate) const fn number(&self, wire: crate::wire::id::Seq16) -> Seq {
        Seq(self.numbers.next_seq).nearest(wire)
    }

    /// Where an audio slot begins when it is given a track: with the next packet.
    pub(crate) const fn begin_at(&mut self, position: u64) {
        self.cursor = position;
    }

    /// The timestamp that stands for `now`, and packets and octets sent, for a sender report.
    /// `None` when nothing is sent.
    pub(crate) fn report(&self, now: Instant, tracks: &Tracks) -> Option<(u32, u32, u32)> {
        if !self.running || self.numbers.packets == 0 {
            return None;
        }
        let track = tracks.at(self.segment.track);
        let layer = track.and_then(|t| t.layers.get(usize::from(self.segment.layer)));
        let ts = match (layer.and_then(|l| l.clock), track.and_then(|t| t.clock_offset)) {
            (Some(clock), Some(offset)) => {
                let there = (now.as_micros() as i64).saturating_sub(offset);
                clock.ts_at(there, self.numbers.clock_rate).wrapping_add(self.segment.ts_shift)
            }
            _ => {
                let here =
                    Clock { ntp: self.numbers.last_arrival.as_micros() as i64, ts: self.numbers.last_ts };
                here.ts_at(now.as_micros() as i64, self.numbers.clock_rate)
            }
        };
        Some((ts, self.numbers.packets, self.numbers.octets))
    }

    /// What it sent, if it ever did.
    pub(crate) fn measure(&self) -> Option<SlotMeasure> {
        let layer = Some(self.layer()).filter(|layer| *layer != NONE).map(LayerId);
        let Numbers { packets, octets: bytes, .. } = self.numbers;
        (packets > 0).then_some(SlotMeasure { slot: self.params.slot, layer, packets, bytes })
    }

    /// What it shows now.
    pub(crate) fn shown(&self, tracks: &Tracks) -> Shown {
        let layer = self.layer();
        let size = || {
            let layer = tracks.at(self.segment.track)?.layers.get(usize::from(layer))?;
            let spatial = self.spatial().min(layer.shape.top_spatial());
            layer.shape.size(spatial).or(layer.size)
        };
        let shown = (layer != NONE).then(|| (LayerId(layer), size()));
        let why = if (self.waits() || self.climbs(tracks)) && self.why != Why::Silent {
            Why::Keyframe
        } else {
            self.why
        };
        (shown, why)
    }
}
