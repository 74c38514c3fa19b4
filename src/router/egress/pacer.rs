//! How much one session may send now.
//!
//! A bucket that fills at a multiple of the estimate. Its queue is the logs: a slot that may not send stays where it is,
//! and its session is woken on a coarse grid, so that what was held back leaves together. Sound and reports never wait,
//! but they take from the bucket; retransmissions may overdraw it by as much as it holds.
//!
//! A TCP connection has a queue besides, which never holds more than [`STREAM_HOLDS`] of pictures: while anything waits in
//! it none is added, so what sound waits for is short, and pictures that come too late are left out whole, where they are.

use crate::units::{Bitrate, Duration, Instant};

/// The bucket fills so many times as fast as the way is taken to carry, in quarters: a keyframe passes soon.
const QUARTERS: u64 = 10;
const DRAINING_QUARTERS: u64 = 3;
/// It holds what fills it in this time: the pictures of an ordinary frame, so that they do not wait at all ...
const HOLDS_MS: u64 = 16;
/// ... and at least two packets.
const HOLDS_AT_LEAST: i32 = 2_500;
/// Before anything is known of the way: a large keyframe is no burst, and yet soon there.
const START: Bitrate = Bitrate::from_kbps(8_000);
/// What is held back waits for the next multiple of this.
const GRID_US: u64 = 5_000;
/// What a TCP connection is given at once, besides sound and reports.
pub(crate) const STREAM_HOLDS: i32 = 16 * 1024;
/// A connection that takes nothing is looked at again after this: it tells by itself when it takes more.
const CLOGGED: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Bytes that may be sent; below zero they are owed.
    left: i32,
    /// Bytes that it holds; 0 is no limit at all.
    holds: i32,
    /// Bytes that fill it in a second.
    rate: u64,
    filled: Instant,
    /// Until when nothing is let through.
    until: Instant,
    /// What the queue of a TCP connection still takes; without one, anything.
    room: i32,
    stream: Stream,
}

/// What the session is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// Datagrams.
    No,
    /// A TCP connection that takes what it is given.
    Open,
    /// One in which something waits.
    Clogged,
}

impl Pacer {
    /// For a peer that gives feedback, or for one that does not, which is not paced.
    pub(crate) fn new(feedback: bool) -> Self {
        let mut pacer = Self {
            left: 0,
            holds: 0,
            rate: 0,
            filled: Instant::ZERO,
            until: Instant::ZERO,
            room: i32::MAX,
            stream: Stream::No,
        };
        if feedback {
            pacer.pour(START.as_bps() / 8);
            pacer.left = pacer.holds;
        }
        pacer
    }

    /// The way is taken to carry so much; `None`: nobody knows, so nothing is held back. `drains`: a queue on the way is
    /// to drain, so that a burst would only make it longer.
    pub(crate) fn set(&mut self, estimate: Option<Bitrate>, drains: bool) {
        let quarters = if drains { DRAINING_QUARTERS } else { QUARTERS };
        match estimate {
            Some(estimate) => self.pour(estimate.as_bps().saturating_mul(quarters) / 32),
            None => (self.holds, self.until) = (0, Instant::ZERO),
        }
    }

    fn pour(&mut self, rate: u64) {
        // Beyond 8 GB/s nothing is to be held back anyhow.
        self.rate = rate.min(1 << 33);
        self.holds = i32::try_from(self.rate * HOLDS_MS / 1000).unwrap_or(i32::MAX).max(HOLDS_AT_LEAST);
    }

    /// Time has passed. To be called before packets are sent.
    #[inline]
    pub(crate) fn fill(&mut self, now: Instant) {
        if self.stream != Stream::No {
            self.room = if self.stream == Stream::Open { STREAM_HOLDS } else { 0 };
        }
        if self.holds == 0 {
            return;
        }
        let passed_us = (now.since(self.filled).as_micros() as u64).min(1_000_000);
        self.filled = now;
        let more = i32::try_from(self.rate * passed_us / 1_000_000).unwrap_or(i32::MAX);
        self.left = self.left.saturating_add(more).min(self.holds);
        if self.until <= now {
            self.until = Instant::ZERO;
        }
    }

