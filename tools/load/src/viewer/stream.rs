//! One SSRC as its receiver sees it: which packets came, which are missing, which frames are whole.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace::wire::id::{RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtcp::ReportBlock;

use super::check::Checker;
use crate::measure::{Count, Counts};
use crate::sdp::Payload;
use crate::stamp::{self, Stamp};

/// A packet that is asked for and does not come is asked for again after this ...
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// ... this often, and then is lost.
const ASKS: u8 = 10;
/// A wider gap is a new beginning.
const WIDEST_GAP: u64 = 1000;
/// A stream that does not begin with a keyframe: when one is first asked for, as browsers do.
const FIRST_KEYFRAME: Duration = Duration::from_millis(200);
/// Frames that wait for a missing packet; older ones are as good as lost.
const WAITING: usize = 256;

struct Missing {
    next: Instant,
    asks: u8,
}

/// What a sequence number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    Late,
    Double,
}

/// The last packet of a frame.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) seq: Seq,
    pub(super) ts: RtpTs,
    pub(super) stamp: Option<Stamp>,
}

/// Packets of one encoding since they were last counted against the stamps.
#[derive(Clone, Copy)]
struct Segment {
    source: u16,
    layer: u8,
    number: u32,
    at: u64,
    media: u64,
}

/// See the module.
pub(super) struct Stream {
    pub(super) payload: Payload,
    highest: Seq,
    base: Seq,
    received: u64,
    /// Of those, with something in them.
    pub(super) media: u64,
    missing: BTreeMap<Seq, Missing>,
    /// RFC 3550 section 6.4.1, in units of the timestamp, times 16.
    jitter: u32,
    transit: Option<u32>,
    pub(super) last_sr: Option<(u32, Instant)>,
    reported: (u64, u64),
    segment: Option<Segment>,
    /// Ends of frames that are not whole yet, in order.
    waiting: Vec<End>,
    /// Where the newest keyframe begins, until it is whole.
    key_from: Option<Seq>,
    /// A keyframe began, and nothing was lost for good since.
    pub(super) has_key: bool,
    /// A keyframe is whole, and so is everything since.
    pub(super) decodable: bool,
    /// When a keyframe is asked for if none has come.
    pub(super) ask_key: Instant,
    pace: Pace,
    pub(super) checker: Option<Checker>,
}

/// How frames follow each other.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    mean: Duration,
}

impl Pace {
    /// A frame is shown. The time that the picture stood still, by webrtc-stats' measure of it, if it did.
    fn frame(&mut self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.last.replace(now)?);
        let mean = self.mean;
        self.mean = if mean.is_zero() { since } else { (mean * 29 + since.min(mean * 3)) / 30 };
        let still = !mean.is_zero() && since > (mean * 3).max(mean + Duration::from_millis(150));
        still.then_some(since)
    }
}

impl Stream {
    pub(super) fn new(payload: Payload, seq: Seq16, now: Instant, checks: bool) -> Self {
        // Far from zero, so that what came just before is no underflow.
        let seq = Seq(0x1_0000 + u64::from(seq.0));
        Self {
            payload,
            highest: Seq(seq.0 - 1),
            base: seq,
            received: 0,
            media: 0,
            missing: BTreeMap::new(),
            jitter: 0,
            transit: None,
            last_sr: None,
            reported: (0, 0),
            segment: None,
            waiting: Vec::new(),
            key_from: None,
            has_key: false,
            decodable: false,
            ask_key: now + FIRST_KEYFRAME,
            pace: Pace::default(),
            checker: (checks && !payload.audio).then(Checker::default),
        }
    }

    /// Takes note of a packet. What it is, and its number with rollovers.
    pub(super) fn arrive(&mut self, now: Instant, seq: Seq16, counts: &mut Counts) -> (Arrival, Seq) {
        let seq = self.highest.nearest(seq);
        if seq <= self.highest {
            if self.missing.remove(&seq).is_some() {
                self.received += 1;
                return (Arrival::Late, seq);
            }
            return (Arrival::Double, seq);
        }
        let gap = self.highest.until(seq) - 1;
        if gap > WIDEST_GAP {
            counts.add(Count::Jumps, 1);
            counts.add(Count::Lost, self.missing.len() as u64);
            self.missing.clear();
            self.waiting.clear();
            self.base = seq;
            self.received = 0;
            self.reported = (0, 0);
            self.has_key = false;
            self.decodable = false;
            self.key_from = None;
            self.checker = self.checker.take().map(|_| Checker::default());
        } else {
            for n in 1..=gap {
                self.missing.insert(self.highest.plus(n), Missing { next: now, asks: 0 });
            }
        }
        self.highest = seq;
        self.received += 1;
        (Arrival::New, seq)
    }

    /// A keyframe begins with this packet.
    pub(super) fn key(&mut self, seq: Seq) {
        self.has_key = true;
        self.key_from = Some(self.key_from.map_or(seq, |from| from.max(seq)));
    }

