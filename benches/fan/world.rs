//! The shard, a publisher and viewers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use millrace::batch::Path;
use millrace::net::{self, Choice, Sender};
use millrace::router::command::{Command, Kind};
use millrace::router::event::Event;
use millrace::router::id::ShardId;
use millrace::shard::{ShardConfig, Shards, Sinks};
use millrace::wire::srtp::Sealer;

use super::trace::Burst;
use super::viewers::Viewers;
use crate::common::{check, install, keys, sealed, session, watch};

/// Whoever is not served within this long is not served at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct World {
    shards: Shards,
    server: SocketAddr,
    /// The shards' threads.
    threads: Vec<Arc<AtomicI32>>,
    publisher: Sender,
    path: Path,
    sealer: Sealer,
    seq: u64,
    viewers: Viewers,
    /// Viewers of each shard.
    owned: Vec<usize>,
    /// Media packets that should have arrived.
    expected: u64,
}

impl World {
    /// So many shards, each on a core of its own, and viewers that are read on `cores`.
    pub(crate) fn new(choice: &Choice, shards: usize, viewers: usize, cores: &[usize]) -> Self {
        let count = shards;
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let (shards, seats) = Shards::new(count).expect("a waker");
        let sockets = net::bind(&[here], count).expect("a free port");
        let server = sockets.addresses()[0];
        let threads: Vec<Arc<AtomicI32>> = (0..count).map(|_| Arc::default()).collect();
        let (claims, claimed) = mpsc::channel();
        let sinks = |shard: ShardId| {
            let (thread, claims) = (threads[usize::from(shard.0)].clone(), claims.clone());
            let event = move |event| {
                // SAFETY: the call takes nothing and cannot fail.
                thread.store(unsafe { libc::gettid() }, Ordering::Release);
                if let Event::Claimed { session, shard } = event {
                    let _ = claims.send((session.index, shard));
                }
            };
            Sinks { event: Box::new(event), quic: Box::new(|_, _| {}) }
        };
        let config = ShardConfig { sockets, io: choice.clone(), pin: true };
        seats.start(config, 1, &[], sinks).expect("the shards start");

        let own = net::bind(&[here], 1).expect("a free port");
        let path = Path { socket: 0, local: here.ip(), remote: server };
        let mut world = Self {
            shards,
            server,
            threads,
            owned: vec![0; count],
            publisher: Sender::new(&own).expect("a sender"),
            path,
            sealer: Sealer::new(&keys(0, false)),
            seq: 1,
            viewers: Viewers::new(viewers, cores),
            expected: 0,
        };
        for n in 0..=viewers as u32 {
            let params = Arc::new(session(n));
            world.shards.broadcast(|| Command::AddSession(params.clone()));
        }
        // Datagrams are handled before commands.
        std::thread::sleep(Duration::from_millis(100));
        world.refresh();
        for n in 0..=viewers as u32 {
            world.shards.broadcast(|| install(n));
        }
        let track = session(0).tracks[0].id;
        for (session, home) in claimed.iter().take(viewers + 1) {
            if session == 0 {
                world.shards.broadcast(|| Command::AnnounceTrack { track, kind: Kind::Video, home });
            } else {
                world.owned[usize::from(home.0)] += 1;
            }
        }
        for n in 1..=viewers as u32 {
            world.shards.broadcast(|| watch(n));
        }
        world.begin(viewers);
        world
    }

    /// Until everybody sees the first keyframe, and then until pacing knows that these viewers give no feedback.
    fn begin(&mut self, viewers: usize) {
        std::thread::sleep(Duration::from_millis(200));
        for nth in 0..15 {
            let packet = sealed(&self.sealer, self.seq, nth == 0, 1000);
            self.seq += 1;
            self.publisher.send(self.path, &packet, packet.len()).expect("sent");
            assert!(self.settle(viewers), "not all watch");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.viewers.addresses
    }

    /// Checks of all peers: they join with the first, and consent lasts for 30 s after each.
    pub(crate) fn refresh(&self) {
        let before = self.viewers.others();
        let own = check(0);
        self.publisher.send(self.path, &own, own.len()).expect("sent");
        for (n, socket) in self.viewers.sockets.iter().enumerate() {
            socket.send_to(&check(n as u32 + 1), self.server).expect("sent");
            if n % 64 == 63 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let all = self.viewers.sockets.len() as u64;
        assert!(self.wait(|| self.viewers.others() - before >= all), "not all checks are answered");
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Publishes packets of these sizes, equal ones at once.
    pub(crate) fn publish(&mut self, sizes: &[usize]) {
        let mut bytes = Vec::new();
        let mut segment = 0;
        for (nth, size) in sizes.iter().enumerate() {
            // Each batch is a place to begin: who was taken for gone while a busy machine kept us from publishing is
            // back with the next one.
            let packet = sealed(&self.sealer, self.seq, nth == 0, *size);
            self.seq += 1;
            segment = packet.len();
            bytes.extend_from_slice(&packet);
        }
        self.publisher.send(self.path, &bytes, segment).expect("sent");
    }

    /// Publishes the packets of a burst one by one, when they came.
    pub(crate) fn publish_apart(&mut self, burst: &Burst) {
        let packets: Vec<_> = burst
            .sizes
            .iter()
            .zip(self.seq..)
            .map(|(size, seq)| sealed(&self.sealer, seq, seq == self.seq, *size))
            .collect();
        self.seq += packets.len() as u64;
        let begin = Instant::now();
        for (packet, after) in packets.iter().zip(&burst.after) {
            while begin.elapsed() < *after {
                std::hint::spin_loop();
            }
            self.publisher.send(self.path, packet, packet.len()).expect("sent");
        }
    }

    /// Waits until so many packets more have arrived; whether they did.
    pub(crate) fn settle(&mut self, packets: usize) -> bool {
        self.expected += packets as u64;
        let expected = self.expected;
        let all = self.wait(|| self.viewers.received() >= expected);
        if !all {
            let missing = expected - self.viewers.received();
            println!("{missing} of {packets} packets did not arrive");
            self.expected = self.viewers.received();
        }
        all
    }

    fn wait(&self, done: impl Fn() -> bool) -> bool {
        let begin = Instant::now();
        while !done() {
            if begin.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        true
    }

    /// Viewers of each shard.
    pub(crate) fn owned(&self) -> &[usize] {
        &self.owned
    }

    /// How often one of the shards was woken by another so far, and by the control plane. Told once a second.
    pub(crate) fn wakes(&self) -> u64 {
        std::thread::sleep(Duration::from_millis(2100));
        self.shards.stats().iter().map(|stats| stats.net.wakes).sum()
    }

    /// Processor time of the shards' threads.
    pub(crate) fn processor_time(&self) -> Duration {
        self.threads.iter().map(|thread| time_of(thread.load(Ordering::Acquire))).sum()
    }

    /// Ends the shards.
    pub(crate) fn end(self) {
        self.shards.stop();
    }
}

/// Processor time of a thread.
fn time_of(thread: i32) -> Duration {
    // The clock of a thread, as pthread_getcpuclockid(3) makes it of its id: CPUCLOCK_PERTHREAD and CPUCLOCK_SCHED.
    let clock = !thread << 3 | 0b110;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes `time`, which outlives it.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(failed, 0, "no clock of a shard's thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
