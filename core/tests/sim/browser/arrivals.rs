//! When packets came, for transport-wide feedback: all since the last feedback, those that did not come between them, and
//! again everything since a packet that came late.

use std::collections::BTreeMap;

use millrace::units::{Duration, Instant};
use millrace::wire::id::{Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{Feedback, Writer};

/// What came longer ago is not reported again.
const REMEMBERED: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Default)]
pub struct Arrivals {
    came: BTreeMap<u64, Instant>,
    highest: Option<u64>,
    /// Where the next feedback starts.
    next: u64,
    news: bool,
    count: u8,
}

impl Arrivals {
    pub fn note(&mut self, wire: Seq16, now: Instant) {
        let seq = self.highest.map_or(0x1_0000 + u64::from(wire.0), |h| Seq(h).nearest(wire).0);
        if self.highest.is_none() {
            self.next = seq;
        }
        self.highest = Some(self.highest.map_or(seq, |h| h.max(seq)));
        self.came.entry(seq).or_insert(now);
        self.next = self.next.min(seq);
        self.news = true;
        let next = self.next;
        self.came.retain(|seq, at| *seq >= next || now.since(*at) < REMEMBERED);
    }

    pub fn write(&mut self, out: &mut Writer<'_>, sender: Ssrc, media: Ssrc) {
        if !std::mem::take(&mut self.news) {
            return;
        }
        let Some((_, earliest)) = self.came.range(self.next..).next() else { return };
        let unit = Feedback::REFERENCE_MICROS as u64;
        let reference = earliest.as_micros() / unit;
        let mut at = (reference * unit) as i64;
        let (base, mut statuses) = (self.next, vec![]);
        for (seq, came) in self.came.range(self.next..) {
            let delta = (came.as_micros() as i64 - at).div_euclid(Feedback::DELTA_MICROS);
            // What is too far from the rest begins the next feedback.
            let Ok(delta) = i16::try_from(delta) else { break };
            if seq - base > 1000 {
                break;
            }
            at += i64::from(delta) * Feedback::DELTA_MICROS;
            statuses.resize((seq - base) as usize, None);
            statuses.push(Some(delta));
        }
        let feedback = Feedback {
            sender,
            media,
            base: Seq(base).wire(),
            reference: ((reference as u32) << 8) as i32 >> 8,
            count: self.count,
        };
        self.count = self.count.wrapping_add(1);
        self.next = base + statuses.len() as u64;
        self.news = self.came.range(self.next..).next().is_some();
        assert!(out.twcc(&feedback, statuses), "a feedback of 50 ms fits");
    }
}
