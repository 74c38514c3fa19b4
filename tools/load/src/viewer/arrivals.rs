//! Arrivals by transport-wide sequence number, until they are reported.

use std::collections::VecDeque;
use std::time::Instant;

use millrace::wire::id::{Seq, Seq16, Ssrc};
use millrace::wire::rtcp::Feedback;

use crate::stamp;

/// Statuses in one transport-wide feedback.
const STATUSES: u64 = 400;

/// See the module.
#[derive(Default)]
pub(crate) struct Arrivals {
    highest: Option<Seq>,
    /// The first number that no feedback was about.
    next: Seq,
    /// Arrival times from `next` on, in microseconds; 0 for what has not come.
    at: VecDeque<u64>,
    count: u8,
}

impl Arrivals {
    pub(crate) fn note(&mut self, now: Instant, seq: Seq16) {
        let seq = match self.highest {
            Some(highest) => highest.nearest(seq),
            None => {
                // Far from zero, so that what came just before is no underflow.
                self.next = Seq(0x1_0000 + u64::from(seq.0));
                self.next
            }
        };
        self.highest = self.highest.max(Some(seq));
        if seq < self.next {
            return;
        }
        let index = self.next.until(seq) as usize;
        if index >= self.at.len() {
            self.at.resize(index + 1, 0);
        }
        if let Some(at) = self.at.get_mut(index) {
            *at = stamp::micros(now);
        }
    }

    /// The feedback that is due: its fixed part and one status a packet.
    pub(crate) fn take(&mut self, sender: Ssrc, media: Ssrc) -> Option<(Feedback, Vec<Option<i16>>)> {
        let first = self.at.iter().position(|at| *at != 0)?;
        if first as u64 >= STATUSES {
            // A hole wider than one feedback: nobody needs to hear of it.
            self.skip(first);
        }
        let base = self.next;
        let &first = self.at.iter().find(|at| **at != 0)?;
        let unit = Feedback::REFERENCE_MICROS as u64;
        let reference = (first / unit) & 0xff_ffff;
        let mut clock = first / unit * unit;
        let mut statuses = Vec::with_capacity(self.at.len().min(STATUSES as usize));
        let mut told = 0;
        for (n, &at) in self.at.iter().take(STATUSES as usize).enumerate() {
            if at == 0 {
                statuses.push(None);
                continue;
            }
            let ticks = (at as i64 - clock as i64) / Feedback::DELTA_MICROS;
            let Ok(delta) = i16::try_from(ticks) else { break };
            statuses.push(Some(delta));
            clock = clock.wrapping_add_signed(ticks * Feedback::DELTA_MICROS);
            told = n + 1;
        }
        statuses.truncate(told);
        self.skip(told);
        let count = self.count;
        self.count = count.wrapping_add(1);
        // 24 bits with sign.
        let reference = ((reference as i32) << 8) >> 8;
        Some((Feedback { sender, media, base: base.wire(), reference, count }, statuses))
    }

    fn skip(&mut self, count: usize) {
        self.at.drain(..count.min(self.at.len()));
        self.next = self.next.plus(count as u64);
    }
}
