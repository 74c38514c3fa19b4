//! A client on its thread: a socket, a peer, and media of some kind.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use millrace::router::command::IceCredentials;
use millrace::wire::demux::{Kind, classify};
use tokio::sync::{oneshot, watch};

use super::sys::{self, BATCH, Batch};
use super::{Change, Impaired, Media, any};
use crate::Error;
use crate::peer::{Peer, Received, Remote};

/// Without anything to do, a client is looked at this often.
const IDLE: Duration = Duration::from_secs(1);
/// The shortest time between two turns of a client to which nothing comes.
const SOONEST: Duration = Duration::from_micros(50);
/// Reads in one turn: others have to live, too.
const READS: usize = 4;

/// What a worker knows of a client.
pub(super) trait Run: Send {
    /// Its socket.
    fn fd(&self) -> RawFd;
    /// Takes what came; the number of datagrams.
    fn receive(&mut self, batch: &mut Batch) -> Result<usize, Error>;
    /// Applies the changes that there are.
    fn change(&mut self);
    /// Goes on over a new socket.
    fn change_address(&mut self, now: Instant) -> io::Result<()>;
    /// Goes on with these credentials of ours, and with what the server said.
    fn restart(&mut self, now: Instant, ice: &IceCredentials, remote: &Remote);
    /// Does what is due, and says when to come again.
    fn turn(&mut self, now: Instant) -> Result<Instant, Error>;
    /// Datagrams that the kernel dropped at its socket, so far.
    fn drops(&self) -> u32;
    /// Ends it.
    fn finish(self: Box<Self>, result: Result<(), Error>);
}

pub(super) struct Job<M> {
    socket: UdpSocket,
    peer: Peer,
    media: M,
    link: Option<Impaired>,
    up: watch::Sender<Option<Instant>>,
    is_up: bool,
    changes: Receiver<Change<M>>,
    done: oneshot::Sender<Result<M, Error>>,
}

impl<M: Media> Job<M> {
    pub(super) fn new(
        socket: UdpSocket,
        peer: Peer,
        media: M,
        link: Option<Impaired>,
        up: watch::Sender<Option<Instant>>,
        changes: Receiver<Change<M>>,
        done: oneshot::Sender<Result<M, Error>>,
    ) -> Self {
        Self { socket, peer, media, link, up, is_up: false, changes, done }
    }

    fn take(&mut self, now: Instant, datagram: &mut [u8]) -> Result<(), Error> {
        let unopened = self.is_up && classify(datagram) == Some(Kind::Rtp);
        if unopened && self.media.sealed(now, datagram) {
            return Ok(());
        }
        match self.peer.handle_datagram(now, datagram)? {
            Received::Rtp(len) => self.media.rtp(now, datagram.get(..len).unwrap_or_default()),
            Received::Rtcp(len) => self.media.rtcp(now, datagram.get(..len).unwrap_or_default()),
            Received::Nothing => {}
        }
        Ok(())
    }

    fn transmit(&mut self, now: Instant) {
        while let Some(datagram) = self.peer.poll_transmit() {
            match &mut self.link {
                Some(link) => link.up.take(now, (), datagram),
                // What does not fit into the send buffer is lost, as on any network.
                None => drop(self.socket.send(&datagram)),
            }
        }
        if let Some(link) = &mut self.link {
            while let Some(((), datagram)) = link.up.due(now) {
                let _ = self.socket.send(&datagram);
            }
        }
    }
}

impl<M: Media> Run for Job<M> {
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<usize, Error> {
        let mut count = 0;
        for _ in 0..READS {
            let read = batch.read(self.fd());
            let now = Instant::now();
            for n in 0..read {
                let Some(datagram) = batch.datagram(n) else { break };
                match &mut self.link {
                    Some(link) => link.down.take(now, (), datagram.to_vec()),
                    None => self.take(now, datagram)?,
                }
            }
            count += read;
            if read < BATCH {
                break;
            }
        }
        Ok(count)
    }

    fn change(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            change(&mut self.media);
        }
    }

    fn change_address(&mut self, now: Instant) -> io::Result<()> {
        let server = self.socket.peer_addr()?;
        let socket = super::socket(any(server))?;
        socket.connect(server)?;
        self.socket = socket;
        self.peer.check(now);
        Ok(())
    }

    fn restart(&mut self, now: Instant, ice: &IceCredentials, remote: &Remote) {
        self.peer.restart(now, ice, remote);
    }

    fn turn(&mut self, now: Instant) -> Result<Instant, Error> {
        while let Some(((), mut datagram)) = self.link.as_mut().and_then(|link| link.down.due(now)) {
            self.take(now, &mut datagram)?;
        }
        self.peer.handle_timeout(now)?;
        if !self.is_up && self.peer.connected() {
            self.is_up = true;
            self.up.send_replace(Some(now));
        }
        self.media.poll(now, &mut self.peer);
        self.transmit(now);
        let link = self.link.as_ref().and_then(Impaired::next);
        // Before that it could send nothing.
        let media = self.media.poll_timeout().filter(|_| self.is_up);
        let wake = self.peer.poll_timeout().into_iter().chain(media).chain(link).min();
        Ok(wake.unwrap_or(now + IDLE).max(now + SOONEST))
    }

    fn drops(&self) -> u32 {
        sys::drops(self.fd()).unwrap_or(0)
    }

    fn finish(self: Box<Self>, result: Result<(), Error>) {
        let Self { media, done, .. } = *self;
        // Whoever started it may have gone.
        let _ = done.send(result.map(|()| media));
    }
}
