//! Datagrams on their way in and out: the seam between `net`, which moves them, and `router`, which means them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Where a datagram came from or goes to: which of our sockets, which of our addresses, which peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Index of the listening address (`--listen` may be repeated); of a TCP connection, its number from [`STREAMS`] on.
    pub socket: u16,
    /// Our own address on this path, so that a wildcard bind answers from the address it was asked at;
    /// unspecified when the kernel may choose.
    pub local: IpAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// Where the numbers of TCP connections begin.
pub const STREAMS: u16 = 0x8000;

impl Path {
    /// Whether it is a TCP connection (RFC 6544).
    #[inline]
    pub const fn is_stream(&self) -> bool {
        self.socket >= STREAMS
    }
}

/// Bytes in one [`TxBatch`] arena.
pub const TX_ARENA: usize = 256 * 1024;
/// Runs in one [`TxBatch`].
pub const TX_RUNS: usize = 256;
/// The largest run that one UDP_SEGMENT send may carry: 64 segments, and under 64 KiB in all.
pub const RUN_SEGMENTS: usize = 64;
/// See [`RUN_SEGMENTS`].
pub const RUN_BYTES: usize = 65_000;
/// The largest datagram we ever send: what an Ethernet path carries over IPv6.
pub const MAX_DATAGRAM: usize = 1452;

/// Consecutive datagrams to one peer, all of `segment` bytes but the last, which may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Where to.
    pub path: Path,
    /// First byte in the arena.
    pub start: usize,
    /// Bytes in all.
    pub len: usize,
    /// Bytes of every datagram but the last.
    pub segment: usize,
}

/// A caller-owned batch of outgoing datagrams: one arena, cut into [`Run`]s.
///
/// Datagrams are written in place: [`TxBatch::reserve`] hands out room, [`TxBatch::commit`] keeps what was
/// written and joins it to the last run if peer and size allow, so that it leaves in the same system call.
#[derive(Debug)]
pub struct TxBatch {
    arena: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
    last_open: bool,
}

impl Default for TxBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl TxBatch {
    /// An empty batch with its arena allocated.
    pub fn new() -> Self {
        Self {
            arena: vec![0; TX_ARENA].into_boxed_slice(),
            used: 0,
            runs: Vec::with_capacity(TX_RUNS),
            last_open: false,
        }
    }

    /// Whether a datagram of any size still fits.
    pub fn has_room(&self) -> bool {
        self.used + MAX_DATAGRAM <= self.arena.len() && self.runs.len() < TX_RUNS
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Room for one datagram of up to [`MAX_DATAGRAM`] bytes; `None` when the batch must be sent first.
    pub fn reserve(&mut self) -> Option<&mut [u8]> {
        if !self.has_room() {
            return None;
        }
        self.arena.get_mut(self.used..self.used + MAX_DATAGRAM)
    }

    /// Keeps the first `len` bytes of what [`TxBatch::reserve`] handed out, as a datagram to `path`.
    /// A `len` of zero or over [`MAX_DATAGRAM`] keeps nothing.
    pub fn commit(&mut self, path: Path, len: usize) {
        if len == 0 || len > MAX_DATAGRAM || !self.has_room() {
            return;
        }
        let start = self.used;
        self.used += len;
        if self.last_open
            && let Some(run) = self.runs.last_mut()
            && run.path == path
            && len <= run.segment
            && run.len / run.segment < RUN_SEGMENTS
            && run.len + len <= RUN_BYTES
        {
            run.len += len;
            self.last_open = len == run.segment;
            return;
        }
        self.runs.push(Run { path, start, len, segment: len });
        self.last_open = true;
    }

    /// The size that a datagram to `path` must have to leave with those before it; `None` if it cannot.
    #[inline]
    pub fn segment(&self, path: &Path) -> Option<usize> {
        let run = self.runs.last().filter(|_| self.last_open)?;
        let open = run.len / run.segment < RUN_SEGMENTS && run.len + run.segment <= RUN_BYTES;
        (open && run.path == *path).then_some(run.segment)
    }

    /// Copies `datagram` in as a whole; returns whether there was room.
    pub fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        let Some(room) = self.reserve() else { return false };
        let Some(room) = room.get_mut(..datagram.len()) else { return false };
        room.copy_from_slice(datagram);
        self.commit(path, datagram.len());
        true
    }

    /// The runs, in the order in which they must leave.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The bytes of a run.
    pub fn bytes(&self, run: &Run) -> &[u8] {
        self.arena.get(run.start..run.start + run.len).unwrap_or_default()
    }

    /// Empties the batch; the arena stays.
    pub fn clear(&mut self) {
        self.used = 0;
        self.runs.clear();
        self.last_open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path {
            socket: 0,
            local: IpAddr::from([127, 0, 0, 1]),
            remote: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    #[test]
    fn equal_sizes_to_one_peer_share_a_run_and_a_short_one_ends_it() {
        let mut batch = TxBatch::new();
        for (port, len) in [(1, 100), (1, 100), (1, 60), (1, 60), (2, 60)] {
            assert!(batch.push(path(port), &vec![7; len]));
        }
        let runs: Vec<_> = batch.runs().iter().map(|r| (r.path.remote.port(), r.len, r.segment)).collect();
        assert_eq!(runs, [(1, 260, 100), (1, 60, 60), (2, 60, 60)]);
    }

    #[test]
    fn a_longer_datagram_starts_a_new_run() {
        let mut batch = TxBatch::new();
        batch.push(path(1), &[0; 50]);
        batch.push(path(1), &[0; 51]);
        assert_eq!(batch.runs().len(), 2);
    }

    #[test]
    fn a_full_batch_takes_nothing_more() {
        let mut batch = TxBatch::new();
        let mut taken = 0;
        while batch.push(path(1), &[0; 1200]) {
            taken += 1;
        }
        assert!(taken * 1200 <= TX_ARENA && taken > 200);
        batch.clear();
        assert!(batch.is_empty() && batch.push(path(1), &[0; 1200]));
    }
}
