//! The scenarios.

use millrace::units::{Bitrate, Duration, Instant};

use super::{Bound, DOWNLOAD, Outcome, Scenario};
use crate::bottleneck::{Bottleneck, Depth, Schedule};
use crate::loss::Loss;

const BACK: Duration = Duration::from_millis(20);
const FREEZE: Duration = Duration::from_millis(200);

/// All of them.
pub fn all() -> Vec<Scenario> {
    vec![
        drop(),
        periodic(),
        loss_5(),
        loss_20(),
        bursts(),
        long_way(),
        jitter(),
        bufferbloat(),
        two_viewers(),
        download(),
    ]
}

/// One viewer for a minute behind 2 Mbit/s.
fn plain(name: &'static str, story: &'static str, bounds: fn(&Outcome) -> Vec<Bound>) -> Scenario {
    Scenario {
        name,
        story,
        seconds: 60,
        viewers: 1,
        link: |_| steady(2000),
        back: BACK,
        download: None,
        settled: 10,
        bounds,
    }
}

fn steady(kbps: u64) -> Bottleneck {
    Bottleneck::new(Schedule::constant(Bitrate::from_kbps(kbps)))
}

fn drop() -> Scenario {
    let bounds = |o: &Outcome| {
        let viewer = o.viewer();
        let down = viewer.seconds_until(20, 40, |s| s.estimate.is_some_and(|e| e <= s.link));
        let back = viewer.seconds_until(40, 70, |s| {
            s.estimate.is_some_and(|e| e.as_bps() as f64 >= 0.85 * s.link.as_bps() as f64)
        });
        vec![
            Bound::at_most("estimate under the link after the drop, s <= 2", down, 2.0),
            Bound::at_most(
                "sent in the third second after it, kbit/s <= 600",
                viewer.sent_kbps(22, 23),
                600.0,
            ),
            Bound::at_most("freezes over 200 ms <= 1", viewer.freezes_over(o, FREEZE) as f64, 1.0),
            Bound::at_most("estimate back at 85 % of the link, s <= 10", back, 10.0),
        ]
    };
    Scenario {
        seconds: 70,
        link: |zero: Instant| {
            Bottleneck::new(Schedule::steps(zero, &[(0, 3000), (20_000, 600), (40_000, 3000)]))
        },
        ..plain("drop", "3 Mbit/s, from 20 s 600 kbit/s, from 40 s 3 Mbit/s", bounds)
    }
}

fn periodic() -> Scenario {
    let bounds = |o: &Outcome| {
        vec![
            Bound::at_most(
                "freezes over 200 ms that begin later than 1 s after a drop <= 0",
                o.viewer().freezes_between(o, FREEZE, |at| at >= 15.0 && (at + 15.0) % 30.0 > 1.0) as f64,
                0.0,
            ),
            Bound::at_most(
                "longest time without a new frame, s <= 1",
                o.viewer().longest_gap(o).as_secs_f64(),
                1.0,
            ),
            Bound::at_least(
                "estimate in the last 5 s of 4 Mbit/s, kbit/s >= 3000",
                o.viewer().estimate_kbps(100, 105),
                3000.0,
            ),
        ]
    };
    Scenario {
        seconds: 120,
        link: |zero: Instant| {
            let steps: Vec<_> = (0..8).map(|n| (n * 15_000, if n % 2 == 0 { 4000 } else { 1000 })).collect();
            Bottleneck::new(Schedule::steps(zero, &steps))
        },
        ..plain("periodic", "4 and 1 Mbit/s in turn, 15 s each", bounds)
    }
}

fn loss_5() -> Scenario {
    Scenario {
        link: |_| Bottleneck { loss: Loss::Random(0.05), ..steady(2000) },
        ..plain("loss-5", "2 Mbit/s, 5 % random loss", not_halved)
    }
}

fn not_halved(o: &Outcome) -> Vec<Bound> {
    vec![
        Bound::at_least("estimate, kbit/s >= 1000", o.viewer().estimate_kbps(10, 60), 1000.0),
        Bound::at_least("sent, kbit/s >= 1000", o.viewer().sent_kbps(10, 60), 1000.0),
        Bound::at_most(
            "longest time without a new frame, s <= 1",
            o.viewer().longest_gap(o).as_secs_f64(),
            1.0,
        ),
    ]
}

fn loss_20() -> Scenario {
    let bounds = |o: &Outcome| {
        vec![
            Bound::at_least("sent, kbit/s >= 200", o.viewer().sent_kbps(10, 60), 200.0),
            Bound::at_most(
                "longest time without a new frame, s <= 1",
                o.viewer().longest_gap(o).as_secs_f64(),
                1.0,
            ),
        ]
    };
    Scenario {
        link: |_| Bottleneck { loss: Loss::Random(0.2), ..steady(2000) },
        ..plain("loss-20", "2 Mbit/s, 20 % random loss", bounds)
    }
}

