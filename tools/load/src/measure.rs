//! What is counted and timed, by whom it happened to, while it happens and for the measured part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::stamp;

/// The part of a run that is measured; shared by all clients.
#[derive(Debug)]
pub struct Window {
    from: AtomicU64,
    to: AtomicU64,
}

impl Default for Window {
    fn default() -> Self {
        Self { from: AtomicU64::new(u64::MAX), to: AtomicU64::new(u64::MAX) }
    }
}

impl Window {
    /// From now on all counts.
    pub fn open(&self, now: Instant) {
        self.from.store(stamp::micros(now), Ordering::Relaxed);
    }

    /// From now on nothing counts any more.
    pub fn close(&self, now: Instant) {
        self.to.store(stamp::micros(now), Ordering::Relaxed);
    }

    /// Whether a time in microseconds of [`stamp::micros`] counts.
    pub fn holds(&self, micros: u64) -> bool {
        self.from.load(Ordering::Relaxed) <= micros && micros < self.to.load(Ordering::Relaxed)
    }

    /// How much of the time from `since` to `at` counts.
    pub fn part(&self, since: u64, at: u64) -> Duration {
        let from = self.from.load(Ordering::Relaxed).max(since);
        let to = self.to.load(Ordering::Relaxed).min(at);
        Duration::from_micros(to.saturating_sub(from))
    }

    /// Which share of the time from `since` to `at` counts. What is not over when the window closes does not count at all.
    pub fn share(&self, since: u64, at: u64) -> f64 {
        if !self.holds(at) {
            return 0.0;
        }
        let from = self.from.load(Ordering::Relaxed).max(since);
        if at <= since { 1.0 } else { (at - from.min(at)) as f64 / (at - since) as f64 }
    }
}

/// Things that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// RTP packets of all kinds.
    Packets,
    /// Media packets, each once, padding and retransmissions not included.
    Media,
    /// Bytes of RTP packets.
    Bytes,
    /// Media packets that were sent, by the numbers in the stamps.
    Expected,
    /// Those of them that came.
    Got,
    /// Packets asked for again.
    Asked,
    /// Packets that came as retransmissions.
    Repaired,
    /// Packets that never came though they were asked for.
    Lost,
    /// Packets that came twice.
    Doubled,
    /// Sequence numbers that jumped without need.
    Jumps,
    /// Frames that came whole.
    Frames,
    /// Times that the picture stood still (webrtc-stats: freezeCount).
    Freezes,
    /// For how long, in milliseconds.
    FrozenMs,
    /// Keyframes.
    Keyframes,
    /// Keyframe requests sent.
    Requests,
    /// Frames that were put together and checked.
    Checked,
    /// Frames that a decoder could not have decoded, or that were not what was sent.
    Broken,
    /// Packets that a reference viewer got and could read.
    Reference,
    /// Packets that it could not open or read.
    Refused,
    /// Times that the server had no time for a client, and said when to come again.
    Waits,
    /// Packets of frames of the smallest layer, and of the next ones.
    Layer0,
    /// See `Layer0`.
    Layer1,
    /// See `Layer0`.
    Layer2,
}

/// How many things are counted.
pub const COUNTS: usize = Count::Layer2 as usize + 1;

/// Counts of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; COUNTS]);

impl Counts {
    /// Counts it `n` times.
    pub fn add(&mut self, what: Count, n: u64) {
        self.0[what as usize] += n;
    }

    /// How often it happened.
    pub fn get(&self, what: Count) -> u64 {
        self.0[what as usize]
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, n)| *sum += n);
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut difference = *self;
        difference.0.iter_mut().zip(&before.0).for_each(|(n, old)| *n = n.saturating_sub(*old));
        difference
    }

    /// Share of the packets that were sent and did not come, 0 to 1: by the stamps, or where there are none (sound, and what
    /// others publish or servers encode anew) by the sequence numbers. `None` if nothing is known.
    pub fn loss(&self) -> Option<f64> {
        let expected = self.get(Count::Expected);
        let (lost, of) = match expected {
            0 => (self.get(Count::Lost), self.get(Count::Lost) + self.get(Count::Media)),
            _ => (expected.saturating_sub(self.get(Count::Got)), expected),
        };
        (of > 0).then(|| lost as f64 / of as f64)
    }
}

/// Things that are timed, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// From when a frame was due at its publisher to when a viewer had all of it.
    Latency,
    /// The same of sound.
    Sound,
    /// Interarrival jitter (RFC 3550 section 6.4.1), a value per stream and second.
    Jitter,
    /// From when a client was due to come to when its media connection was secured.
    Join,
    /// From when it was due to come to its first whole keyframe.
    FirstFrame,
    /// From asking for a stream to its first whole keyframe.
    Subscribed,
    /// How late the tool itself sent: from when a frame was due to when it left.
    SendLag,
}

/// How many things are timed.
pub const TIMED: usize = Timed::SendLag as usize + 1;

/// Microseconds up to an hour, to three digits.
pub type Times = Histogram<u64>;

fn times(digits: u8) -> Times {
    Histogram::new_with_bounds(1, 3_600_000_000, digits).expect("fitting bounds")
}

/// Histograms of everything timed.
#[derive(Clone, Debug)]
pub struct Timings([Times; TIMED]);

