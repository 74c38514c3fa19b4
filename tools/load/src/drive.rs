//! A socket and a task for a peer and its media.
//!
//! Every client has a socket of its own, as browsers have, and receives datagram by datagram: no GRO, so that the
//! server's kernel side costs what it costs with browsers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::peer::{Peer, Received};

/// What sends and receives over a peer.
pub trait Media: Send + 'static {
    /// Takes an RTP packet, in plain.
    fn rtp(&mut self, now: Instant, packet: &[u8]);
    /// Takes an RTCP compound, in plain.
    fn rtcp(&mut self, now: Instant, compound: &[u8]);
    /// Sends what is due.
    fn poll(&mut self, now: Instant, peer: &mut Peer);
    /// When [`Media::poll`] is to be called next.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// A change to the media of a running task.
pub type Change<M> = Box<dyn FnOnce(&mut M) + Send>;

/// A running client.
#[derive(Debug)]
pub struct Running<M> {
    task: tokio::task::JoinHandle<Result<M, Error>>,
    connected: watch::Receiver<bool>,
    changes: mpsc::UnboundedSender<Change<M>>,
}

impl<M: Media> Running<M> {
    /// Waits until media can flow.
    pub async fn connected(&mut self, patience: Duration) -> Result<(), Error> {
        let up = tokio::time::timeout(patience, self.connected.wait_for(|up| *up)).await;
        match up {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Media("the connection ended before it was secured".into())),
            Err(_) => Err(Error::Media(format!("no secured connection within {patience:?}"))),
        }
    }

    /// What changes its media while it runs.
    pub fn changer(&self) -> impl Fn(Change<M>) + Send + Sync + use<M> {
        let changes = self.changes.downgrade();
        move |change| {
            // A client that ended says why in `stop`.
            if let Some(changes) = changes.upgrade() {
                let _ = changes.send(change);
            }
        }
    }

    /// Ends it and returns its media.
    pub async fn stop(self) -> Result<M, Error> {
        drop(self.changes);
        self.task.await.map_err(|e| Error::Media(e.to_string()))?
    }
}

/// A socket with room for a burst, towards `server`.
pub async fn socket(server: SocketAddr) -> Result<UdpSocket, Error> {
    let domain = socket2::Domain::for_address(server);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    // As much as the system permits.
    let _ = socket.set_recv_buffer_size(4 << 20);
    socket.set_nonblocking(true)?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    socket.bind(&any.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    socket.connect(server).await?;
    Ok(socket)
}

/// Starts a client on the current runtime.
pub fn start<M: Media>(socket: UdpSocket, peer: Peer, media: M) -> Running<M> {
    let (up, connected) = watch::channel(false);
    let (changes, changed) = mpsc::unbounded_channel();
    let task = tokio::spawn(Client { socket: Arc::new(socket), peer, media, up, changed }.run());
    Running { task, connected, changes }
}

struct Client<M> {
    socket: Arc<UdpSocket>,
    peer: Peer,
    media: M,
    up: watch::Sender<bool>,
    changed: mpsc::UnboundedReceiver<Change<M>>,
}

impl<M: Media> Client<M> {
    async fn run(mut self) -> Result<M, Error> {
        let mut buffer = vec![0; 2048];
        loop {
            let now = Instant::now();
            self.peer.handle_timeout(now)?;
            self.media.poll(now, &mut self.peer);
            self.transmit();
            if self.peer.connected() {
                self.up.send_if_modified(|up| !std::mem::replace(up, true));
            }
            let wake = self.peer.poll_timeout().into_iter().chain(self.media.poll_timeout()).min();
            let wake = wake.unwrap_or(now + Duration::from_secs(1));
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    self.receive(&mut buffer)?;
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                change = self.changed.recv() => match change {
                    Some(change) => change(&mut self.media),
                    None => return Ok(self.media),
                },
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        loop {
            // An error is nothing more, or nobody listens there yet, and the checks will tell.
            let Ok(len) = self.socket.try_recv(buffer) else { return Ok(()) };
            let now = Instant::now();
            let Some(datagram) = buffer.get_mut(..len) else { return Ok(()) };
            match self.peer.handle_datagram(now, datagram)? {
                Received::Rtp(len) => self.media.rtp(now, datagram.get(..len).unwrap_or_default()),
                Received::Rtcp(len) => self.media.rtcp(now, datagram.get(..len).unwrap_or_default()),
                Received::Nothing => {}
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(datagram) = self.peer.poll_transmit() {
            // What does not fit into the send buffer is lost, as on any network.
            let _ = self.socket.try_send(&datagram);
        }
    }
}
