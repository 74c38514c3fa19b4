//! The way of QUIC's datagrams, which share the shards' sockets.
//!
//! QUIC shares the port with media (RFC 9443). The shards receive; what is QUIC they hand over through a bounded queue.
//! Sending needs no detour: any thread may send on a duplicate of a shard's socket.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::BytesMut;
use quinn_proto::Transmit;
use tokio::sync::mpsc;

use crate::batch::{Path, TxBatch};
use crate::net::{Sender, Sockets};

/// Datagrams that wait for the endpoint. Signalling is small: more than this waiting means that the endpoint does not
/// keep up, and QUIC repeats what is dropped.
const WAITING: usize = 2048;

/// What a QUIC datagram lost on our own host is counted in.
#[derive(Debug, Default)]
struct Lost {
    inbound: AtomicU64,
    outbound: AtomicU64,
}

/// A datagram that came, and how.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) path: Path,
    pub(super) bytes: BytesMut,
}

/// The shards' end: takes QUIC datagrams and never blocks.
#[derive(Clone, Debug)]
pub struct QuicIntake {
    queue: mpsc::Sender<Arrived>,
    lost: Arc<Lost>,
}

impl QuicIntake {
    /// Hands a datagram to the endpoint, or drops it when too many wait.
    pub fn deliver(&self, path: Path, datagram: &[u8]) {
        match self.queue.try_reserve() {
            Ok(place) => place.send(Arrived { path, bytes: datagram.into() }),
            Err(_) => {
                self.lost.inbound.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Datagrams dropped so far on the way in and on the way out.
    pub fn dropped(&self) -> (u64, u64) {
        (self.lost.inbound.load(Ordering::Relaxed), self.lost.outbound.load(Ordering::Relaxed))
    }
}

/// The endpoint's end.
#[derive(Debug)]
pub struct QuicSocket {
    queue: mpsc::Receiver<Arrived>,
    sender: Sender,
    batch: TxBatch,
    lost: Arc<Lost>,
}

impl QuicSocket {
    /// A socket that sends through duplicates of `sockets`, and the intake that fills it.
    pub fn new(sockets: &Sockets) -> io::Result<(Self, QuicIntake)> {
        let sender = Sender::new(sockets)?;
        let (queue, inbox) = mpsc::channel(WAITING);
        let lost = Arc::new(Lost::default());
        let intake = QuicIntake { queue, lost: lost.clone() };
        Ok((Self { queue: inbox, sender, batch: TxBatch::new(), lost }, intake))
    }

    /// Takes what arrived, up to `most` datagrams; 0 when nothing will come any more.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        arrived: &mut Vec<Arrived>,
        most: usize,
    ) -> Poll<usize> {
        self.queue.poll_recv_many(cx, arrived, most)
    }

    /// Puts a datagram into the batch that [`QuicSocket::flush`] sends; a full batch is sent first.
    pub(super) fn push(&mut self, transmit: &Transmit, bytes: &[u8]) {
        let bytes = bytes.get(..transmit.size).unwrap_or_default();
        let Some(path) = self.sender.route(transmit.src_ip, transmit.destination) else {
            self.lost.outbound.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if !self.batch.has_room() {
            self.flush();
        }
        self.batch.push(path, bytes);
    }

    /// Sends what waits. It never waits until a socket is writable, because then every media packet sent would wake
    /// tokio: a full queue drops, and QUIC repeats.
    pub(super) fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.lost.outbound.fetch_add(self.sender.send_batch(&mut self.batch), Ordering::Relaxed);
        }
    }
}
