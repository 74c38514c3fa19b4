//! The estimator over a simulated link: a rate, a queue, losses, delay and jitter.

use super::*;
use crate::wire::id::{Seq16, Ssrc};
use crate::wire::rtcp::{Feedback, Packet, Writer, packets};

/// What the source can send, in kbit/s, as simulcast has it.
const LADDER: [u64; 5] = [150, 500, 1200, 2500, 4000];
const TICK_US: u64 = 5_000;

struct Way {
    estimator: Estimator,
    now: u64,
    /// Of the link.
    kbps: u64,
    queue_us: u64,
    delay_us: u64,
    jitter_us: u64,
    loss: f64,
    free_at: u64,
    last_arrival: u64,
    random: u64,
    /// What is sent whatever the estimate, in kbit/s.
    fixed: Option<u64>,
    seq: u16,
    backlog: u64,
    /// In flight: arrival, number.
    coming: Vec<(u64, u16)>,
    arrived: Vec<(u16, u64)>,
    next_base: u16,
    next_feedback: u64,
    answers: Vec<(u64, Vec<u8>)>,
    count: u8,
    frame_at: u64,
    /// Waits in the queue, by time.
    waits: Vec<(u64, u64)>,
    padding: u64,
    estimates: Vec<(u64, u64)>,
}

impl Way {
    fn new(kbps: u64) -> Self {
        let mut estimator = Estimator::new(Instant::from_micros(1_000_000));
        estimator.wanted(Bitrate::from_kbps(4000));
        Self {
            estimator,
            now: 1_000_000,
            kbps,
            queue_us: 300_000,
            delay_us: 20_000,
            jitter_us: 0,
            loss: 0.0,
            free_at: 0,
            last_arrival: 0,
            random: 7,
            fixed: None,
            seq: 0,
            backlog: 0,
            coming: vec![],
            arrived: vec![],
            next_base: 0,
            next_feedback: 1_050_000,
            answers: vec![],
            count: 0,
            frame_at: 1_000_000,
            waits: vec![],
            padding: 0,
            estimates: vec![],
        }
    }

    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn kbps_now(&self) -> u64 {
        let budget = self.estimator.estimate().map_or(4000, |e| e.as_bps() / 1000);
        let fits = LADDER.into_iter().rev().find(|rung| rung * 11 / 10 <= budget);
        self.fixed.unwrap_or_else(|| fits.unwrap_or(40))
    }

    fn send(&mut self, bytes: u64) {
        let now = self.now;
        self.estimator.on_sent(self.seq, bytes as usize, Instant::from_micros(now));
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        if self.chance() < self.loss {
            return;
        }
        let leaves = self.free_at.max(now) + bytes * 8000 / self.kbps;
        self.waits.push((now, leaves - now));
        if leaves - now > self.queue_us {
            return;
        }
        self.free_at = leaves;
        let jitter = (self.chance() * self.jitter_us as f64) as u64;
        let arrival = (leaves + self.delay_us + jitter).max(self.last_arrival);
        self.last_arrival = arrival;
        self.coming.push((arrival, seq));
    }

