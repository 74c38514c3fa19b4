//! What nobody can do without: a copy, a seal and a send for every viewer.

use std::net::SocketAddr;
use std::time::Duration;

use millrace::batch::Path;
use millrace::net::{self, Sender, processor_time};
use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::srtp::Sealer;

use crate::common::keys;

/// Header and extensions as the router writes them.
const HEADER: usize = 20;
/// What sealing adds.
const TAG: usize = 16;
/// Packets of a burst that differ by no more are sent as if they were equal.
const EVEN: usize = 64;

/// See the module.
pub(crate) struct Floor {
    sender: Sender,
    local: SocketAddr,
    viewers: Vec<(SocketAddr, Sealer)>,
    payload: Vec<u8>,
    seq: u64,
}

impl Floor {
    pub(crate) fn new(viewers: &[SocketAddr]) -> Self {
        let sockets = net::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], 1).expect("a free port");
        let sealer = |n: usize| Sealer::new(&keys(n as u64, true));
        Self {
            sender: Sender::new(&sockets).expect("a sender"),
            local: sockets.addresses()[0],
            viewers: viewers.iter().enumerate().map(|(n, address)| (*address, sealer(n + 1))).collect(),
            payload: vec![7; 2000],
            seq: 1,
        }
    }

    pub(crate) fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// Sends every viewer packets of these sizes; the processor time it took.
    pub(crate) fn send(&mut self, sizes: &[usize]) -> Duration {
        let mut room = vec![0x80; 64 * 1500];
        let runs = runs(sizes);
        let start = processor_time();
        for (n, (address, sealer)) in self.viewers.iter().enumerate() {
            let path = Path { socket: 0, local: self.local.ip(), remote: *address };
            let mut seq = self.seq;
            for (count, size) in &runs {
                let segment = HEADER + size + TAG;
                for packet in room.chunks_mut(segment).take(*count) {
                    packet[..HEADER].fill(0x80);
                    packet[HEADER..HEADER + size].copy_from_slice(&self.payload[..*size]);
                    let sealed = sealer.seal_rtp(packet, HEADER + size, HEADER, Seq(seq), Ssrc(n as u32));
                    assert_eq!(sealed, Some(segment));
                    seq += 1;
                }
                // A full queue costs what a send costs; what is missing then is seen by who waits for it.
                let _ = self.sender.send(path, &room[..segment * count], segment);
            }
        }
        self.seq += sizes.len() as u64;
        processor_time() - start
    }
}

/// How many packets of which size can leave together.
fn runs(sizes: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &size in sizes {
        match runs.last_mut() {
            Some((count, most)) if size.abs_diff(*most) <= EVEN && *count < 48 => {
                *count += 1;
                *most = size.max(*most);
            }
            _ => runs.push((1, size)),
        }
    }
    runs
}
