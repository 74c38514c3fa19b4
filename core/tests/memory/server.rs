//! One publisher and its viewers on one server in simulated time, under an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

use millrace::batch::{Path, TxBatch};
use millrace::router::command::Command;
use millrace::router::event::Event;
use millrace::router::id::ShardId;
use millrace::router::{Router, RouterConfig};
use millrace::units::Instant;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Allocations of this thread so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that this thread allocated and did not free.
pub(crate) fn live() -> i64 {
    LIVE.get()
}

struct Counting;

// SAFETY: all is left to the system's allocator; counting touches nothing but numbers of this thread that are neither
// allocated nor dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() + layout.size() as i64);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as i64);
        // SAFETY: it came from `alloc` above, and so from there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Shards, and all time and datagrams that they see.
pub(crate) struct Server {
    pub(crate) routers: Vec<Router>,
    pub(crate) now: Instant,
    batch: TxBatch,
    /// Media packets that left.
    pub(crate) sent: u64,
}

impl Server {
    pub(crate) fn new(shards: u8) -> Self {
        let router = |n| Router::new(RouterConfig { shard: ShardId(n), shards, seed: u64::from(n) });
        let now = Instant::from_millis(1000);
        Self { routers: (0..shards).map(router).collect(), now, batch: TxBatch::new(), sent: 0 }
    }

    fn path(n: u32) -> Path {
        let remote = SocketAddr::from(([127, 0, 1 + (n >> 8) as u8, n as u8], 4000));
        Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
    }

    /// Which shard a peer's datagrams come to.
    pub(crate) fn shard(&self, n: u32) -> usize {
        n as usize % self.routers.len()
    }

    pub(crate) fn command(&mut self, make: impl Fn() -> Command) {
        for router in &mut self.routers {
            router.handle_command(self.now, make());
        }
    }

    pub(crate) fn datagram(&mut self, n: u32, datagram: &mut [u8]) {
        let shard = self.shard(n);
        self.routers[shard].handle_datagram(self.now, Self::path(n), datagram);
    }

    pub(crate) fn settle(&mut self) {
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