    /// A frame ends with this packet.
    pub(super) fn end(&mut self, end: End) {
        let at = self.waiting.partition_point(|other| other.seq < end.seq);
        self.waiting.insert(at, end);
        if self.waiting.len() > WAITING {
            self.waiting.remove(0);
        }
    }

    /// The next frame that has become whole and can be decoded.
    pub(super) fn whole(&mut self) -> Option<End> {
        loop {
            let end = *self.waiting.first()?;
            if self.missing.first_key_value().is_some_and(|(missing, _)| *missing < end.seq) {
                return None;
            }
            self.waiting.remove(0);
            if self.key_from.is_some_and(|from| from <= end.seq) {
                self.key_from = None;
                self.decodable = true;
            }
            if self.decodable {
                return Some(end);
            }
            if let Some(checker) = &mut self.checker {
                checker.forget(end.seq);
            }
        }
    }

    /// A frame is shown: the time that the picture stood still before, if it did.
    pub(super) fn shown(&mut self, now: Instant) -> Option<Duration> {
        self.pace.frame(now)
    }

    /// By a stamp: media packets that were sent and that came since the last one of the same encoding, and when that was.
    pub(super) fn account(&mut self, stamp: &Stamp) -> Option<(u64, u64, u64)> {
        let Stamp { source, layer, number, at, .. } = *stamp;
        let new = Segment { source, layer, number, at, media: self.media };
        let same = |old: &Segment| (old.source, old.layer) == (source, layer);
        match self.segment.filter(same) {
            // An older one, repaired.
            Some(old) if number <= old.number => None,
            Some(old) => {
                self.segment = Some(new);
                Some(((number - old.number).into(), self.media.saturating_sub(old.media), old.at))
            }
            None => {
                self.segment = Some(new);
                None
            }
        }
    }

    /// What comes next need not follow what came.
    pub(super) fn begins_anew(&mut self) {
        self.segment = None;
    }

    /// The last stamp that was counted: its source, its encoding and its number.
    pub(super) fn accounted(&self) -> Option<(u16, u8, u32)> {
        self.segment.map(|s| (s.source, s.layer, s.number))
    }

    /// Interarrival jitter.
    pub(super) fn measure(&mut self, now: Instant, ts: RtpTs) {
        let rate = u64::from(self.payload.clock_rate);
        let arrival = (u128::from(stamp::micros(now)) * u128::from(rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(ts.0);
        if let Some(before) = self.transit.replace(transit) {
            let d = (transit.wrapping_sub(before) as i32).unsigned_abs().min(1 << 24);
            self.jitter = self.jitter.saturating_add(d).saturating_sub((self.jitter + 8) >> 4);
        }
    }

    /// It, as a time.
    pub(super) fn jitter(&self) -> Duration {
        let ticks = u64::from(self.jitter >> 4);
        Duration::from_micros(ticks * 1_000_000 / u64::from(self.payload.clock_rate.max(1)))
    }

    /// Whether something is missing.
    pub(super) fn misses(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Numbers to be asked for now, and when to look again. What was asked for too often is lost.
    pub(super) fn ask(&mut self, now: Instant, counts: &mut Counts) -> (Vec<Seq16>, Option<Instant>) {
        let (mut wanted, mut next, mut lost) = (Vec::new(), None::<Instant>, None);
        self.missing.retain(|seq, missing| {
            if missing.next <= now {
                if missing.asks == ASKS {
                    counts.add(Count::Lost, 1);
                    lost = Some(*seq);
                    return false;
                }
                missing.asks += 1;
                missing.next = now + ASK_AGAIN;
                wanted.push(seq.wire());
            }
            next = Some(next.map_or(missing.next, |n| n.min(missing.next)));
            true
        });
        if let Some(lost) = lost {
            // The frame that lacks it is never shown, nor are those after it, up to a keyframe.
            self.waiting.retain(|end| end.seq > lost);
            self.key_from = self.key_from.filter(|from| *from > lost);
            self.has_key = self.key_from.is_some();
            self.decodable = false;
        }
        (wanted, next)
    }

    /// The receiver report's block about it.
    pub(super) fn report(&mut self, now: Instant, ssrc: Ssrc) -> ReportBlock {
        let expected = self.base.until(self.highest) + 1;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let since = expected.saturating_sub(expected_before);
        let lost_since = since.saturating_sub(self.received.saturating_sub(received_before));
        let (last_sr, delay) = match self.last_sr {
            Some((sr, at)) => (sr, (now.duration_since(at).as_micros() * 65_536 / 1_000_000) as u32),
            None => (0, 0),
        };
        ReportBlock {
            ssrc,
            fraction_lost: (lost_since * 256).checked_div(since).unwrap_or(0).min(255) as u8,
            lost: (expected as i64 - self.received as i64) as i32,
            // The base was chosen one rollover up.
            highest_seq: (self.highest.0 - 0x1_0000) as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_sr: delay,
        }
    }
}
