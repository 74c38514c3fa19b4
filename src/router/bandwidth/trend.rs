//! Whether a queue builds up on the way: the slope of the one-way delay, held against a threshold that adapts to how
//! noisy the way is (Carlucci et al., "Analysis and Design of the Google Congestion Control for WebRTC", 2016, sections
//! 3.1 and 4; the slope by regression instead of a Kalman filter, as libwebrtc has done since 2017).

use serde::{Deserialize, Serialize};

use super::groups::Step;

/// Groups that the slope is fitted to.
const WINDOW: usize = 20;
const ENOUGH: usize = 8;
/// Weight of the past in smoothing the accumulated delay.
const SMOOTHING: f32 = 0.9;
/// The slope counts the more the more groups support it, up to this many, and times this.
const MOST_GROUPS: u32 = 60;
const GAIN: f32 = 4.0;
/// The slope must be too steep for so long, and in two groups, before that is overuse.
const OVERUSE_MS: f32 = 10.0;
/// A shorter queue is that of a keyframe, which passes by itself.
const QUEUE_MS: f32 = 25.0;
/// So many groups, each later than the one before, and by so much in all: nobody need wait for the slope.
const CLIMB: u8 = 3;
const CLIMB_MS: f32 = 80.0;
/// The least delay is forgotten by so much of the time, as clocks drift and ways change.
const DRIFT: f32 = 0.001;
/// The threshold: at the start, its bounds, and how fast it follows up and down (gcc-02 section 5.4).
const THRESHOLD: f32 = 12.5;
const LEAST: f32 = 6.0;
const MOST: f32 = 600.0;
const UP: f32 = 0.0087;
const DOWN: f32 = 0.039;
/// What is so far above the threshold is a spike, not noise to adapt to.
const SPIKE: f32 = 15.0;
const LONGEST_STEP_MS: f32 = 100.0;
/// What was before a pause of this says nothing of what is after it.
const PAUSE_US: i64 = 2_000_000;

/// What the delay does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Usage {
    /// It neither grows nor shrinks.
    #[default]
    Normal,
    /// A queue builds up.
    Over,
    /// A queue drains, or grows no faster: wait.
    Under,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trend {
    /// Arrival of the groups since `base_us`, and their smoothed delay, in milliseconds; in no order.
    times: [f32; WINDOW],
    delays: [f32; WINDOW],
    next: u8,
    count: u32,
    base_us: i64,
    /// Sum of all steps of delay, and the same smoothed.
    delay: f32,
    smoothed: f32,
    /// The least delay of late: beyond it, packets wait in a queue.
    least_delay: f32,
    slope: f32,
    threshold: f32,
    over_ms: f32,
    over_count: u32,
    /// Groups in a row that were later than the one before, and by how much in all.
    climbs: u8,
    climbed_ms: f32,
    last_us: i64,
    usage: Usage,
}

impl Trend {
    pub(super) const fn new() -> Self {
        Self {
            times: [0.0; WINDOW],
            delays: [0.0; WINDOW],
            next: 0,
            count: 0,
            base_us: 0,
            delay: 0.0,
            smoothed: 0.0,
            least_delay: 0.0,
            slope: 0.0,
            threshold: THRESHOLD,
            over_ms: 0.0,
            over_count: 0,
            climbs: 0,
            climbed_ms: 0.0,
            last_us: 0,
            usage: Usage::Normal,
        }
    }

    /// What was says nothing of what will be.
    pub(super) fn forget(&mut self) {
        *self = Self { threshold: self.threshold, ..Self::new() };
    }

    /// Takes in a step between two groups; what the delay does now.
    pub(super) fn note(&mut self, step: &Step) -> Usage {
        if step.sent_us > PAUSE_US {
            self.forget();
        }
        if self.count == 0 {
            (self.base_us, self.last_us) = (step.at_us, step.at_us);
        }
        self.keep_near(step.at_us);
        self.delay += ms(step.arrived_us - step.sent_us);
        self.least_delay = (self.least_delay + ms(step.sent_us) * DRIFT).min(self.delay);
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        let place = usize::from(self.next);
        if let (Some(time), Some(delay)) = (self.times.get_mut(place), self.delays.get_mut(place)) {
            (*time, *delay) = (ms(step.at_us - self.base_us), self.smoothed);
        }
        self.next = (self.next + 1) % WINDOW as u8;
        self.count = self.count.saturating_add(1);
        let before = self.slope;
        let filled = (self.count as usize).min(WINDOW);
        if filled >= ENOUGH
            && let (Some(times), Some(delays)) = (self.times.get(..filled), self.delays.get(..filled))
        {
            self.slope = slope(times, delays).unwrap_or(self.slope);
        }
        self.detect(ms(step.sent_us), step.at_us, before);
        if self.climb(ms(step.arrived_us - step.sent_us)) {
            self.usage = Usage::Over;
        }
        self.usage
    }

    /// By how much the delay grows with time.
    pub(super) const fn slope(&self) -> f32 {
        self.slope
    }

