//! When frames are shown: in step with their timestamps, behind the quickest way through the network by as much as frames
//! of late varied.

use std::collections::VecDeque;

use millrace::units::{Duration, Instant};

/// Decoding and showing take so long ...
const AFTERWARDS: Duration = Duration::from_millis(15);
/// ... and frames that are late follow each other no closer.
const CLOSEST: Duration = Duration::from_millis(5);
/// The quickest way is looked for among the frames of so long.
const REMEMBERED: Duration = Duration::from_secs(10);
/// The wait changes by at most this share of the time that passes.
const SLOWLY: f64 = 0.1;

/// See the module.
#[derive(Default)]
pub struct Playout {
    first_ts: Option<u32>,
    /// What frames of late took longer than their timestamps say, on an arbitrary scale.
    transit: VecDeque<(Instant, i64)>,
    mean: f64,
    variance: f64,
    wait: f64,
    last: Option<(Instant, Instant)>,
}

impl Playout {
    /// What a timestamp says of the time of capture, in microseconds since the first frame's.
    fn captured(&self, ts: u32) -> i64 {
        i64::from(ts.wrapping_sub(self.first_ts.unwrap_or(ts)) as i32) * 100 / 9
    }

    /// When a frame must be decoded to be shown in step.
    pub fn due(&self, ts: u32) -> Instant {
        let quickest = self.transit.iter().map(|(_, t)| *t).min().unwrap_or_default();
        let due = quickest + self.captured(ts) + self.wait as i64;
        Instant::from_micros(due.max(0) as u64)
    }

    /// When a frame is shown that can be decoded now.
    pub fn show(&mut self, ts: u32, now: Instant) -> Instant {
        self.first_ts.get_or_insert(ts);
        let transit = now.as_micros() as i64 - self.captured(ts);
        self.transit.push_back((now, transit));
        while self.transit.front().is_some_and(|(at, _)| now.since(*at) > REMEMBERED) {
            self.transit.pop_front();
        }
        let quickest = self.transit.iter().map(|(_, t)| *t).min().unwrap_or(transit);
        let late = (transit - quickest) as f64;
        self.mean += (late - self.mean) / 60.0;
        self.variance += ((late - self.mean).powi(2) - self.variance) / 60.0;
        let wanted = self.mean + 2.33 * self.variance.sqrt();
        if let Some((_, woken)) = self.last {
            let most = now.since(woken).as_micros() as f64 * SLOWLY;
            self.wait += (wanted - self.wait).clamp(-most, most);
        }
        let ready = self.due(ts).max(now) + AFTERWARDS;
        let at = self.last.map_or(ready, |(last, _)| ready.max(last + CLOSEST));
        self.last = Some((at, now));
        at
    }
}

/// Times between shown frames that webrtc-stats calls freezes: longer than three times the mean of the last 30, and than
/// that mean and 150 ms.
pub fn freezes(shown: &[Instant]) -> Vec<(Instant, Duration)> {
    let gaps: Vec<_> = shown.windows(2).map(|w| w[1].since(w[0])).collect();
    let mut freezes = vec![];
    for (n, gap) in gaps.iter().enumerate() {
        let last = &gaps[n.saturating_sub(30)..n];
        if last.len() < 5 {
            continue;
        }
        let mean = last.iter().sum::<Duration>() / last.len() as u32;
        if *gap > (mean * 3).max(mean + Duration::from_millis(150)) {
            freezes.push((shown[n], *gap));
        }
    }
    freezes
}
