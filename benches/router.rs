//! What the router costs for each forwarded packet, sealing included and the kernel not, beside copying and sealing alone.
//!
//! One publisher sends VP8 in batches, every viewer watches it; all in this process, in simulated time.
//! `cargo bench --bench router`. CPU time of this thread, the best of several rounds: other load hardly disturbs it.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use common::{check, install, keys, sealed, session, watch};
use millrace::batch::{Path, TxBatch};
use millrace::router::command::Command;
use millrace::router::id::ShardId;
use millrace::router::{Router, RouterConfig};
use millrace::units::{Duration, Instant};
use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::srtp::Sealer;

/// Media packets of this size are what browsers send.
const PAYLOAD: usize = 1150;
const ROUNDS: usize = 7;
fn main() {
    println!(
        "{:>8} {:>6} {:>12} {:>12} {:>7} {:>12}",
        "viewers", "batch", "router ns", "sealing ns", "ratio", "ingest ns"
    );
    for (viewers, batch) in [(200, 1), (200, 8), (200, 32), (1000, 8)] {
        let mut best = [f64::MAX; 3];
        let (mut bench, mut alone, mut floor) = (Bench::new(viewers), Bench::new(0), Floor::new(viewers));
        for _ in 0..ROUNDS {
            let turns = 400_000 / viewers / batch;
            let packets = (turns * batch) as f64;
            let ingest = alone.run(batch, 20_000 / batch) / (20_000 / batch * batch) as f64;
            let router = bench.run(batch, turns) / packets - ingest;
            let sealing = floor.run(batch, turns) / packets;
            let figures = [router / viewers as f64, sealing / viewers as f64, ingest];
            best.iter_mut().zip(figures).for_each(|(best, new)| *best = best.min(new));
        }
        let [router, sealing, ingest] = best;
        let ratio = router / sealing;
        println!("{viewers:>8} {batch:>6} {router:>12.1} {sealing:>12.1} {ratio:>7.2} {ingest:>12.1}");
    }
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

fn path(n: u32) -> Path {
    let remote = SocketAddr::new(IpAddr::from([127, 0, (n >> 8) as u8, n as u8]), 4000);
    Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
}

struct Bench {
    router: Router,
    now: Instant,
    sealer: Sealer,
    seq: u64,
    batch: TxBatch,
}

impl Bench {
    fn new(viewers: usize) -> Self {
        let router = Router::new(RouterConfig { shard: ShardId(0), shards: 1, seed: 1 });
        let mut bench = Self {
            router,
            now: Instant::from_millis(1000),
            sealer: Sealer::new(&keys(0, false)),
            seq: 1,
            batch: TxBatch::new(),
        };
        for n in 0..=viewers as u32 {
            bench.join(n);
        }
        for n in 1..=viewers as u32 {
            bench.router.handle_command(bench.now, watch(n));
        }
        bench.packet(true);
        bench.drain();
        bench
    }

    /// Session 0 publishes, the others watch.
    fn join(&mut self, n: u32) {
        self.router.handle_command(self.now, Command::AddSession(Arc::new(session(n))));
        self.router.handle_datagram(self.now, path(n), &mut check(n));
        self.router.handle_command(self.now, install(n));
    }

    /// Seals and hands in one packet of the publisher.
    fn packet(&mut self, keyframe: bool) {
        let mut packet = sealed(&self.sealer, self.seq, keyframe, PAYLOAD);
        self.seq += 1;
        self.router.handle_datagram(self.now, path(0), &mut packet);
    }

    fn drain(&mut self) {
        while self.router.poll_transmit(self.now, &mut self.batch) {
            self.batch.clear();
        }
        self.batch.clear();
        while self.router.poll_peer().is_some() {}
        while self.router.poll_event().is_some() {}
    }

    /// Nanoseconds for so many turns of the loop, packets sealed beforehand.
    fn run(&mut self, batch: usize, turns: usize) -> f64 {
        // The peers' consent lasts 30 s, and their checks are not what is measured.
        self.now = Instant::from_millis(2000);
        let numbers = self.seq..self.seq + (batch * turns) as u64;
        self.seq = numbers.end;
        let mut packets: Vec<_> = numbers.map(|seq| sealed(&self.sealer, seq, false, PAYLOAD)).collect();
        let start = cpu();
        for packets in packets.chunks_mut(batch) {
            self.now += Duration::from_micros(500);
            for packet in packets {
                self.router.handle_datagram(self.now, path(0), packet);
            }
            if self.router.poll_timeout() <= self.now {
                self.router.handle_timeout(self.now);
            }
            self.drain();
        }
        cpu() - start
    }
}

/// Copying and sealing the same packets for the same viewers, and nothing else.
struct Floor {
    sealers: Vec<Sealer>,
    payload: Vec<u8>,
    batch: TxBatch,
    seq: u64,
}

impl Floor {
    fn new(viewers: usize) -> Self {
        Self {
            sealers: (0..viewers as u64).map(|n| Sealer::new(&keys(n, true))).collect(),
            payload: vec![7; PAYLOAD],
            batch: TxBatch::new(),
            seq: 1,
        }
    }

    fn run(&mut self, batch: usize, turns: usize) -> f64 {
        let start = cpu();
        for _ in 0..turns {
            for (n, sealer) in self.sealers.iter().enumerate() {
                for seq in self.seq..self.seq + batch as u64 {
                    let Some(room) = self.batch.reserve() else { continue };
                    let ssrc = Ssrc(n as u32);
                    let end = 24 + PAYLOAD;
                    room.get_mut(24..end).expect("room").copy_from_slice(&self.payload);
                    let len = sealer.seal_rtp(room, end, 24, Seq(seq), ssrc).expect("room");
                    self.batch.commit(path(n as u32), len);
                    if !self.batch.has_room() {
                        self.batch.clear();
                    }
                }
            }
            self.seq += batch as u64;
        }
        cpu() - start
    }
}