impl Default for Timings {
    fn default() -> Self {
        Self::new(3)
    }
}

impl Timings {
    fn new(digits: u8) -> Self {
        Self(std::array::from_fn(|_| times(digits)))
    }

    /// One of them.
    pub fn of(&self, what: Timed) -> &Times {
        &self.0[what as usize]
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (sum, one) in self.0.iter_mut().zip(&other.0) {
            // The bounds are equal.
            let _ = sum.add(one);
        }
    }

    fn record(&mut self, what: Timed, time: Duration) {
        self.0[what as usize].saturating_record((time.as_micros() as u64).max(1));
    }
}

#[derive(Debug)]
struct Histograms {
    /// To two digits: for plots, and made anew every second.
    second: Timings,
    window: Timings,
}

/// What a group of clients counts and times together.
#[derive(Debug)]
pub struct Meter {
    window: Arc<Window>,
    all: [AtomicU64; COUNTS],
    windowed: [AtomicU64; COUNTS],
    times: Mutex<Histograms>,
}

impl Meter {
    /// A meter of what falls into `window`.
    pub fn new(window: Arc<Window>) -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            window,
            all: zeros(),
            windowed: zeros(),
            times: Mutex::new(Histograms { second: Timings::new(2), window: Timings::default() }),
        }
    }

    /// The measured part.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Adds counts that a client has just made; whether they count for the window.
    pub fn add(&self, now: Instant, counts: &Counts) -> bool {
        let windowed = self.window.holds(stamp::micros(now));
        for (n, count) in counts.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.all[n].fetch_add(*count, Ordering::Relaxed);
            if windowed {
                self.windowed[n].fetch_add(*count, Ordering::Relaxed);
            }
        }
        windowed
    }

    /// Adds counts that belong to the window, whenever they are made.
    pub fn add_windowed(&self, what: Count, n: u64) {
        self.all[what as usize].fetch_add(n, Ordering::Relaxed);
        self.windowed[what as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// Everything so far.
    pub fn all(&self) -> Counts {
        Counts(std::array::from_fn(|n| self.all[n].load(Ordering::Relaxed)))
    }

    /// What fell into the window.
    pub fn windowed(&self) -> Counts {
        Counts(std::array::from_fn(|n| self.windowed[n].load(Ordering::Relaxed)))
    }

    /// Records a time. `windowed`: whether it counts for the window.
    pub fn time(&self, what: Timed, time: Duration, windowed: bool) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.second.record(what, time);
        if windowed {
            times.window.record(what, time);
        }
    }

    /// The times since this was last asked.
    pub fn second(&self) -> Timings {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut times.second, Timings::new(2))
    }

    /// The times of the window.
    pub fn timings(&self) -> Timings {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).window.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_what_is_within_it() {
        let window = Arc::new(Window::default());
        let meter = Meter::new(window.clone());
        let mut one = Counts::default();
        one.add(Count::Packets, 3);
        let now = Instant::now();
        assert!(!meter.add(now, &one));
        window.open(now);
        assert!(meter.add(now, &one));
        window.close(now + Duration::from_secs(1));
        assert!(meter.add(now + Duration::from_millis(999), &one));
        assert!(!meter.add(now + Duration::from_secs(1), &one));
        assert_eq!((meter.all().get(Count::Packets), meter.windowed().get(Count::Packets)), (12, 6));
    }

    #[test]
    fn what_began_before_a_window_counts_in_part() {
        let window = Window::default();
        assert_eq!(window.share(0, 10), 0.0, "it has not begun");
        let now = Instant::now();
        window.open(now);
        let from = stamp::micros(now);
        assert_eq!([from, from - 30].map(|since| window.share(since, from + 10)), [1.0, 0.25]);
    }

    #[test]
    fn a_second_is_told_once_and_the_window_keeps_it() {
        let meter = Meter::new(Arc::default());
        meter.time(Timed::Latency, Duration::from_millis(7), true);
        meter.time(Timed::Latency, Duration::from_millis(9), false);
        assert_eq!(meter.second().of(Timed::Latency).len(), 2);
        assert_eq!(meter.second().of(Timed::Latency).len(), 0);
        assert_eq!(meter.timings().of(Timed::Latency).len(), 1);
    }

    #[test]
    fn of_a_visit_only_the_measured_part_counts() {
        let window = Window::default();
        let now = Instant::now();
        let at = |seconds| stamp::micros(now + Duration::from_secs(seconds));
        assert_eq!(window.part(at(0), at(5)), Duration::ZERO, "nothing is measured yet");
        window.open(now + Duration::from_secs(2));
        assert_eq!(window.part(at(0), at(5)), Duration::from_secs(3));
        window.close(now + Duration::from_secs(10));
        assert_eq!(window.part(at(7), at(20)), Duration::from_secs(3));
        assert_eq!(window.part(at(11), at(20)), Duration::ZERO);
    }

    #[test]
    fn loss_is_what_was_sent_and_did_not_come() {
        let mut counts = Counts::default();
        assert_eq!(counts.loss(), None);
        counts.add(Count::Media, 99);
        counts.add(Count::Lost, 1);
        assert_eq!(counts.loss(), Some(0.01));
        counts.add(Count::Expected, 200);
        counts.add(Count::Got, 150);
        assert_eq!(counts.loss(), Some(0.25));
    }
}