    fn tick(&mut self) {
        let now = self.now;
        let due = |list: &mut Vec<(u64, u16)>| {
            let split = list.partition_point(|(at, _)| *at <= now);
            list.drain(..split).collect::<Vec<_>>()
        };
        let due = due(&mut self.coming);
        self.arrived.extend(due.into_iter().map(|(at, seq)| (seq, at)));
        if self.next_feedback <= now {
            self.next_feedback += 50_000;
            self.answer();
        }
        while self.answers.first().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = self.answers.remove(0);
            for packet in packets(&bytes).expect("well-formed") {
                if let Packet::Twcc(twcc) = packet {
                    self.estimator.on_feedback(Instant::from_micros(now), &twcc);
                }
            }
        }
        if now % 1_000_000 < TICK_US {
            self.estimator.on_tick(Instant::from_micros(now));
        }
        if self.frame_at <= now {
            self.frame_at += 33_333;
            let noise = 0.8 + 0.4 * self.chance();
            self.backlog += (self.kbps_now() as f64 * 1000.0 / 8.0 / 30.0 * noise) as u64;
        }
        let pace = self.estimator.estimate().map_or(20_000, |e| e.as_bps() / 400);
        let mut credit = (pace * TICK_US / 8000) as i64;
        while self.backlog > 0 && credit > 0 {
            let bytes = self.backlog.min(1200);
            self.backlog -= bytes;
            credit -= bytes as i64;
            self.send(bytes);
        }
        while self.estimator.probes() && self.estimator.poll_probe(Instant::from_micros(now)) > 0 {
            self.padding += 1200;
            self.send(1200);
        }
        if let Some(estimate) = self.estimator.estimate() {
            self.estimates.push((now, estimate.as_bps() / 1000));
        }
        self.now += TICK_US;
    }

    fn answer(&mut self) {
        self.arrived.sort_unstable_by_key(|(seq, _)| seq.wrapping_sub(self.next_base));
        let (Some(first), Some(last)) = (self.arrived.first(), self.arrived.last()) else { return };
        let base = if first.0.wrapping_sub(self.next_base) < 1 << 15 { self.next_base } else { first.0 };
        let reference = self.arrived.iter().map(|(_, at)| at / 64_000).min().unwrap_or_default();
        let mut at = (reference * 256) as i64;
        let statuses: Vec<_> = (0..=last.0.wrapping_sub(base))
            .map(|n| {
                let (_, arrival) = self.arrived.iter().find(|(seq, _)| *seq == base.wrapping_add(n))?;
                let delta = (arrival / 250) as i64 - at;
                at += delta;
                i16::try_from(delta).ok()
            })
            .collect();
        let feedback = Feedback {
            sender: Ssrc(1),
            media: Ssrc(2),
            base: Seq16(base),
            reference: reference as i32,
            count: self.count,
        };
        self.count = self.count.wrapping_add(1);
        self.next_base = last.0.wrapping_add(1);
        self.arrived.clear();
        let mut buf = [0; 1400];
        let mut out = Writer::new(&mut buf);
        assert!(out.twcc(&feedback, statuses.iter().copied()));
        let len = out.len();
        self.answers.push((self.now + self.delay_us, buf[..len].to_vec()));
    }

    fn run(&mut self, secs: f64) -> &mut Self {
        let end = self.now + (secs * 1e6) as u64;
        while self.now < end {
            self.tick();
        }
        self
    }

    fn kbps(&self) -> u64 {
        self.estimator.estimate().map_or(0, |e| e.as_bps() / 1000)
    }

    /// The longest wait in the queue since a time.
    fn worst_wait_ms(&self, since: u64) -> u64 {
        let late = self.waits.iter().filter(|(at, _)| *at >= since);
        late.map(|(_, wait)| wait / 1000).max().unwrap_or_default()
    }

    fn mean_kbps(&self, since: u64) -> u64 {
        let late: Vec<_> = self.estimates.iter().filter(|(at, _)| *at >= since).map(|(_, e)| *e).collect();
        late.iter().sum::<u64>() / late.len().max(1) as u64
    }
}

#[test]
fn a_wide_link_is_known_within_a_second() {
    let mut way = Way::new(20_000);
    way.run(1.0);
    assert!(way.kbps() >= 4_400, "{}", way.kbps());
}

#[test]
fn a_narrow_link_is_known_within_a_second() {
    let mut way = Way::new(600);
    way.run(1.5);
    assert!((200..650).contains(&way.kbps()), "{}", way.kbps());
    way.run(20.0);
    let since = way.now - 15_000_000;
    let (mean, wait) = (way.mean_kbps(since), way.worst_wait_ms(since));
    // The step of the ladder that fits leaves room: what is beyond it is a guess, which no queue contradicts.
    assert!((450..800).contains(&mean) && wait < 200, "{mean} {wait}");
}

#[test]
fn a_drop_is_noticed_within_two_seconds_and_the_return_within_ten() {
    let mut way = Way::new(3_000);
    way.queue_us = 500_000;
    way.run(15.0);
    assert!((2_300..4_400).contains(&way.kbps()), "{}", way.kbps());
    way.kbps = 600;
    way.run(2.0);
    assert!(way.kbps() < 660, "{}", way.kbps());
    way.run(13.0);
    let drained = way.worst_wait_ms(way.now - 10_000_000);
    assert!(drained < 250, "{drained}");
    way.kbps = 3_000;
    way.run(10.0);
    assert!(way.kbps() >= 2_550, "{}", way.kbps());
}

#[test]
fn a_few_percent_of_random_loss_do_not_halve_the_rate() {
    let mut way = Way::new(2_000);
    way.loss = 0.05;
    way.run(10.0);
    let since = way.now;
    way.run(60.0);
    let mean = way.mean_kbps(since);
    assert!(mean > 1_400, "{mean}");
}

#[test]
fn jitter_without_loss_is_no_overuse() {
    let mut way = Way::new(5_000);
    way.jitter_us = 50_000;
    way.fixed = Some(2_500);
    way.run(10.0);
    let since = way.now;
    way.run(60.0);
    let least = way.estimates.iter().filter(|(at, _)| *at >= since).map(|(_, e)| *e).min();
    assert!(least.is_some_and(|e| e > 2_500), "{least:?}");
}

