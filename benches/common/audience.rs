//! A router in memory whose viewers all watch one publisher, in simulated time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millrace::batch::{Path, TxBatch};
use millrace::router::command::Command;
use millrace::router::id::ShardId;
use millrace::router::{Router, RouterConfig};
use millrace::units::{Duration, Instant};
use millrace::wire::srtp::Sealer;

use crate::common::{check, install, keys, sealed, session, watch};

/// Media packets of this size are what browsers send.
pub(crate) const PAYLOAD: usize = 1150;

/// Where session `n` is.
pub(crate) fn path(n: u32) -> Path {
    let remote = SocketAddr::new(IpAddr::from([127, 0, (n >> 8) as u8, n as u8]), 4000);
    Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
}

/// The router, its publisher's keys, and the number of the publisher's next packet.
pub(crate) struct Audience {
    router: Router,
    now: Instant,
    sealer: Sealer,
    seq: u64,
    batch: TxBatch,
}

impl Audience {
    /// So many viewers who have a keyframe.
    pub(crate) fn new(viewers: usize) -> Self {
        let mut audience = Self {
            router: Router::new(RouterConfig { shard: ShardId(0), shards: 1, seed: 1 }),
            now: Instant::from_millis(1000),
            sealer: Sealer::new(&keys(0, false)),
            seq: 1,
            batch: TxBatch::new(),
        };
        for n in 0..=viewers as u32 {
            audience.join(n);
        }
        for n in 1..=viewers as u32 {
            audience.router.handle_command(audience.now, watch(n));
        }
        let keyframe = audience.packets(1, true);
        audience.turns(keyframe, 1);
        audience
    }

    /// Session 0 publishes, the others watch.
    fn join(&mut self, n: u32) {
        self.router.handle_command(self.now, Command::AddSession(Arc::new(session(n))));
        self.router.handle_datagram(self.now, path(n), &mut check(n));
        self.router.handle_command(self.now, install(n));
    }

    /// The publisher's next packets, sealed.
    pub(crate) fn packets(&mut self, count: usize, keyframe: bool) -> Vec<Vec<u8>> {
        let first = self.seq;
        self.seq += count as u64;
        (first..self.seq).map(|seq| sealed(&self.sealer, seq, keyframe, PAYLOAD)).collect()
    }

    /// Hands the packets in, a batch a turn of the loop.
    pub(crate) fn turns(&mut self, mut packets: Vec<Vec<u8>>, batch: usize) {
        // The peers' consent lasts 30 s, and their checks are not what is measured.
        self.now = Instant::from_millis(2000);
        for packets in packets.chunks_mut(batch) {
            self.now += Duration::from_micros(500);
            for packet in packets {
                self.router.handle_datagram(self.now, path(0), packet);
            }
            if self.router.poll_timeout() <= self.now {
                self.router.handle_timeout(self.now);
            }
            while self.router.poll_transmit(self.now, &mut self.batch) {
                self.batch.clear();
            }
            self.batch.clear();
            while self.router.poll_peer().is_some() {}
            while self.router.poll_event().is_some() {}
        }
    }
}
