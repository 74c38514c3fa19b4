//! A million forwarded packets without one allocation for any of them.
//!
//! One publisher's pictures in frames of eight packets to fifty viewers, on one shard and over two, in simulated time: opened,
//! logged, padded, rewritten, sealed, numbered for feedback and paced, with reports, connectivity checks, ticks and what
//! shards tell each other. Not in it: drivers and sockets, feedback and NACKs of viewers, joins and switches.

extern crate millrace_layering as millrace;

#[path = "../../../benches/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use common::{check, install, keys, sealed, session, watch};
use millrace::batch::{Path, TxBatch};
use millrace::router::command::{Command, Kind, SessionParams};
use millrace::router::event::Event;
use millrace::router::id::ShardId;
use millrace::router::{Router, RouterConfig};
use millrace::units::{Duration, Instant};
use millrace::wire::srtp::Sealer;

const VIEWERS: u32 = 50;
const BURST: u64 = 8;
const FRAME: Duration = Duration::from_millis(33);
/// Frames until logs have grown and estimators exist, and those that count: a million forwarded packets.
const WARM: u64 = 150;
const COUNTED: u64 = 2_500;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all is left to the system's allocator; counting touches nothing but a number of this thread that is neither
// allocated nor dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: it came from `alloc` above, and so from there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Server {
    routers: Vec<Router>,
    now: Instant,
    batch: TxBatch,
    sent: u64,
}

impl Server {
    fn path(n: u32) -> Path {
        let remote = SocketAddr::from(([127, 0, 1, n as u8], 4000));
        Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
    }

    /// Which shard a peer's datagrams come to.
    fn shard(&self, n: u32) -> usize {
        n as usize % self.routers.len()
    }

    fn command(&mut self, make: impl Fn() -> Command) {
        for router in &mut self.routers {
            router.handle_command(self.now, make());
        }
    }

    fn datagram(&mut self, n: u32, datagram: &mut [u8]) {
        let shard = self.shard(n);
        self.routers[shard].handle_datagram(self.now, Self::path(n), datagram);
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            for at in 0..self.routers.len() {
                if self.routers[at].poll_timeout() <= self.now {
                    self.routers[at].handle_timeout(self.now);
                }
                while self.routers[at].poll_transmit(self.now, &mut self.batch) {
                    self.count();
                }
                self.count();
                while let Some((to, message)) = self.routers[at].poll_peer() {
                    self.routers[usize::from(to.0)].handle_peer(self.now, ShardId(at as u8), message);
                }
                while let Some(event) = self.routers[at].poll_event() {
                    drop::<Event>(event);
                }
            }
        }
    }

    /// The packets of about the published size that leave.
    fn count(&mut self) {
        for run in self.batch.runs().iter().filter(|run| run.segment > 1000) {
            self.sent += run.len.div_ceil(run.segment) as u64;
        }
        self.batch.clear();
    }
}

/// Packets forwarded, and allocations on the way.
fn forward(shards: u8) -> (u64, u64) {
    let router = |n| Router::new(RouterConfig { shard: ShardId(n), shards, seed: u64::from(n) });
    let mut server = Server {
        routers: (0..shards).map(router).collect(),
        now: Instant::from_millis(1000),
        batch: TxBatch::new(),
        sent: 0,
    };
    let params: Vec<Arc<SessionParams>> = (0..=VIEWERS).map(|n| Arc::new(session(n))).collect();
    for params in &params {
        server.command(|| Command::AddSession(params.clone()));
    }
    let mut checks: Vec<_> = (0..=VIEWERS).map(check).collect();
    for n in 0..=VIEWERS {
        server.datagram(n, &mut checks[n as usize].clone());
        server.command(|| install(n));
    }
    server.settle();
    let home = server.shard(0);
    let id = params[0].tracks[0].id;
    if shards > 1 {
        server.command(|| Command::AnnounceTrack { track: id, kind: Kind::Video, home: ShardId(home as u8) });
    }
    for n in 1..=VIEWERS {
        server.command(|| watch(n));
    }
    server.settle();

    let sealer = Sealer::new(&keys(0, false));
    let (mut seq, mut allocations, mut forwarded) = (1, 0, 0);
    for frame in 0..WARM + COUNTED {
        server.now += FRAME;
        // Frames of a size in packets of a size, but for one byte.
        let mut packets: Vec<_> = (0..BURST)
            .map(|nth| sealed(&sealer, seq + nth, frame == 0 || frame == 30, 1100 + (nth / 7) as usize))
            .collect();
        seq += BURST;
        let mut due = if frame % 300 == 0 { checks.clone() } else { Vec::new() };
        let (before, sent) = (ALLOCATIONS.get(), server.sent);
        for (n, check) in due.iter_mut().enumerate() {
            server.datagram(n as u32, check);
        }
        for packet in &mut packets {
            server.datagram(0, packet);
        }
        server.settle();
        if frame >= WARM {
            allocations += ALLOCATIONS.get() - before;
            forwarded += server.sent - sent;
        }
    }
    checks.clear();
    (forwarded, allocations)
}

#[test]
fn on_one_shard() {
    assert_eq!(forward(1), (COUNTED * BURST * u64::from(VIEWERS), 0));
}

#[test]
fn over_two_shards_only_for_the_state_of_a_track() {
    // How a track does is told to other shards in a message of its own, in two pieces, up to twice a second.
    let seconds = FRAME.as_micros() as u64 * COUNTED / 1_000_000;
    let (forwarded, allocations) = forward(2);
    assert_eq!(forwarded, COUNTED * BURST * u64::from(VIEWERS));
    assert!(allocations <= 4 * seconds, "{allocations} in {seconds} s");
}