    /// A packet was sent, whatever it is.
    #[inline]
    pub(crate) const fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as i32);
        if !matches!(self.stream, Stream::No) {
            self.room = self.room.saturating_sub(bytes as i32);
        }
    }

    /// What carries the session from now on.
    pub(crate) const fn carried_by(&mut self, stream: bool) {
        (self.stream, self.room) = if stream { (Stream::Open, STREAM_HOLDS) } else { (Stream::No, i32::MAX) };
    }

    /// Whether something waits in the queue of the TCP connection.
    pub(crate) fn clog(&mut self, clogged: bool) {
        if self.stream != Stream::No {
            self.stream = if clogged { Stream::Clogged } else { Stream::Open };
            self.room = if clogged { 0 } else { STREAM_HOLDS };
        }
        if !clogged {
            self.until = Instant::ZERO;
        }
    }

    /// Whether pictures may be sent.
    #[inline]
    pub(crate) const fn lets_pictures(&self) -> bool {
        self.room > 0 && (self.holds == 0 || (self.left > 0 && self.until.as_micros() == 0))
    }

    /// Whether the queue of a TCP connection takes more than sound and reports.
    pub(crate) const fn has_room(&self) -> bool {
        self.room > 0
    }

    /// Whether retransmissions may be sent.
    pub(crate) const fn lets_repairs(&self) -> bool {
        self.room > 0 && (self.holds == 0 || self.left > -self.holds)
    }

    /// Something was held back: until when.
    pub(crate) fn hold(&mut self, now: Instant) -> Instant {
        if self.until <= now {
            let owed = u64::from(self.left.min(0).unsigned_abs());
            let owed = Duration::from_micros(owed.saturating_mul(1_000_000) / self.rate.max(1));
            let wait = if self.stream == Stream::Clogged { owed.max(CLOGGED) } else { owed };
            self.until = next_on_grid(now + wait);
        }
        self.until
    }
}

/// The next time after `now` at which held packets are let through.
pub(crate) fn next_on_grid(now: Instant) -> Instant {
    Instant::from_micros((now.as_micros() + 1).next_multiple_of(GRID_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a backlog of 1200-byte packets as the pacer lets it: how long it takes, and the most that left at once.
    fn run(pacer: &mut Pacer, begin: Instant, packets: u32) -> (Duration, u32) {
        let (mut now, mut left, mut most) = (begin, packets, 0);
        loop {
            pacer.fill(now);
            let mut burst = 0;
            while left > 0 && pacer.lets_pictures() {
                pacer.spend(1200);
                (left, burst) = (left - 1, burst + 1);
            }
            most = most.max(burst);
            if left == 0 {
                return (now.since(begin), most);
            }
            let until = pacer.hold(now);
            assert!(until > now && until.as_micros().is_multiple_of(GRID_US));
            now = until;
        }
    }

    #[test]
    fn a_keyframe_is_spread_at_two_and_a_half_times_the_estimate() {
        for kbps in [300, 1000, 4000] {
            let mut pacer = Pacer::new(true);
            pacer.set(Some(Bitrate::from_kbps(kbps)), false);
            pacer.fill(Instant::from_millis(1000));
            let (took, most) = run(&mut pacer, Instant::from_millis(1000), 80);
            let ideal_ms = 80 * 1200 * 8 / (kbps * 5 / 2);
            let took_ms = took.as_millis() as u64;
            assert!(
                (ideal_ms * 7 / 10..=ideal_ms + 10).contains(&took_ms),
                "{kbps}: {took_ms} of {ideal_ms} ms"
            );
            let bound = (kbps * 5 / 2 * HOLDS_MS / 8).max(2400) / 1200 + 2;
            assert!(u64::from(most) <= bound, "{kbps}: {most} packets at once");
        }
    }

    #[test]
    fn an_ordinary_frame_does_not_wait() {
        let mut pacer = Pacer::new(true);
        pacer.set(Some(Bitrate::from_kbps(2000)), false);
        for frame in 0..100u64 {
            let (took, _) = run(&mut pacer, Instant::from_millis(1000 + frame * 33), 7);
            assert_eq!(took, Duration::ZERO, "{frame}");
        }
    }

    #[test]
    fn without_feedback_nothing_waits() {
        let mut pacer = Pacer::new(false);
        assert_eq!(run(&mut pacer, Instant::from_millis(1), 5000).0, Duration::ZERO);
        let mut pacer = Pacer::new(true);
        assert!(run(&mut pacer, Instant::from_millis(1), 300).0 > Duration::from_millis(300));
        pacer.set(None, false);
        assert_eq!(run(&mut pacer, Instant::from_millis(1000), 5000).0, Duration::ZERO);
    }

    #[test]
    fn sound_and_repairs_are_owed_and_pictures_wait_for_them() {
        let mut pacer = Pacer::new(true);
        pacer.set(Some(Bitrate::from_kbps(800)), false);
        let now = Instant::from_millis(1000);
        pacer.fill(now);
        let mut repairs = 0;
        while pacer.lets_repairs() {
            pacer.spend(1000);
            repairs += 1;
        }
        assert_eq!(repairs, 8);
        assert!(!pacer.lets_pictures());
        assert_eq!(pacer.hold(now), now + Duration::from_millis(20));
    }
}
