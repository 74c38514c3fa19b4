//! Sockets and turns for peers and their media: few threads, each with one epoll over many sockets.
//!
//! Every client has a socket of its own, as browsers have, and receives datagram by datagram: no GRO, so that the
//! server's kernel side costs what it costs with browsers.

mod job;
mod link;
mod sys;
mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millrace::router::command::IceCredentials;
use tokio::sync::{oneshot, watch};

use crate::Error;
use crate::peer::{Peer, Remote};
pub use link::{Impaired, Link, Way};
pub use worker::{Load, Strain};

/// What sends and receives over a peer.
pub trait Media: Send + 'static {
    /// Takes the header of an RTP packet whose payload is still sealed. Returns whether that is all it wants of it: then it
    /// is not opened.
    fn sealed(&mut self, _now: Instant, _packet: &[u8]) -> bool {
        false
    }
    /// Takes an RTP packet, in plain.
    fn rtp(&mut self, now: Instant, packet: &[u8]);
    /// Takes an RTCP compound, in plain.
    fn rtcp(&mut self, now: Instant, compound: &[u8]);
    /// Sends what is due.
    fn poll(&mut self, now: Instant, peer: &mut Peer);
    /// When [`Media::poll`] is to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// A change to the media of a running client.
pub type Change<M> = Box<dyn FnOnce(&mut M) + Send>;

/// The threads that clients run on. They end with the last handle.
#[derive(Clone)]
pub struct Engine {
    workers: Arc<[worker::Handle]>,
    next: Arc<AtomicU64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} threads)", self.workers.len())
    }
}

impl Engine {
    /// Starts that many threads.
    pub fn new(threads: usize) -> Result<Self, Error> {
        let workers: Result<Vec<_>, _> = (0..threads.max(1)).map(worker::Handle::start).collect();
        Ok(Self { workers: workers?.into(), next: Arc::new(AtomicU64::new(1)) })
    }

    /// Starts a client: a peer and its media over a socket of its own towards `server`.
    pub fn start<M: Media>(
        &self,
        server: SocketAddr,
        peer: Peer,
        media: M,
        link: Option<Impaired>,
    ) -> Result<Running<M>, Error> {
        self.start_on(socket(any(server))?, server, peer, media, link)
    }

    /// The same over a socket whose address is known already.
    pub fn start_on<M: Media>(
        &self,
        socket: UdpSocket,
        server: SocketAddr,
        peer: Peer,
        media: M,
        link: Option<Impaired>,
    ) -> Result<Running<M>, Error> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.workers.len() as u64;
        // There is at least one.
        let worker = self.workers[(id % count) as usize].clone();
        let (up, connected) = watch::channel(None);
        let (changes, changed) = std::sync::mpsc::channel();
        let (done, result) = oneshot::channel();
        socket.connect(server)?;
        worker.send(worker::Command::Start(
            id,
            Box::new(job::Job::new(socket, peer, media, link, up, changed, done)),
        ));
        Ok(Running { id, worker, connected, changes, result })
    }

    /// How the threads fare, from the last time it was asked.
    pub fn strain(&self) -> Strain {
        self.workers.iter().map(worker::Handle::strain).fold(Strain::default(), Strain::plus)
    }
}

/// A running client.
pub struct Running<M> {
    id: u64,
    worker: worker::Handle,
    connected: watch::Receiver<Option<Instant>>,
    changes: std::sync::mpsc::Sender<Change<M>>,
    result: oneshot::Receiver<Result<M, Error>>,
}

impl<M> std::fmt::Debug for Running<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.id)
    }
}

impl<M: Media> Running<M> {
    /// Waits until media can flow, and says since when it could.
    pub async fn connected(&mut self, patience: Duration) -> Result<Instant, Error> {
        let up = tokio::time::timeout(patience, self.connected.wait_for(Option::is_some)).await;
        match up {
            Ok(Ok(since)) => Ok(since.unwrap_or_else(Instant::now)),
            Ok(Err(_)) => Err(Error::Media("the connection ended before it was secured".into())),
            Err(_) => Err(Error::Media(format!("no secured connection within {patience:?}"))),
        }
    }

    /// What changes its media while it runs.
    pub fn changer(&self) -> impl Fn(Change<M>) + Send + Sync + use<M> {
        let (id, worker, changes) = (self.id, self.worker.clone(), self.changes.clone());
        move |change| {
            // A client that ended says why in `stop`.
            if changes.send(change).is_ok() {
                worker.send(worker::Command::Poke(id));
            }
        }
    }

    /// Goes on from another address of ours, as a phone does that leaves the house.
    pub fn change_address(&self) {
        self.worker.send(worker::Command::Move(self.id));
    }

    /// Restarts ICE (RFC 8445 section 9): with these credentials of ours, and with what the server said.
    pub fn restart(&self, ice: IceCredentials, remote: Remote) {
        self.worker.send(worker::Command::Restart(self.id, ice, remote));
    }

    /// Ends it and returns its media.
    pub async fn stop(self) -> Result<M, Error> {
        self.worker.send(worker::Command::Stop(self.id));
        self.result.await.map_err(|e| Error::Media(e.to_string()))?
    }
}

/// Whatever address of ours leads to the server.
pub fn any(server: SocketAddr) -> IpAddr {
    match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A socket with room for a burst, at this address of ours.
pub fn socket(ours: IpAddr) -> io::Result<UdpSocket> {
    let ours = SocketAddr::from((ours, 0));
    let socket = socket2::Socket::new(socket2::Domain::for_address(ours), socket2::Type::DGRAM, None)?;
    // As much as the system permits.
    let _ = socket.set_recv_buffer_size(4 << 20);
    socket.set_nonblocking(true)?;
    socket.bind(&ours.into())?;
    Ok(socket.into())
}
