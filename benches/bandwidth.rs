//! What the estimate of one viewer costs for each feedback, parsing included, beside noting what was sent.
//!
//! Many viewers in turn, so that each finds its state outside the nearest caches, as in a server. Each gets 2.5 Mbit/s and
//! sound, and gives feedback every 50 ms. `cargo bench --bench bandwidth`. CPU time of this thread, the mean of many rounds.

use millrace::router::bandwidth::Estimator;
use millrace::units::{Bitrate, Duration, Instant};
use millrace::wire::id::{Seq16, Ssrc};
use millrace::wire::rtcp::{Feedback, Packet, Writer, packets};

const VIEWERS: usize = 2000;
const ROUNDS: usize = 40;
/// Feedback of 50 ms: 13 packets of pictures and 3 of sound.
const PACKETS: u16 = 16;
const EVERY: Duration = Duration::from_millis(50);

fn main() {
    println!("{:>10} {:>14} {:>14} {:>12}", "lost", "feedback ns", "each sent ns", "estimate");
    for lost in [0, 50, 10] {
        let mut viewers: Vec<_> = (0..VIEWERS).map(|_| Viewer::new()).collect();
        let mut now = Instant::from_millis(1000);
        let (mut feedback, mut sent) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let start = cpu();
            viewers.iter_mut().for_each(|viewer| viewer.send(now));
            sent.push((cpu() - start) / (VIEWERS * usize::from(PACKETS)) as f64);
            let reports: Vec<_> = viewers.iter_mut().map(|viewer| viewer.report(now, lost)).collect();
            now += EVERY;
            let start = cpu();
            for (viewer, report) in viewers.iter_mut().zip(&reports) {
                for packet in packets(report).expect("well-formed") {
                    if let Packet::Twcc(twcc) = packet {
                        viewer.estimator.on_feedback(now, &twcc);
                    }
                }
            }
            if round >= 10 {
                feedback.push((cpu() - start) / VIEWERS as f64);
            }
        }
        let mean = feedback.iter().sum::<f64>() / feedback.len() as f64;
        let sent = sent.iter().sum::<f64>() / sent.len() as f64;
        let estimate = viewers.first().and_then(|v| v.estimator.estimate()).unwrap_or(Bitrate::ZERO);
        let share = if lost == 0 { "none".to_owned() } else { format!("1 in {lost}") };
        println!("{share:>10} {mean:>14.0} {sent:>14.1} {:>12}", estimate.to_string());
    }
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

struct Viewer {
    estimator: Box<Estimator>,
    next: u16,
    reported: u16,
    random: u64,
}

impl Viewer {
    fn new() -> Self {
        let mut estimator = Box::new(Estimator::new(Instant::from_millis(1000)));
        estimator.wanted(Bitrate::from_kbps(2600));
        Self { estimator, next: 0, reported: 0, random: 1 }
    }

    /// Sends what one feedback is about, a frame of pictures every 33 ms and sound every 20.
    fn send(&mut self, now: Instant) {
        for n in 0..PACKETS {
            let at = now + Duration::from_millis(if n < 9 { 0 } else { 33 });
            let bytes = if n % 6 == 5 { 120 } else { 1180 };
            self.estimator.on_sent(self.next, bytes, at);
            self.next = self.next.wrapping_add(1);
        }
    }

    fn report(&mut self, now: Instant, lost: u64) -> Vec<u8> {
        let reference = (now.as_micros() / Feedback::REFERENCE_MICROS as u64) as i32;
        let feedback =
            Feedback { sender: Ssrc(1), media: Ssrc(2), base: Seq16(self.reported), reference, count: 0 };
        let first = (now.as_micros() % Feedback::REFERENCE_MICROS as u64) / 250 + 80;
        let statuses: Vec<_> = (0..PACKETS)
            .map(|n| {
                self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let jitter = (self.random >> 60) as i16;
                let is_lost = lost != 0 && (self.random >> 33).is_multiple_of(lost);
                let delta = match n {
                    0 => first as i16,
                    9 => 110,
                    _ => 2 + jitter / 8,
                };
                (!is_lost).then_some(delta)
            })
            .collect();
        self.reported = self.next;
        let mut buf = vec![0; 200];
        let mut out = Writer::new(&mut buf);
        out.twcc(&feedback, statuses.iter().copied());
        let len = out.len();
        buf.truncate(len);
        buf
    }
}
