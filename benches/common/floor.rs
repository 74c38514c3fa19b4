//! What fan-out costs at least.

use millrace::batch::TxBatch;
use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::srtp::Sealer;

use crate::audience::{PAYLOAD, path};
use crate::common::keys;

/// Copying and sealing the same packets for the same viewers, and nothing else.
pub(crate) struct Floor {
    sealers: Vec<Sealer>,
    payload: Vec<u8>,
    batch: TxBatch,
    seq: u64,
}

impl Floor {
    /// So many viewers.
    pub(crate) fn new(viewers: usize) -> Self {
        Self {
            sealers: (0..viewers as u64).map(|n| Sealer::new(&keys(n, true))).collect(),
            payload: vec![7; PAYLOAD],
            batch: TxBatch::new(),
            seq: 1,
        }
    }

    /// So many batches for each of them.
    pub(crate) fn turns(&mut self, batch: usize, turns: usize) {
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
    }
}
