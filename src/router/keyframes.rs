//! When the publisher is asked for a keyframe of a layer: once for all who need one, seldom, and only while what asked
//! for keyframes cost stays a small share of the layer.
//!
//! A keyframe costs several times what the pictures around it cost, and an encoder that holds its rate takes that from
//! their quality. So every byte of the layer earns a share of a byte of credit, and every keyframe that was asked for
//! is paid from it.

use crate::units::{Duration, Instant};

/// Between two requests: an encoder that is asked more often only loses quality.
const EVERY: Duration = Duration::from_millis(500);
/// The share of a layer that keyframes may take that were asked for.
const SHARE_PERCENT: i64 = 15;
/// Nobody waits for a picture longer than this, whatever it costs: a still screen earns next to nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Keyframes {
    /// Someone needs one.
    wanted: bool,
    /// Since when.
    since: Option<Instant>,
    asked: Option<Instant>,
    /// One was asked for and did not begin yet.
    awaited: bool,
    elsewhere: bool,
    /// Bytes that may be spent; below zero while the last one is being paid.
    credit: i64,
    /// The last one: its timestamp, its bytes, whether it was asked for.
    last: Option<u32>,
    bytes: i64,
    paid: bool,
}

impl Default for Keyframes {
    fn default() -> Self {
        Self {
            wanted: false,
            since: None,
            asked: None,
            awaited: false,
            elsewhere: false,
            credit: 1,
            last: None,
            bytes: 0,
            paid: false,
        }
    }
}

impl Keyframes {
    /// Someone needs one.
    pub(crate) const fn want(&mut self) {
        self.wanted = true;
    }

    pub(crate) const fn wanted(&self) -> bool {
        self.wanted
    }

    /// Nobody needs one any more.
    pub(crate) const fn forget(&mut self) {
        (self.wanted, self.since, self.awaited, self.elsewhere) = (false, None, false, false);
    }

    /// One is on its way without a request of ours.
    pub(crate) const fn asked_elsewhere(&mut self) {
        self.elsewhere = true;
    }

    const fn asked(&mut self, now: Instant) {
        (self.asked, self.awaited) = (Some(now), true);
    }

    /// Whether one is to be asked for now; it counts as asked for then.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        if !self.wanted {
            return false;
        }
        if std::mem::take(&mut self.elsewhere) {
            self.asked(now);
        }
        let since = *self.since.get_or_insert(now);
        let rested = self.asked.is_none_or(|asked| now.since(asked) >= EVERY);
        // A request that was lost cost nothing.
        let affordable = self.awaited || self.credit > 0 || now.since(since) >= PATIENCE;
        let due = rested && affordable;
        if due {
            self.asked(now);
        }
        due
    }

    /// One began to arrive.
    pub(crate) const fn came(&mut self) {
        self.forget();
    }

    /// What the last one cost.
    pub(crate) fn bytes(&self) -> u32 {
        u32::try_from(self.bytes).unwrap_or_default()
    }

    /// Counts a packet of the layer. `begins`: it begins a keyframe.
    pub(crate) fn count(&mut self, ts: u32, begins: bool, bytes: usize) {
        let bytes = bytes as i64;
        if begins && self.last != Some(ts) {
            (self.last, self.bytes, self.paid) = (Some(ts), 0, self.awaited);
        }
        // What is saved up is enough for one.
        self.credit = (self.credit + bytes * SHARE_PERCENT / 100).min(self.bytes.max(1));
        if self.last == Some(ts) {
            self.bytes += bytes;
            self.credit -= if self.paid { bytes } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn wishes_are_one_request_which_is_repeated_until_it_is_heard() {
        let mut keyframes = Keyframes::default();
        assert!(!keyframes.due(at(0)));
        keyframes.want();
        assert!(keyframes.due(at(0)));
        keyframes.want();
        assert!(!keyframes.due(at(499)) && keyframes.due(at(500)) && !keyframes.due(at(501)));
        keyframes.count(1, true, 50_000);
        keyframes.came();
        assert!(!keyframes.due(at(2000)), "nobody wants one any more");
    }

    #[test]
    fn who_always_wants_one_gets_fifteen_percent() {
        let mut keyframes = Keyframes::default();
        let (mut asked_for, mut all, mut answer) = (0u64, 0u64, false);
        // A minute of 25 frames a second of 10 kB each; a keyframe has 100 kB.
        for frame in 0..1500u64 {
            keyframes.want();
            let bytes = if std::mem::take(&mut answer) { 100_000 } else { 10_000 };
            let begins = bytes > 10_000;
            (0..bytes / 1000).for_each(|n| keyframes.count(frame as u32, begins && n == 0, 1000));
            if begins {
                keyframes.came();
                asked_for += bytes;
            }
            all += bytes;
            answer = keyframes.due(at(frame * 40));
        }
        let share = asked_for * 100 / all;
        assert!((12..=15).contains(&share), "{share} %");
    }

    #[test]
    fn a_layer_that_earns_nothing_makes_nobody_wait_forever() {
        let mut keyframes = Keyframes::default();
        let mut asked = vec![];
        for tenth in 0..100 {
            keyframes.want();
            if keyframes.due(at(tenth * 100)) {
                asked.push(tenth * 100);
                keyframes.count(tenth as u32, true, 200_000);
                keyframes.came();
            }
        }
        assert_eq!(asked, [0, 5100]);
    }
}
