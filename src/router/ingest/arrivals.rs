//! When packets of a publisher came, for transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use crate::units::{Duration, Instant};
use crate::wire::id::{Seq, Seq16, Ssrc};
use crate::wire::rtcp::{Feedback, Writer};

/// How often feedback is sent.
pub(crate) const EVERY: Duration = Duration::from_millis(50);
/// The most packets in one feedback; what came when this is full is not reported.
const MOST: usize = 512;
/// The widest range of sequence numbers in one feedback: what lies further apart was not one flight.
const WIDEST: u64 = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    highest: Option<Seq>,
    /// First number that was not yet reported.
    next: u64,
    came: Vec<(u64, Instant)>,
    count: u8,
}

impl Arrivals {
    /// Notes a packet.
    pub(crate) fn note(&mut self, wire: Seq16, now: Instant) {
        let seq = match self.highest {
            Some(highest) => highest.nearest(wire),
            None => {
                self.next = 0x1_0000 + u64::from(wire.0);
                Seq(self.next)
            }
        };
        self.highest = Some(self.highest.map_or(seq, |h| h.max(seq)));
        if self.came.len() < MOST {
            self.came.push((seq.0, now));
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.came.is_empty()
    }

    /// Writes what came since the last feedback; false if there was no room (nothing is lost then).
    pub(crate) fn write(&mut self, out: &mut Writer<'_>, sender: Ssrc, media: Ssrc) -> bool {
        self.came.sort_unstable();
        self.came.dedup_by_key(|(seq, _)| *seq);
        let (Some(first), Some(last)) = (self.came.first().copied(), self.came.last().copied()) else {
            return true;
        };
        // Packets between the last feedback and this one that did not come are reported lost.
        let base = if last.0 - self.next.min(last.0) < WIDEST { self.next.min(first.0) } else { first.0 };
        let base = base.max(last.0.saturating_sub(WIDEST));
        let earliest = self.came.iter().map(|(_, at)| at.as_micros()).min().unwrap_or_default();
        let reference = earliest / Feedback::REFERENCE_MICROS as u64;
        let feedback = Feedback {
            sender,
            media,
            base: Seq(base).wire(),
            // 24 bits, wrapping, with sign.
            reference: ((reference as u32) << 8) as i32 >> 8,
            count: self.count,
        };
        let statuses = Statuses {
            came: self.came.get(self.came.partition_point(|(seq, _)| *seq < base)..).unwrap_or_default(),
            seq: base,
            end: last.0 + 1,
            at: (reference * Feedback::REFERENCE_MICROS as u64 / Feedback::DELTA_MICROS as u64) as i64,
        };
        if !out.twcc(&feedback, statuses) {
            return false;
        }
        self.count = self.count.wrapping_add(1);
        self.next = last.0 + 1;
        self.came.clear();
        true
    }

    /// Gives up what cannot be written.
    pub(crate) fn clear(&mut self) {
        self.came.clear();
    }
}

#[derive(Clone)]
struct Statuses<'a> {
    came: &'a [(u64, Instant)],
    seq: u64,
    end: u64,
    /// Where the next delta starts from, in units of 250 us.
    at: i64,
}

impl Iterator for Statuses<'_> {
    type Item = Option<i16>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.seq >= self.end {
            return None;
        }
        let seq = self.seq;
        self.seq += 1;
        let Some(((came, at), rest)) = self.came.split_first() else { return Some(None) };
        if *came != seq {
            return Some(None);
        }
        self.came = rest;
        let ticks = (at.as_micros() / Feedback::DELTA_MICROS as u64) as i64;
        let delta = (ticks - self.at).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        self.at += i64::from(delta);
        Some(Some(delta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{Packet, packets};

    #[test]
    fn a_reader_learns_when_each_packet_came() {
        let mut arrivals = Arrivals::default();
        let us = [(65_534u16, 1_000_000), (65_535, 1_000_500), (2, 1_020_000), (1, 1_020_250)];
        for (seq, at) in us {
            arrivals.note(Seq16(seq), Instant::from_micros(at));
        }
        let mut buf = [0; 200];
        let mut out = Writer::new(&mut buf);
        assert!(arrivals.write(&mut out, Ssrc(1), Ssrc(2)));
        let len = out.len();
        let Some(Packet::Twcc(twcc)) = packets(&buf[..len]).expect("well-formed").next() else {
            panic!("feedback")
        };
        let mut at = i64::from(twcc.feedback.reference) * Feedback::REFERENCE_MICROS;
        let read: Vec<_> = twcc
            .statuses()
            .map(|(seq, delta)| {
                at += i64::from(delta.unwrap_or(0)) * Feedback::DELTA_MICROS;
                (seq.0, delta.map(|_| at))
            })
            .collect();
        let expected = [
            (65_534, Some(1_000_000)),
            (65_535, Some(1_000_500)),
            (0, None),
            (1, Some(1_020_250)),
            (2, Some(1_020_000)),
        ];
        assert_eq!(read, expected);
        // What was lost between two feedbacks is told by the second.
        arrivals.note(Seq16(5), Instant::from_micros(1_100_000));
        let mut out = Writer::new(&mut buf);
        assert!(arrivals.write(&mut out, Ssrc(1), Ssrc(2)));
        let len = out.len();
        let Some(Packet::Twcc(twcc)) = packets(&buf[..len]).expect("well-formed").next() else {
            panic!("feedback")
        };
        assert_eq!((twcc.feedback.base, twcc.feedback.count, twcc.len()), (Seq16(3), 1, 3));
    }
}