fn bursts() -> Scenario {
    let bounds = |o: &Outcome| {
        // Of what is sent the bound of even losses is not asked: a burst may well look like a queue that overflows.
        not_halved(o).into_iter().filter(|bound| !bound.what.starts_with("sent")).collect()
    };
    Scenario {
        link: |_| Bottleneck { loss: Loss::bursts(), ..steady(2000) },
        ..plain("bursts", "2 Mbit/s, 5 % loss in bursts (Gilbert-Elliott)", bounds)
    }
}

fn long_way() -> Scenario {
    let bounds = |o: &Outcome| {
        vec![
            Bound::at_least("estimate, kbit/s >= 1400", o.viewer().estimate_kbps(10, 60), 1400.0),
            Bound::at_most("queueing p95, ms <= 150", millis(o.queue(10, 60, 0.95)), 150.0),
            Bound::at_most("freezes over 200 ms <= 1", o.viewer().freezes_over(o, FREEZE) as f64, 1.0),
        ]
    };
    Scenario {
        link: |_| Bottleneck { delay: Duration::from_millis(150), ..steady(2000) },
        back: Duration::from_millis(150),
        ..plain("rtt-300", "2 Mbit/s, a round trip of 300 ms", bounds)
    }
}

fn jitter() -> Scenario {
    let bounds = |o: &Outcome| {
        let (least, _) = o.viewer().estimate_range_kbps(15, 60);
        vec![
            Bound::at_least("estimate, kbit/s >= 1600", o.viewer().estimate_kbps(10, 60), 1600.0),
            Bound::at_least("least estimate from 15 s on, kbit/s >= 1000", least, 1000.0),
            Bound::at_most("freezes over 200 ms <= 0", o.viewer().freezes_over(o, FREEZE) as f64, 0.0),
        ]
    };
    Scenario {
        link: |_| Bottleneck { jitter: Duration::from_millis(50), ..steady(2000) },
        ..plain("jitter-50", "2 Mbit/s, jitter of 50 ms, no loss", bounds)
    }
}

fn bufferbloat() -> Scenario {
    let bounds = |o: &Outcome| {
        vec![
            Bound::at_most("queueing p95 from 10 s on, ms < 150", millis(o.queue(10, 60, 0.95)), 150.0),
            Bound::at_least("estimate, kbit/s >= 600", o.viewer().estimate_kbps(10, 60), 600.0),
        ]
    };
    Scenario {
        link: |_| Bottleneck { depth: Depth::Time(Duration::from_secs(2)), ..steady(1000) },
        ..plain("bufferbloat", "1 Mbit/s, a queue of 2 s", bounds)
    }
}

fn two_viewers() -> Scenario {
    let bounds = |o: &Outcome| {
        let estimates: Vec<_> = o.viewers.iter().map(|v| v.estimate_kbps(30, 90)).collect();
        let (sum, squares) = estimates.iter().fold((0.0, 0.0), |(s, q), e| (s + e, q + e * e));
        let jain = if squares > 0.0 { sum * sum / squares / estimates.len() as f64 } else { 0.0 };
        vec![
            Bound::at_least("Jain's index of the estimates from 30 s on >= 0.9", jain, 0.9),
            Bound::at_least("both together, kbit/s >= 2000", sum, 2000.0),
        ]
    };
    Scenario {
        seconds: 90,
        viewers: 2,
        link: |_| steady(4000),
        ..plain("two-viewers", "two viewers behind one link of 4 Mbit/s", bounds)
    }
}

fn download() -> Scenario {
    let bounds = |o: &Outcome| {
        let from = o.time(30);
        let theirs = o.link.log.iter().filter(|p| p.flow == DOWNLOAD && p.at >= from && p.queued.is_some());
        let bits: u64 = theirs.map(|p| p.bytes as u64 * 8).sum();
        vec![
            Bound::at_least(
                "sent from 30 s on, kbit/s >= 600: 20 % of the link",
                o.viewer().sent_kbps(30, 90),
                600.0,
            ),
            Bound::at_least("the download, kbit/s >= 600", bits as f64 / 60_000.0, 600.0),
        ]
    };
    Scenario {
        seconds: 90,
        link: |_| Bottleneck { depth: Depth::Time(Duration::from_millis(200)), ..steady(3000) },
        download: Some(15),
        ..plain("download", "3 Mbit/s, a queue of 200 ms, from 15 s on a download", bounds)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
