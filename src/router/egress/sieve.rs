//! Which packets of a layer pass to a viewer who takes only some of its spatial and temporal layers, and how the numbers
//! close up around those that do not.
//!
//! What is left out is decided in the order of sequence numbers. A number that is not here yet is kept free: if it turns
//! out to be of a picture that was left out, an empty packet fills it, so that the viewer sees no hole. Below, a *shift*
//! is how many packets and pictures were left out before a number; it is remembered for about a second, for what comes
//! late and for what is asked for again.

use std::collections::VecDeque;

use crate::router::history::{ENDS_LAYER, Entry, KEYFRAME, MARKER, UP_FROM_HERE, UP_HERE, UP_SPATIAL};
use crate::router::target::{ALL, Target};

/// Runs of left out packets that are remembered: at 30 pictures a second two seconds, at 60 one.
const MOST_RUNS: usize = 64;

/// How much was left out before a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    /// Packets.
    pub(crate) packets: u32,
    /// Whole pictures.
    pub(crate) pictures: u16,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    Pass(Shift),
    /// Its number is sent, without what it carries.
    Fill(Shift),
    /// It is left out.
    Drop,
}

/// Layers up to these pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    spatial: u8,
    temporal: u8,
}

impl Limits {
    const fn pass(self, entry: &Entry) -> bool {
        entry.spatial <= self.spatial && entry.temporal <= self.temporal
    }
}

/// Numbers without a hole between them that were left out; none where the limits changed.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// After the last.
    end: u64,
    len: u32,
    /// What was left out up to its end.
    shift: Shift,
    /// What passed up to its end.
    limits: Limits,
    /// Timestamps of its first and last packet.
    first_ts: u32,
    last_ts: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sieve {
    /// The highest number that came.
    newest: u64,
    /// Timestamp of the newest picture.
    ts: u32,
    /// What passes of it.
    limits: Limits,
    runs: VecDeque<Run>,
    /// Below this number nothing is known any more ...
    floor: u64,
    /// ... and this was left out up to it.
    base: Shift,
}

impl Sieve {
    /// Nothing came.
    pub(crate) const EMPTY: Self = Self {
        newest: 0,
        ts: 0,
        limits: Limits { spatial: ALL, temporal: ALL },
        runs: VecDeque::new(),
        floor: 0,
        base: Shift { packets: 0, pictures: 0 },
    };

    /// Of a stretch that begins with this keyframe.
    pub(crate) fn new(first: &Entry, target: Target) -> Self {
        Self {
            newest: first.seq.wrapping_sub(1),
            ts: first.ts,
            limits: Limits { spatial: target.spatial, temporal: target.temporal },
            ..Self::EMPTY
        }
    }

    /// The spatial layer up to which pictures pass now.
    pub(crate) const fn spatial(&self) -> u8 {
        self.limits.spatial
    }

    /// Spatial and temporal layers up to these pass now; `None` if all do.
    pub(crate) fn limits(&self) -> Option<(u8, u8)> {
        let Limits { spatial, temporal } = self.limits;
        (spatial != ALL || temporal != ALL).then_some((spatial, temporal))
    }

    /// Decides on a packet that was not seen before.
    #[inline]
    pub(crate) fn sift(&mut self, entry: &Entry, target: Target) -> Fate {
        if entry.seq <= self.newest {
            return self.sift_late(entry);
        }
        if entry.ts != self.ts && entry.ts.wrapping_sub(self.ts) < 1 << 31 {
            self.turn_to(entry, target);
        }
        let Limits { spatial, temporal } = self.limits;
        if entry.is(UP_SPATIAL) && entry.spatial == spatial.wrapping_add(1) && entry.temporal <= temporal {
            self.limit(entry.seq, Limits { spatial: entry.spatial.min(target.spatial), temporal });
        }
        if self.limits.pass(entry) {
            self.newest = entry.seq;
            return Fate::Pass(self.runs.back().map_or(self.base, |run| run.shift));
        }
        self.leave_out(entry);
        self.newest = entry.seq;
        Fate::Drop
    }

