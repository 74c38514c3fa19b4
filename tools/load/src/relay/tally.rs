//! What passed on the way down, for whoever judges.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millrace_sim::bottleneck::Passage;
use serde_json::{Value, json};

/// Length of a sample.
const SAMPLE: Duration = Duration::from_millis(100);
/// An hour of samples.
const MOST: usize = 36_000;

#[derive(Clone, Copy, Default)]
struct Sample {
    bytes: u64,
    passed: u64,
    queued_ms: u64,
    dropped: u64,
}

/// See the module.
pub(super) struct Tally {
    began: Instant,
    samples: Vec<Sample>,
    queued_ms: Histogram<u64>,
    passed: (u64, u64),
    dropped: u64,
    lost: u64,
}

impl Tally {
    pub(super) fn new(began: Instant) -> Self {
        let queued_ms = Histogram::new_with_max(60_000, 3).expect("fitting bounds");
        Self { began, samples: vec![], queued_ms, passed: (0, 0), dropped: 0, lost: 0 }
    }

    pub(super) fn count(&mut self, now: Instant, passage: &Passage) {
        let at = (now.duration_since(self.began).as_millis() / SAMPLE.as_millis()) as usize;
        if at >= self.samples.len() && at < MOST {
            self.samples.resize(at + 1, Sample::default());
        }
        let mut unseen = Sample::default();
        let sample = self.samples.get_mut(at).unwrap_or(&mut unseen);
        sample.bytes += passage.bytes as u64;
        match passage.queued {
            Some(queued) => {
                let ms = queued.as_millis() as u64;
                sample.passed += passage.bytes as u64;
                sample.queued_ms = sample.queued_ms.max(ms);
                self.queued_ms.saturating_record(ms);
                self.passed.0 += 1;
                self.passed.1 += passage.bytes as u64;
                self.lost += u64::from(passage.arrives.is_none());
            }
            None => {
                sample.dropped += 1;
                self.dropped += 1;
            }
        }
    }

    /// Waiting counts from now on: what came before was not settled yet.
    pub(super) fn settled(&mut self) {
        self.queued_ms.reset();
    }

    /// Totals, and for each tenth of a second: kbit/s that came and that passed, the longest wait in ms, packets dropped.
    pub(super) fn json(&self) -> Value {
        let kbps = |bytes| bytes * 80 / 1000;
        let samples =
            self.samples.iter().map(|s| json!([kbps(s.bytes), kbps(s.passed), s.queued_ms, s.dropped]));
        json!({
            "seconds": self.began.elapsed().as_secs_f64(),
            "packets": self.passed.0,
            "bytes": self.passed.1,
            "dropped": self.dropped,
            "lost": self.lost,
            "queue_p95_ms": self.queued_ms.value_at_quantile(0.95),
            "samples": samples.collect::<Vec<_>>(),
        })
    }
}
