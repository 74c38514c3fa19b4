//! How much may be sent, by what the server reports: REMB is obeyed, and losses that transport-wide feedback tells of are
//! given way to (draft-ietf-rmcat-gcc-02 section 6). Delay is not looked at: a server that is slow would get less to do.

use std::time::{Duration, Instant};

/// How often losses are judged.
const JUDGED: Duration = Duration::from_millis(500);
/// Nothing is slower than this.
const LEAST: f64 = 60e3;
/// A rate that is no limit.
const MOST: f64 = 100e6;

/// See the module.
#[derive(Debug)]
pub(super) struct Rate {
    remb: f64,
    by_loss: f64,
    told: (u32, u32),
    judged: Option<Instant>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { remb: MOST, by_loss: MOST, told: (0, 0), judged: None }
    }
}

impl Rate {
    /// The server asks for at most this, in bit/s.
    pub(super) fn remb(&mut self, bps: u64) {
        self.remb = bps as f64;
    }

    /// Feedback told of so many packets, and that so many of them did not arrive.
    pub(super) fn told(&mut self, packets: u32, lost: u32) {
        self.told.0 += packets;
        self.told.1 += lost;
    }

    /// What may be sent now, where `sends` is what is sent, both in bit/s.
    pub(super) fn allowed(&mut self, now: Instant, sends: f64) -> f64 {
        if now.saturating_duration_since(*self.judged.get_or_insert(now)) >= JUDGED {
            self.judged = Some(now);
            let (packets, lost) = std::mem::take(&mut self.told);
            let share = f64::from(lost) / f64::from(packets.max(1));
            if share > 0.1 {
                self.by_loss = (sends.min(self.by_loss) * (1.0 - 0.5 * share)).max(LEAST);
            } else if share < 0.02 && packets > 0 {
                // 8 % a second.
                self.by_loss = (self.by_loss * 1.04).min(MOST);
            }
        }
        self.remb.min(self.by_loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_way_to_losses_and_recovers_and_obeys() {
        let mut rate = Rate::default();
        let mut now = Instant::now();
        let mut step = |rate: &mut Rate, lost| {
            now += Duration::from_millis(501);
            rate.told(100, lost);
            rate.allowed(now, 2e6)
        };
        step(&mut rate, 0);
        assert_eq!(step(&mut rate, 1), MOST);
        let fallen = step(&mut rate, 20);
        assert!((1.7e6..1.9e6).contains(&fallen), "{fallen}");
        assert_eq!(step(&mut rate, 5), fallen, "neither good nor bad");
        assert!(step(&mut rate, 0) > fallen);
        rate.remb(500_000);
        assert_eq!(step(&mut rate, 0), 500e3);
    }
}