    /// A new picture: down at once, up where the stream allows it.
    fn turn_to(&mut self, entry: &Entry, target: Target) {
        let aim = Limits { spatial: target.spatial, temporal: target.temporal };
        if self.limits != aim {
            let spatial = self.limits.spatial.min(aim.spatial);
            let temporal = self.limits.temporal.min(aim.temporal);
            let from_here = entry.is(UP_FROM_HERE) && entry.temporal <= temporal;
            let here = entry.is(UP_HERE) && temporal.checked_add(1) == Some(entry.temporal);
            let limits = match (temporal < aim.temporal, from_here, here) {
                _ if entry.is(KEYFRAME) => aim,
                (true, true, _) => Limits { spatial, temporal: aim.temporal },
                (true, false, true) => Limits { spatial, temporal: entry.temporal },
                _ => Limits { spatial, temporal },
            };
            self.limit(entry.seq, limits);
        }
        self.ts = entry.ts;
    }

    /// From this number on other layers pass.
    fn limit(&mut self, from: u64, limits: Limits) {
        if self.limits == limits {
            return;
        }
        let shift = self.runs.back().map_or(self.base, |run| run.shift);
        let ts = self.ts;
        self.remember(Run { end: from, len: 0, shift, limits: self.limits, first_ts: ts, last_ts: ts });
        self.limits = limits;
    }

    fn remember(&mut self, run: Run) {
        if self.runs.len() == MOST_RUNS {
            if let Some(oldest) = self.runs.pop_front() {
                (self.floor, self.base) = (oldest.end, oldest.shift);
            }
        } else if self.runs.capacity() == 0 {
            self.runs.reserve_exact(MOST_RUNS);
        }
        self.runs.push_back(run);
    }

    /// Notes that a packet is left out, with what is missing before it if that can only be of the same kind.
    fn leave_out(&mut self, entry: &Entry) {
        let before = self.runs.back().copied();
        let adjacent = before.filter(|run| run.end == self.newest + 1 && run.last_ts == entry.ts);
        let first = if adjacent.is_some() { self.newest + 1 } else { entry.seq };
        let len = (entry.seq + 1 - first) as u32;
        let mut shift = before.map_or(self.base, |run| run.shift);
        shift.packets = shift.packets.wrapping_add(len);
        // A picture of a temporal layer above goes with all its spatial layers.
        let new_picture = before.is_none_or(|run| run.last_ts != entry.ts);
        if entry.temporal > self.limits.temporal && new_picture {
            shift.pictures = shift.pictures.wrapping_add(1);
        }
        let limits = self.limits;
        let joins = before.filter(|run| run.end == first && run.limits == limits);
        if let (Some(_), Some(run)) = (joins, self.runs.back_mut()) {
            *run = Run { end: entry.seq + 1, len: run.len + len, shift, last_ts: entry.ts, ..*run };
            return;
        }
        self.remember(Run { end: entry.seq + 1, len, shift, limits, first_ts: entry.ts, last_ts: entry.ts });
    }

    fn sift_late(&self, entry: &Entry) -> Fate {
        let Some((at, shift)) = self.place(entry.seq) else { return Fate::Drop };
        let limits = self.runs.get(at).map_or(self.limits, |run| run.limits);
        if limits.pass(entry) {
            return Fate::Pass(shift);
        }
        let neighbours = [at.checked_sub(1).and_then(|at| self.runs.get(at)), self.runs.get(at)];
        let of_same = |run: &Run| run.len > 0 && (run.first_ts == entry.ts || run.last_ts == entry.ts);
        // A picture that came late as a whole goes out as a whole: its number waits for it, too.
        let whole = entry.spatial <= limits.spatial && !neighbours.into_iter().flatten().any(of_same);
        if whole { Fate::Pass(shift) } else { Fate::Fill(shift) }
    }

