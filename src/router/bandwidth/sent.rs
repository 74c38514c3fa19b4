//! What was sent under which transport-wide number, until feedback tells what became of it.

use serde::{Deserialize, Serialize};

use crate::units::Instant;

/// At first: enough for 2 Mbit/s over 300 ms.
const FIRST: usize = 64;
/// At most: about 8 kilobytes.
const MOST: usize = 1024;
/// Packets that feedback has not spoken of for so long may be overwritten rather than room be made.
const KEEP_US: u32 = 1_500_000;

/// What is known of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Fate {
    /// There was none under this number.
    #[default]
    None,
    InFlight,
    /// Feedback called it lost; it may still arrive.
    Lost,
    Arrived,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Record {
    /// When it was sent: the low 32 bits, an hour.
    at_us: u32,
    bytes: u16,
    /// The probing cluster that it was part of; 0 is none.
    cluster: u8,
    fate: Fate,
}

/// A packet of which feedback speaks for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// When it was sent, in microseconds.
    pub(super) sent_us: i64,
    pub(super) bytes: u16,
    pub(super) cluster: u8,
    /// Whether it was taken for lost before.
    pub(super) was_lost: bool,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    ring: Box<[Record]>,
    /// Number of the next packet.
    next: u16,
    /// When the newest was sent.
    last_us: u64,
}

impl Sent {
    pub(super) fn new() -> Self {
        Self { ring: vec![Record::default(); FIRST].into_boxed_slice(), next: 0, last_us: 0 }
    }

    /// Notes a packet. Numbers grow by one.
    #[inline]
    pub(super) fn note(&mut self, seq: u16, bytes: usize, now: Instant, cluster: u8) {
        let record =
            Record { at_us: now.as_micros() as u32, bytes: bytes as u16, cluster, fate: Fate::InFlight };
        let mask = self.ring.len() - 1;
        let Some(place) = self.ring.get_mut(usize::from(seq) & mask) else { return };
        if place.fate == Fate::InFlight && record.at_us.wrapping_sub(place.at_us) < KEEP_US && mask + 1 < MOST
        {
            self.grow();
            return self.note(seq, bytes, now, cluster);
        }
        *place = record;
        self.next = seq.wrapping_add(1);
        self.last_us = now.as_micros();
    }

    #[cold]
    fn grow(&mut self) {
        let (old, len) = (self.ring.len(), self.ring.len() * 2);
        let mut ring = vec![Record::default(); len].into_boxed_slice();
        for back in 1..=old as u16 {
            let seq = usize::from(self.next.wrapping_sub(back));
            if let (Some(to), Some(from)) = (ring.get_mut(seq & (len - 1)), self.ring.get(seq & (old - 1))) {
                *to = *from;
            }
        }
        self.ring = ring;
    }

    /// When the newest packet was sent.
    pub(super) const fn last(&self) -> Instant {
        Instant::from_micros(self.last_us)
    }

    /// Feedback speaks of a packet; it if that says something new.
    #[inline]
    pub(super) fn settle(&mut self, seq: u16, arrived: bool) -> Option<Packet> {
        let back = usize::from(self.next.wrapping_sub(1).wrapping_sub(seq));
        let len = self.ring.len();
        if back >= len {
            return None;
        }
        let record = self.ring.get_mut(usize::from(seq) & (len - 1))?;
        let was_lost = record.fate == Fate::Lost;
        if !(record.fate == Fate::InFlight || (was_lost && arrived)) {
            return None;
        }
        record.fate = if arrived { Fate::Arrived } else { Fate::Lost };
        // Every record here is younger than an hour: whatever is sent overwrites them in turn, and an older one can only
        // be misdated, by a peer that waited an hour with its feedback.
        let ago = (self.last_us as u32).wrapping_sub(record.at_us);
        Some(Packet {
            sent_us: (self.last_us as i64).saturating_sub(i64::from(ago)),
            bytes: record.bytes,
            cluster: record.cluster,
            was_lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_settled_once_and_a_lost_one_may_still_arrive() {
        let mut sent = Sent::new();
        for seq in 0..10u16 {
            sent.note(seq.wrapping_sub(5), 100 + usize::from(seq), Instant::from_millis(seq.into()), 0);
        }
        let packet = sent.settle(65_535, true).expect("known");
        assert_eq!((packet.sent_us, packet.bytes, packet.was_lost), (4_000, 104, false));
        assert_eq!(sent.settle(65_535, true), None);
        assert_eq!(sent.settle(65_535, false), None);
        assert!(sent.settle(1, false).is_some() && sent.settle(1, false).is_none());
        assert!(sent.settle(1, true).is_some_and(|p| p.was_lost));
        assert_eq!(sent.settle(5, true), None, "not sent yet");
        assert_eq!(sent.settle(65_530, true), None, "never sent");
    }

    #[test]
    fn it_grows_with_what_is_in_flight_and_never_beyond_its_bound() {
        let mut sent = Sent::new();
        for seq in 0..3000u16 {
            sent.note(seq, 1200, Instant::from_millis(seq.into()), 0);
            if seq >= 50 {
                assert!(sent.settle(seq - 50, true).is_some());
            }
        }
        assert_eq!(sent.ring.len(), FIRST);
        for seq in 3000..6000u16 {
            sent.note(seq, 1200, Instant::from_millis(3000), 0);
        }
        assert_eq!(sent.ring.len(), MOST);
        assert!(sent.settle(5000, true).is_some() && sent.settle(4900, true).is_none());
    }
}
