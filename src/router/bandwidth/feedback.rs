//! Reading transport-wide feedback: when packets arrived, by a clock of the peer that never wraps.

use serde::{Deserialize, Serialize};

use crate::wire::rtcp::{Feedback, Twcc};

/// Who speaks of more packets at once is not believed: nobody has so many on the way, and each takes time to read.
const MOST: u16 = 4096;
/// The reference wraps at 24 bits.
const WRAP: i32 = 1 << 24;

/// The peer's clock, as its feedback tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PeerClock {
    /// The last reference as it came, and without wrapping.
    last: Option<(i32, i64)>,
}

impl PeerClock {
    /// Each packet that `twcc` speaks of, with its arrival in microseconds, or `None` for those that did not.
    pub(super) fn arrivals<'a>(
        &mut self,
        twcc: &Twcc<'a>,
    ) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let reference = twcc.feedback.reference;
        let full = match self.last {
            None => i64::from(reference),
            Some((last, full)) => {
                // The nearest, ahead or back.
                let ahead = (reference.wrapping_sub(last)).rem_euclid(WRAP);
                full + i64::from(if ahead >= WRAP / 2 { ahead - WRAP } else { ahead })
            }
        };
        self.last = Some((reference, full));
        let most = if twcc.len() > MOST { 0 } else { usize::from(MOST) };
        let mut at = full.saturating_mul(Feedback::REFERENCE_MICROS);
        twcc.statuses().take(most).map(move |(seq, delta)| {
            let arrival = delta.map(|delta| {
                at += i64::from(delta) * Feedback::DELTA_MICROS;
                at
            });
            (seq.0, arrival)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::id::{Seq16, Ssrc};
    use crate::wire::rtcp::{Packet, Writer, packets};

    fn read(clock: &mut PeerClock, reference: i32, statuses: &[Option<i16>]) -> Vec<(u16, Option<i64>)> {
        let mut buf = [0; 1200];
        let mut out = Writer::new(&mut buf);
        let feedback = Feedback { sender: Ssrc(1), media: Ssrc(2), base: Seq16(65_535), reference, count: 0 };
        assert!(out.twcc(&feedback, statuses.iter().copied()));
        let len = out.len();
        let Some(Packet::Twcc(twcc)) = packets(&buf[..len]).expect("well-formed").next() else {
            panic!("feedback")
        };
        clock.arrivals(&twcc).collect()
    }

    #[test]
    fn arrivals_add_up_and_the_reference_may_wrap() {
        let mut clock = PeerClock::default();
        let first = read(&mut clock, (1 << 23) - 1, &[Some(4), None, Some(-2)]);
        let start = ((1i64 << 23) - 1) * 64_000;
        assert_eq!(first, [(65_535, Some(start + 1000)), (0, None), (1, Some(start + 500))]);
        let second = read(&mut clock, -(1 << 23), &[Some(0)]);
        assert_eq!(second, [(65_535, Some(start + 64_000))]);
        let back = read(&mut clock, (1 << 23) - 2, &[Some(0)]);
        assert_eq!(back, [(65_535, Some(start - 64_000))]);
    }

    #[test]
    fn who_claims_too_much_is_not_read() {
        let mut clock = PeerClock::default();
        assert_eq!(read(&mut clock, 0, &[None; 5000]), []);
    }
}