    /// How many runs ended before a number that was not left out, and its shift.
    fn place(&self, seq: u64) -> Option<(usize, Shift)> {
        if seq < self.floor {
            return None;
        }
        let at = self.runs.partition_point(|run| run.end <= seq);
        if self.runs.get(at).is_some_and(|run| seq + u64::from(run.len) >= run.end) {
            return None;
        }
        let before = at.checked_sub(1).and_then(|before| self.runs.get(before));
        Some((at, before.map_or(self.base, |run| run.shift)))
    }

    /// The number that went out as `closed`, which is the number less what was left out before it; and its shift.
    pub(crate) fn original(&self, closed: u64) -> Option<(u64, Shift)> {
        let starts = |run: &Run| run.end - u64::from(run.shift.packets);
        let at = self.runs.partition_point(|run| starts(run) <= closed);
        let before = at.checked_sub(1).and_then(|before| self.runs.get(before));
        let shift = before.map_or(self.base, |run| run.shift);
        let seq = closed + u64::from(shift.packets);
        (seq >= self.floor).then_some((seq, shift))
    }

    /// Whether a packet went out as a number only, or would.
    pub(crate) fn is_filled(&self, entry: &Entry) -> bool {
        matches!(self.sift_late(entry), Fate::Fill(_))
    }

    /// Whether the packet is the last of its picture that passes.
    #[inline]
    pub(crate) const fn ends_picture(&self, entry: &Entry) -> bool {
        entry.is(MARKER) || (entry.is(ENDS_LAYER) && entry.spatial == self.limits.spatial)
    }

