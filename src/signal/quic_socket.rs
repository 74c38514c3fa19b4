//! The UDP socket of quinn, which is the shards' own.
//!
//! QUIC shares the port with media (RFC 9443). The shards receive; what is QUIC they hand over through a bounded queue.
//! Sending needs no detour: any thread may send on a duplicate of a shard's socket.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

use crate::batch::Path;
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

#[derive(Debug)]
struct Arrived {
    path: Path,
    bytes: Box<[u8]>,
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

/// The endpoint's end, for `quinn::Endpoint::new_with_abstract_socket`.
pub struct QuicSocket {
    /// Locked by the endpoint's one driver alone.
    queue: Mutex<mpsc::Receiver<Arrived>>,
    sender: Sender,
    address: SocketAddr,
    lost: Arc<Lost>,
}

impl fmt::Debug for QuicSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuicSocket({})", self.address)
    }
}

impl QuicSocket {
    /// A socket that sends through duplicates of `sockets`, and the intake that fills it.
    pub fn new(sockets: &Sockets) -> io::Result<(Arc<Self>, QuicIntake)> {
        let sender = Sender::new(sockets)?;
        let address = sender.addresses().next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let (queue, inbox) = mpsc::channel(WAITING);
        let lost = Arc::new(Lost::default());
        let intake = QuicIntake { queue, lost: lost.clone() };
        Ok((Arc::new(Self { queue: Mutex::new(inbox), sender, address, lost }), intake))
    }
}

impl AsyncUdpSocket for QuicSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        let path = self.sender.route(transmit.src_ip, transmit.destination);
        let sent = path.map(|path| self.sender.send(path, transmit.contents, segment));
        // An error would end the connection, and the next datagram may find the way: QUIC repeats what is lost.
        if !matches!(sent, Some(Ok(()))) {
            self.lost.outbound.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut filled = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            let arrived = match queue.poll_recv(cx) {
                Poll::Ready(Some(arrived)) => arrived,
                Poll::Ready(None) if filled == 0 => {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                }
                Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            };
            // The endpoint's buffers are as large as it told its peers (`max_udp_payload_size`).
            let len = arrived.bytes.len().min(buf.len());
            let (Some(to), Some(from)) = (buf.get_mut(..len), arrived.bytes.get(..len)) else { continue };
            to.copy_from_slice(from);
            *meta = RecvMeta {
                addr: arrived.path.remote,
                len,
                stride: len,
                ecn: None,
                dst_ip: Some(arrived.path.local).filter(|ip| !ip.is_unspecified()),
            };
            filled += 1;
        }
        Poll::Ready(Ok(filled))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn max_transmit_segments(&self) -> usize {
        // Quinn keeps room for as many datagrams in each connection, for its life; signalling rarely has two.
        1
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Waiting until a socket is writable would have every datagram of media that leaves it wake the runtime. A full queue
/// drops instead, and QUIC repeats.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