    /// How much the delay is now beyond the least of late.
    pub(super) const fn queue_ms(&self) -> f32 {
        self.delay - self.least_delay
    }

    /// What the delay did at last.
    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether the delay grows so fast that this is neither noise nor a stall: that is one late group before others that
    /// are less and less so.
    fn climb(&mut self, later_ms: f32) -> bool {
        if later_ms > 0.0 {
            (self.climbs, self.climbed_ms) = (self.climbs.saturating_add(1), self.climbed_ms + later_ms);
        } else {
            (self.climbs, self.climbed_ms) = (0, 0.0);
        }
        self.climbs >= CLIMB && self.climbed_ms >= CLIMB_MS
    }

    fn detect(&mut self, sent_ms: f32, at_us: i64, before: f32) {
        if self.count < 2 {
            return;
        }
        let steepness = self.count.min(MOST_GROUPS) as f32 * self.slope * GAIN;
        if steepness > self.threshold {
            // The first group may have begun anywhere within its step.
            self.over_ms += if self.over_count == 0 { sent_ms / 2.0 } else { sent_ms };
            self.over_count += 1;
            let lasts = self.over_ms > OVERUSE_MS && self.over_count > 1 && self.slope >= before;
            self.usage = Usage::Under;
            if lasts && self.delay - self.least_delay > QUEUE_MS {
                (self.over_ms, self.over_count) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.over_ms, self.over_count) = (0.0, 0);
            self.usage = if steepness < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        let passed = ms(at_us - self.last_us).clamp(0.0, LONGEST_STEP_MS);
        self.last_us = at_us;
        let size = steepness.abs();
        if size <= self.threshold + SPIKE {
            let follow = if size < self.threshold { DOWN } else { UP };
            self.threshold = (self.threshold + follow * (size - self.threshold) * passed).clamp(LEAST, MOST);
        }
    }

    /// Moves the origin of time and delay up, so that their differences stay exact.
    fn keep_near(&mut self, at_us: i64) {
        const FAR_US: i64 = 16_000_000;
        let by = at_us - self.base_us;
        if (0..FAR_US).contains(&by) && self.delay.abs() < 60_000.0 {
            return;
        }
        let (by_ms, delay) = (ms(by), self.smoothed);
        self.base_us = at_us;
        self.times.iter_mut().for_each(|t| *t -= by_ms);
        self.delays.iter_mut().for_each(|d| *d -= delay);
        self.delay -= delay;
        self.least_delay -= delay;
        self.smoothed = 0.0;
    }
}

/// The slope of the line through the points with the least sum of squares; `None` if they share one time.
fn slope(times: &[f32], delays: &[f32]) -> Option<f32> {
    let count = times.len() as f32;
    let (time, delay) = (times.iter().sum::<f32>() / count, delays.iter().sum::<f32>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (t, d) in times.iter().zip(delays) {
        let from = t - time;
        above += from * (d - delay);
        below += from * from;
    }
    (below > 0.0).then(|| above / below)
}

fn ms(us: i64) -> f32 {
    us as f32 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of 20 ms, each `late_us(n)` later than it left.
    fn run(trend: &mut Trend, steps: std::ops::Range<i64>, late_us: impl Fn(i64) -> i64) -> Vec<Usage> {
        let mut last = 0;
        let step = |n: i64| {
            let late = late_us(n);
            let step = Step { sent_us: 20_000, arrived_us: 20_000 + late - last, at_us: n * 20_000 + late };
            last = late;
            trend.note(&step)
        };
        steps.map(step).collect()
    }

    #[test]
    fn a_queue_that_grows_is_overuse_and_one_that_shrinks_is_not() {
        let mut trend = Trend::new();
        let steady = run(&mut trend, 0..100, |_| 0);
        assert!(steady.iter().all(|u| *u == Usage::Normal));
        let growing = run(&mut trend, 100..130, |n| (n - 99) * 2_000);
        let first = growing.iter().position(|u| *u == Usage::Over);
        assert!(first.is_some_and(|n| n < 15), "{first:?}");
        let shrinking = run(&mut trend, 130..160, |n| (160 - n) * 2_000);
        assert!(shrinking.last() == Some(&Usage::Under), "{shrinking:?}");
        assert_eq!(run(&mut trend, 160..250, |_| 0).last(), Some(&Usage::Normal));
    }

    #[test]
    fn noise_raises_the_threshold_until_it_is_no_overuse() {
        let mut trend = Trend::new();
        let noise = |n: i64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> 33).rem_euclid(50_000);
        let seen = run(&mut trend, 0..3000, noise);
        let late = seen.iter().skip(200).filter(|u| **u == Usage::Over).count();
        assert!(late < 10, "{late}");
    }

    #[test]
    fn hours_change_nothing() {
        let mut trend = Trend::new();
        run(&mut trend, 0..1_000_000, |n| n / 50);
        let growing = run(&mut trend, 1_000_000..1_000_030, |n| 20_000 + (n - 999_999) * 2_000);
        assert!(growing.contains(&Usage::Over));
    }
}
