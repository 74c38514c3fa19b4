//! Packets that left together are judged together: how much later than its predecessor a group left and arrived
//! (draft-ietf-rmcat-gcc-02 section 5.2).

use serde::{Deserialize, Serialize};

/// What leaves within so much is a group ...
const BURST_US: i64 = 5_000;
/// ... and so is what arrives that close together though it left apart, up to this long: it waited together.
const LONGEST_BURST_US: i64 = 100_000;
/// A step of arrivals beyond this is a clock that was set, not a delay.
const JUMP_US: i64 = 3_000_000;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    first_arrival: i64,
    last_arrival: i64,
}

/// How much later than the group before it a group left and arrived, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) sent_us: i64,
    pub(super) arrived_us: i64,
    /// When it had arrived, by the peer's clock.
    pub(super) at_us: i64,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    current: Option<Group>,
    before: Option<Group>,
}

impl Groups {
    /// Takes in a packet, in the order of sending. A step is known once a later group begins.
    #[inline]
    pub(super) fn note(&mut self, sent: i64, arrival: i64) -> Option<Step> {
        let new = Group { first_sent: sent, last_sent: sent, first_arrival: arrival, last_arrival: arrival };
        let Some(current) = self.current.as_mut() else {
            self.current = Some(new);
            return None;
        };
        if (arrival - current.last_arrival).abs() > JUMP_US {
            *self = Self { current: Some(new), before: None };
            return None;
        }
        // Something of an earlier feedback, come late.
        if sent < current.first_sent {
            return None;
        }
        let together = sent - current.first_sent <= BURST_US || {
            let apart = arrival - current.last_arrival;
            apart <= BURST_US
                && apart < sent - current.last_sent
                && arrival - current.first_arrival < LONGEST_BURST_US
        };
        if together {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrival = current.last_arrival.max(arrival);
            return None;
        }
        let ended = std::mem::replace(current, new);
        let before = self.before.replace(ended)?;
        Some(Step {
            sent_us: ended.last_sent - before.last_sent,
            arrived_us: ended.last_arrival - before.last_arrival,
            at_us: ended.last_arrival,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_one_group_and_steps_are_between_their_ends() {
        let mut groups = Groups::default();
        let mut steps = vec![];
        // Frames of three packets every 33 ms; the way takes 1 ms for each, the third frame waits 10 ms.
        for frame in 0..4i64 {
            for n in 0..3 {
                let late = if frame == 2 { 10_000 } else { 0 };
                steps.extend(groups.note(frame * 33_000, 500_000 + frame * 33_000 + late + n * 1000));
            }
        }
        let seen: Vec<_> = steps.iter().map(|s| (s.sent_us, s.arrived_us)).collect();
        assert_eq!(seen, [(33_000, 33_000), (33_000, 43_000)]);
    }

    #[test]
    fn what_waited_together_is_one_group() {
        let mut groups = Groups::default();
        for n in 0..8i64 {
            assert_eq!(groups.note(n * 10_000, 200_000 + n * 1000), None);
        }
    }

    #[test]
    fn a_clock_that_jumps_begins_anew() {
        let mut groups = Groups::default();
        for n in 0..3i64 {
            groups.note(n * 20_000, n * 20_000);
        }
        assert_eq!(groups.note(60_000, 1 << 40), None);
        assert_eq!(groups.note(80_000, (1 << 40) + 20_000), None);
        let step = groups.note(100_000, (1 << 40) + 40_000).expect("two groups are over");
        assert_eq!((step.sent_us, step.arrived_us), (20_000, 20_000));
    }
}