#[test]
fn sending_little_neither_raises_nor_lowers_the_estimate() {
    let mut way = Way::new(3_000);
    way.run(10.0);
    let before = way.kbps();
    way.fixed = Some(100);
    way.estimator.wanted(Bitrate::from_kbps(100));
    way.run(60.0);
    let after = way.kbps();
    assert!((before * 9 / 10..=before * 11 / 10).contains(&after), "{before} {after}");
}

#[test]
fn nothing_is_probed_beyond_what_is_wanted() {
    let mut way = Way::new(50_000);
    way.fixed = Some(500);
    way.estimator.wanted(Bitrate::from_kbps(1_000));
    way.run(3.0);
    let settled = way.padding;
    way.run(60.0);
    assert!(way.padding == settled && settled < 20_000, "{settled} {}", way.padding);
    assert!(way.kbps() <= 2_000, "{}", way.kbps());
}

#[test]
fn silence_lowers_the_estimate() {
    let mut way = Way::new(3_000);
    way.run(10.0);
    let before = way.kbps();
    way.loss = 1.0;
    way.run(6.0);
    assert!(way.kbps() < before / 2, "{} {before}", way.kbps());
    way.loss = 0.0;
    way.run(10.0);
    assert!(way.kbps() > 2_000, "{}", way.kbps());
}

/// What a layer of 1.92 Mbit/s takes, with what the allocation leaves beyond it.
const LAYER: u64 = 1_920 * 11 / 10;

#[test]
fn what_is_sent_first_and_passes_is_not_taken_for_all_that_passes() {
    // 8 packets in 40 ms, which is 1.92 Mbit/s, and no more to send than that.
    let mut way = Way::new(1_000_000);
    way.fixed = Some(0);
    way.estimator.wanted(Bitrate::from_kbps(LAYER + 60));
    for _ in 0..10 {
        (0..8).for_each(|_| way.send(1_200));
        way.run(0.04);
        assert!(way.estimates.is_empty() || way.kbps() >= LAYER, "{}", way.kbps());
    }
    assert!(!way.estimates.is_empty());
}

#[test]
fn after_a_pause_the_queue_of_before_is_forgotten() {
    let mut way = Way::new(1_500);
    way.queue_us = 1_000_000;
    way.fixed = Some(1_920);
    way.estimator.wanted(Bitrate::from_kbps(LAYER + 60));
    way.run(2.0);
    assert!(way.kbps() < 1_920, "{}", way.kbps());
    // Nothing is sent any more but probes, and what was narrow is wide.
    (way.fixed, way.kbps, way.backlog) = (Some(0), 100_000, 0);
    way.run(4.0);
    assert!(way.kbps() >= LAYER, "{}", way.kbps());
}

#[test]
fn hostile_feedback_neither_panics_nor_grows_memory() {
    let mut way = Way::new(3_000);
    for round in 0..20_000u64 {
        way.send(1200);
        way.now += 1_000;
        let random = (way.chance() * 1e9) as u64;
        let count = [1, 7, 30, 700, 65_535][(random % 5) as usize];
        let reference = match round % 4 {
            0 => random as i32,
            1 => i32::MIN >> 8,
            2 => 8_388_607,
            _ => (way.now / 64_000) as i32,
        };
        let base = if round % 3 == 0 { random as u16 } else { way.seq.wrapping_sub(20) };
        let mut body = vec![];
        body.extend([0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        body.extend(base.to_be_bytes());
        body.extend((count as u16).to_be_bytes());
        body.extend((reference << 8 | (round as i32 & 0xff)).to_be_bytes());
        let chunks = 10;
        for n in 0..chunks {
            let chunk = if n + 1 == chunks { 0x1fff } else { (random >> n) as u16 };
            body.extend(chunk.to_be_bytes());
        }
        body.extend((0..400).map(|n| (random >> (n % 23)) as u8));
        body.resize(body.len().next_multiple_of(4), 0);
        let words = (body.len() / 4 - 1) as u16;
        body[2..4].copy_from_slice(&words.to_be_bytes());
        for packet in packets(&body).into_iter().flatten() {
            if let Packet::Twcc(twcc) = packet {
                way.estimator.on_feedback(Instant::from_micros(way.now), &twcc);
                way.estimator.on_feedback(Instant::from_micros(way.now), &twcc);
            }
        }
        let estimate = way.estimator.estimate().map_or(0, Bitrate::as_bps);
        assert!(estimate < 1_000_000_000_000, "{estimate}");
    }
    // It recovers once the peer speaks the truth.
    way.coming.clear();
    way.next_base = way.seq;
    way.next_feedback = way.now;
    way.run(30.0);
    assert!(way.kbps() > 500, "{}", way.kbps());
}
