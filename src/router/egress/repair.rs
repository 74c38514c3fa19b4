//! What a viewer asks for again: each packet at most once in a round trip, all together within a share of what it is
//! sent. Nobody makes us send more by asking more. Who asks for a packet a second time lost the answer or the question, and
//! there is hardly time for a third: it gets two, the second behind whatever else waits.

use std::collections::VecDeque;

use crate::units::{Bitrate, Duration, Instant};

/// Retransmissions that wait to be sent.
const MAX_WAITING: usize = 256;
/// For so many bytes of media one byte may be sent again: enough for a third lost, its repetitions included.
const MEDIA_PER_BYTE: u64 = 2;
/// Saved up for an outage: at least this, at most the share of so long.
const SAVED: i64 = 64 * 1024;
const SAVED_FOR: Duration = Duration::from_secs(1);
/// Packets of which it is known that they were sent again just now.
const REMEMBERED: usize = 128;
/// The least time between two answers, and the most whatever round trip was measured.
const MIN_AGAIN: Duration = Duration::from_millis(10);
const MAX_AGAIN: Duration = Duration::from_millis(300);

/// One packet: which slot, under which number it went out.
pub(crate) type Asked = (u16, u64);

/// See the module.
#[derive(Debug)]
pub(crate) struct Repair {
    /// And whether once more afterwards.
    waiting: VecDeque<(Asked, bool)>,
    /// By low bits of the number; made when it is first needed, since most viewers never ask.
    answered: Vec<(Asked, Instant)>,
    /// Bytes that may be sent again; below zero where the last ones were more.
    credit: i64,
    /// Bytes of media ever sent when `credit` was reckoned, and bytes sent again since the beginning.
    reckoned: u64,
    again: u64,
}

impl Default for Repair {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), answered: Vec::new(), credit: SAVED, reckoned: 0, again: 0 }
    }
}

impl Repair {
    /// Lets what was sent by now, retransmissions included, earn its share.
    pub(crate) fn reckon(&mut self, sent: u64, rate: Bitrate) {
        let media = sent.saturating_sub(self.again);
        let earned = media.saturating_sub(self.reckoned) / MEDIA_PER_BYTE;
        let share = rate.as_bps() / 8 * SAVED_FOR.as_secs() / MEDIA_PER_BYTE;
        self.credit = (self.credit + earned as i64).min(SAVED.max(share as i64));
        self.reckoned = media;
    }

    /// Queues a packet. False: it would be too much. What was sent less than a round trip ago is on its way.
    pub(crate) fn ask(&mut self, asked: Asked, round_trip: Option<Duration>, now: Instant) -> bool {
        if self.credit <= 0 || self.waiting.len() >= MAX_WAITING {
            return false;
        }
        if self.answered.is_empty() {
            self.answered.resize(REMEMBERED, ((u16::MAX, 0), Instant::ZERO));
        }
        // A little less than a round trip: clocks tick, and who asks again has waited for one.
        let again = round_trip.map_or(MIN_AGAIN, |rtt| (rtt * 3 / 4).clamp(MIN_AGAIN, MAX_AGAIN));
        let mut repeated = false;
        if let Some(place) = self.answered.get_mut(asked.1 as usize % REMEMBERED) {
            repeated = place.0 == asked;
            if repeated && now.since(place.1) < again {
                return true;
            }
            *place = (asked, now);
        }
        self.waiting.push_back((asked, repeated));
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next packet to send, until [`Repair::done`].
    pub(crate) fn next(&self) -> Option<Asked> {
        self.waiting.front().map(|(asked, _)| *asked)
    }

    /// It was sent with so many bytes, or cannot be.
    pub(crate) fn done(&mut self, bytes: usize) {
        if let Some((asked, true)) = self.waiting.pop_front()
            && bytes > 0
        {
            self.waiting.push_back((asked, false));
        }
        self.credit -= bytes as i64;
        self.again += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Option<Duration> = Some(Duration::from_millis(100));

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_packet_is_sent_once_in_a_round_trip() {
        let mut repair = Repair::default();
        assert!(repair.ask((1, 70_000), RTT, at(0)) && repair.ask((1, 70_000), RTT, at(50)));
        assert_eq!(repair.next(), Some((1, 70_000)));
        repair.done(1000);
        assert!(repair.is_empty());
        repair.ask((1, 70_000), RTT, at(74));
        assert!(repair.is_empty());
        repair.ask((2, 70_000), RTT, at(74));
        repair.ask((1, 70_000), RTT, at(80));
        assert_eq!(std::iter::from_fn(|| repair.next().inspect(|_| repair.done(1))).count(), 2);
    }

    #[test]
    fn who_asks_again_gets_two_the_second_behind_the_others() {
        let mut repair = Repair::default();
        let all = |repair: &mut Repair| -> Vec<u64> {
            std::iter::from_fn(|| repair.next().inspect(|_| repair.done(1)).map(|asked| asked.1)).collect()
        };
        repair.ask((1, 7), RTT, at(0));
        assert_eq!(all(&mut repair), [7]);
        repair.ask((1, 7), RTT, at(100));
        repair.ask((1, 8), RTT, at(100));
        assert_eq!(all(&mut repair), [7, 8, 7]);
        // What is not there any more is not there a second time.
        repair.ask((1, 8), RTT, at(200));
        repair.done(0);
        assert!(repair.is_empty());
    }

    #[test]
    fn what_is_sent_again_is_half_of_what_is_sent_and_what_was_saved() {
        let mut repair = Repair::default();
        let rate = Bitrate::from_kbps(800);
        let (mut sent, mut again) = (0, 0);
        // Ten seconds of 800 kbit/s to one who asks for everything, many times.
        for ms in 0..10_000u64 {
            sent += 100;
            repair.reckon(sent, rate);
            for seq in ms..ms + 10 {
                repair.ask((0, seq), None, at(ms));
            }
            while repair.next().is_some() {
                repair.done(1000);
                (sent, again) = (sent + 1000, again + 1000);
            }
        }
        let media = sent - again;
        assert!((media / 2..=media / 2 + SAVED as u64 + 11_000).contains(&again), "{again} of {media}");
    }
}