    /// The same for one that went out before: what follows it was left out.
    pub(crate) fn ended_picture(&self, entry: &Entry) -> bool {
        entry.is(MARKER)
            || (entry.is(ENDS_LAYER) && entry.seq < self.newest && self.place(entry.seq + 1).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::history::{ENDS_LAYER, UP_HERE};
    use std::collections::BTreeMap;

    const WHOLE: Target = Target { layer: 0, spatial: ALL, temporal: ALL };

    const fn up_to(spatial: u8, temporal: u8) -> Target {
        Target { layer: 0, spatial, temporal }
    }

    /// Pictures of three temporal layers in `spatials` layers of two packets each, from number 1000 on.
    fn stream(pictures: u64, spatials: u8) -> Vec<Entry> {
        let mut all = vec![];
        for picture in 0..pictures {
            let temporal = [0, 2, 1, 2][(picture % 4) as usize];
            for (spatial, n) in (0..spatials).flat_map(|s| [(s, 0), (s, 1)]) {
                let up = if temporal > 0 && picture % 8 < 3 { UP_HERE } else { 0 };
                let ends = if n == 1 { ENDS_LAYER } else { 0 };
                let marker = if n == 1 && spatial + 1 == spatials { MARKER } else { 0 };
                all.push(Entry {
                    seq: 1000 + all.len() as u64,
                    ts: picture as u32 * 3000,
                    flags: up | ends | marker,
                    spatial,
                    temporal,
                    picture_id: picture as u16,
                    ..Entry::default()
                });
            }
        }
        all
    }

    #[test]
    fn numbers_and_pictures_close_up_and_layers_come_back_where_they_may() {
        let all = stream(64, 1);
        let mut sieve = Sieve::new(&all[0], WHOLE);
        let mut sent: Vec<(u64, u16, u8)> = vec![];
        for entry in &all {
            let target = if (20..100).contains(&(entry.seq - 1000)) { up_to(ALL, 0) } else { WHOLE };
            if let Fate::Pass(shift) = sieve.sift(entry, target) {
                let out = entry.seq - u64::from(shift.packets);
                sent.push((out, entry.picture_id - shift.pictures, entry.temporal));
                assert_eq!(sieve.original(out), Some((entry.seq, shift)));
            }
        }
        assert!(sent.windows(2).all(|w| w[1].0 == w[0].0 + 1 && matches!(w[1].1 - w[0].1, 0 | 1)));
        let layers: Vec<u8> = sent.iter().step_by(2).map(|s| s.2).collect();
        assert_eq!(layers[..12], [0, 2, 1, 2, 0, 2, 1, 2, 0, 2, 0, 0]);
        // Up by one layer at a time, where it depends on those below alone.
        let back = layers.iter().skip(12).position(|t| *t > 0).expect("comes back") + 12;
        assert_eq!(layers[back..back + 9], [1, 0, 1, 0, 2, 1, 2, 0, 2]);
    }

    #[test]
    fn the_topmost_that_passes_ends_the_picture() {
        let all = stream(4, 3);
        let mut sieve = Sieve::new(&all[0], up_to(1, ALL));
        for entry in &all {
            let passed = sieve.sift(entry, up_to(1, ALL)) != Fate::Drop;
            assert_eq!(passed, entry.spatial <= 1);
            if passed {
                let ends = entry.spatial == 1 && entry.is(ENDS_LAYER);
                assert_eq!(sieve.ends_picture(entry), ends);
            }
        }
        for entry in all.iter().filter(|e| e.spatial <= 1) {
            assert_eq!(sieve.ended_picture(entry), entry.spatial == 1 && entry.is(ENDS_LAYER));
        }
    }

    #[test]
    fn a_picture_that_comes_late_as_a_whole_has_its_number_still() {
        let all = stream(12, 1);
        let mut sieve = Sieve::new(&all[0], up_to(ALL, 0));
        // Picture 1, to be left out, is not there when picture 4 comes.
        let fate = |sieve: &mut Sieve, at: usize| sieve.sift(&all[at], up_to(ALL, 0));
        for at in [0, 1, 4, 5, 6, 7, 8] {
            fate(&mut sieve, at);
        }
        let before = Shift { packets: 0, pictures: 0 };
        assert_eq!(fate(&mut sieve, 2), Fate::Pass(before));
        assert_eq!(fate(&mut sieve, 3), Fate::Pass(before));
        assert_eq!(fate(&mut sieve, 9), Fate::Pass(Shift { packets: 4, pictures: 2 }));
        // Of picture 5 only the first packet is missing: what follows it was left out.
        assert_eq!(fate(&mut sieve, 11), Fate::Drop);
        assert_eq!(fate(&mut sieve, 10), Fate::Fill(Shift { packets: 4, pictures: 2 }));
    }

    /// Whatever is lost for a while, late, and wanted: no number goes out twice, none stays free, and each leads back.
    #[test]
    fn any_order_and_any_wishes_leave_no_hole_and_no_number_twice() {
        let mut random = 7u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..300 {
            let all = stream(60, 3);
            let mut order: Vec<(u64, usize)> = (0..all.len()).map(|at| (at as u64 * 10, at)).collect();
            for (when, at) in &mut order {
                if *at > 0 && next(12) == 0 {
                    *when += next(400);
                }
            }
            order.sort_unstable();
            let mut sieve = Sieve::new(&all[0], WHOLE);
            let mut target = WHOLE;
            let mut sent: BTreeMap<u64, u64> = BTreeMap::new();
            for (_, at) in order {
                if next(20) == 0 {
                    target = up_to([0, 1, 2, ALL][next(4) as usize], [0, 1, 2, ALL][next(4) as usize]);
                }
                let entry = &all[at];
                let (Fate::Pass(shift) | Fate::Fill(shift)) = sieve.sift(entry, target) else { continue };
                let out = entry.seq - u64::from(shift.packets);
                assert_eq!(sent.insert(out, entry.seq), None, "number {out} twice");
                assert_eq!(sieve.original(out).map(|o| o.0), Some(entry.seq));
            }
            let (first, last) = (sent.keys().next().unwrap_or(&0), sent.keys().next_back().unwrap_or(&0));
            assert_eq!(last - first + 1, sent.len() as u64, "a hole");
        }
    }
}
