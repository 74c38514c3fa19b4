//! The portable driver: `recvmmsg(2)` and `sendmmsg(2)`, waiting in `ppoll(2)`.

use std::io;
use std::time::Duration;

use super::incoming::Incoming;
use super::reports::Reports;
use super::sockets::{ShardSockets, Socket};
use super::streams::Streams;
use super::transmit::{self, Outgoing};
use super::{Counters, Waker};
use crate::batch::{Path, TxBatch};

/// Messages taken with one system call. Each may be 64 KiB of joined datagrams, and its buffer must be as large; pages
/// that were never written cost nothing.
const BATCH: usize = 16;
const BUFFER: usize = 64 * 1024;
/// System calls for one socket in one turn, as long as each brings all that it can.
const READS: usize = 16;

/// See the module.
pub(super) struct Mmsg {
    sockets: Vec<Socket>,
    reports: Reports,
    pub(super) streams: Streams,
    waker: Waker,
    incoming: Incoming,
    outgoing: Outgoing,
    /// The sockets, the waker, what watches TCP connections, and the sockets for reports.
    polled: Vec<libc::pollfd>,
    /// Whether the last turn brought datagrams: then more are likely there, and asking costs less than polling.
    busy: bool,
    pub(super) counters: Counters,
}

impl Mmsg {
    pub(super) fn new(ShardSockets(mut sockets): ShardSockets, waker: Waker) -> Self {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let reports = Reports::of(&mut sockets);
        // Nothing is polled where the number is negative.
        let all = sockets.iter().map(Socket::raw).chain([waker.fd(), -1]).chain(reports.descriptors());
        let polled = all.map(poll).collect();
        Self {
            sockets,
            reports,
            streams: Streams::default(),
            waker,
            incoming: Incoming::new(BATCH, BUFFER),
            outgoing: Outgoing::new(transmit::SENDS),
            polled,
            busy: false,
            counters: Counters::default(),
        }
    }

    pub(super) fn turn(
        &mut self,
        timeout: Option<Duration>,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) -> io::Result<()> {
        let before = self.counters.datagrams_in;
        if self.busy {
            for index in 0..self.sockets.len() {
                self.receive(index, rx);
            }
        }
        if self.counters.datagrams_in == before {
            self.wait(timeout)?;
            for index in 0..self.sockets.len() {
                if self.polled.get(index).is_some_and(|polled| polled.revents != 0) {
                    self.receive(index, rx);
                }
            }
            if self.polled.get(self.sockets.len()).is_some_and(|polled| polled.revents != 0) {
                self.counters.wakes += 1;
                self.waker.drain();
            }
        }
        self.busy = self.counters.datagrams_in != before;
        self.reports.drain(&mut self.counters, rx);
        self.streams.drain(&mut self.counters, rx);
        self.waker.arrived();
        Ok(())
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let (heeded, timeout) = self.reports.patience(timeout);
        let time = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos() as _,
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        for polled in &mut self.polled {
            polled.revents = 0;
        }
        if let (Some(fd), Some(polled)) =
            (self.streams.descriptor(), self.polled.get_mut(self.sockets.len() + 1))
        {
            polled.fd = fd;
        }
        let len = if heeded { self.polled.len() } else { self.sockets.len() + 2 } as libc::nfds_t;
        // SAFETY: `polled` is an exclusive slice of `len` entries at least, `time` is null or outlives the call.
        let ready = unsafe { libc::ppoll(self.polled.as_mut_ptr(), len, time, std::ptr::null()) };
        if ready >= 0 {
            self.busy = self.polled.iter().take(self.sockets.len()).any(|polled| polled.revents != 0);
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        }
    }

    /// Takes what a socket has, up to a bound, so that a burst is not cut in two by what comes between.
    fn receive(&mut self, index: usize, rx: &mut impl FnMut(Path, &mut [u8])) {
        if let Some(socket) = self.sockets.get(index) {
            let socket = (socket.raw(), index as u16, socket.bound().ip());
            self.incoming.drain(socket, READS, &mut self.counters, rx);
        }
    }

    pub(super) fn send(&mut self, batch: &mut TxBatch) {
        self.streams.send_batch(batch, &mut self.counters);
        transmit::send_batch(&mut self.sockets, &mut self.outgoing, batch, &mut self.counters);
    }
}
