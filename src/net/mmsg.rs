//! The portable driver: `recvmmsg(2)` and `sendmmsg(2)`, waiting in `ppoll(2)`.

use std::io;
use std::time::Duration;

use super::message::{self, CONTROL_LEN, Control, NAME_LEN, Name};
use super::sockets::{ShardSockets, Socket};
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
    waker: Waker,
    incoming: Incoming,
    outgoing: Outgoing,
    polled: Vec<libc::pollfd>,
    /// Whether the last turn brought datagrams: then more are likely there, and asking costs less than polling.
    busy: bool,
    pub(super) counters: Counters,
}

struct Incoming {
    names: Box<[Name]>,
    controls: Box<[Control]>,
    slices: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    buffers: Box<[u8]>,
}

impl Mmsg {
    pub(super) fn new(ShardSockets(sockets): ShardSockets, waker: Waker) -> Self {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let polled = sockets.iter().map(Socket::raw).chain([waker.fd()]).map(poll).collect();
        Self {
            sockets,
            waker,
            incoming: Incoming::new(),
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
            if self.polled.last().is_some_and(|polled| polled.revents != 0) {
                self.counters.wakes += 1;
                self.waker.drain();
            }
        }
        self.busy = self.counters.datagrams_in != before;
        self.waker.arrived();
        Ok(())
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let time = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos() as _,
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        for polled in &mut self.polled {
            polled.revents = 0;
        }
        let len = self.polled.len() as libc::nfds_t;
        // SAFETY: `polled` is an exclusive slice of `len` entries, `time` is null or outlives the call.
        let ready = unsafe { libc::ppoll(self.polled.as_mut_ptr(), len, time, std::ptr::null()) };
        if ready >= 0 {
            let sockets = self.polled.split_last().map_or(&[][..], |(_, sockets)| sockets);
            self.busy = sockets.iter().any(|polled| polled.revents != 0);
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        }
    }

    /// Takes what a socket has, up to a bound, so that a burst is not cut in two by the reports that come between.
    fn receive(&mut self, index: usize, rx: &mut impl FnMut(Path, &mut [u8])) {
        for _ in 0..READS {
            if self.receive_some(index, rx) < BATCH {
                break;
            }
        }
    }

    /// Takes as many messages as one system call brings; how many that is.
    fn receive_some(&mut self, index: usize, rx: &mut impl FnMut(Path, &mut [u8])) -> usize {
        let Some(socket) = self.sockets.get(index) else { return 0 };
        let taken = match self.incoming.take(socket) {
            Ok(taken) => taken,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    self.counters.receive_errors += 1;
                }
                return 0;
            }
        };
        self.counters.reads += 1;
        let bound = socket.bound().ip();
        let parts = self.incoming.names.iter().zip(&self.incoming.controls).zip(&self.incoming.headers);
        let buffers = self.incoming.buffers.chunks_exact_mut(BUFFER);
        for (((name, control), header), buffer) in parts.zip(buffers).take(taken) {
            let remote = name.0.get(..header.msg_hdr.msg_namelen as usize).and_then(message::read_name);
            let control = control.0.get(..len(header.msg_hdr.msg_controllen)).unwrap_or_default();
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let (Some(remote), Some(payload), false) =
                (remote, buffer.get_mut(..header.msg_len as usize), truncated)
            else {
                self.counters.receive_errors += 1;
                continue;
            };
            let arrival = message::read_control(control);
            let path = Path { socket: index as u16, local: arrival.local.unwrap_or(bound), remote };
            self.counters.bytes_in += payload.len() as u64;
            self.counters.datagrams_in += message::split(path, payload, arrival.segment, rx);
        }
        taken
    }

    pub(super) fn send(&mut self, batch: &mut TxBatch) {
        transmit::send_batch(&mut self.sockets, &mut self.outgoing, batch, &mut self.counters);
    }
}

/// A length as the C library has it: `size_t` in one, `socklen_t` in another.
fn len(of: impl TryInto<usize>) -> usize {
    of.try_into().unwrap_or(0)
}

impl Incoming {
    fn new() -> Self {
        let slice = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            names: vec![Name::EMPTY; BATCH].into_boxed_slice(),
            controls: vec![Control::EMPTY; BATCH].into_boxed_slice(),
            slices: vec![slice; BATCH].into_boxed_slice(),
            headers: vec![transmit::empty_header(); BATCH].into_boxed_slice(),
            buffers: vec![0; BATCH * BUFFER].into_boxed_slice(),
        }
    }

    /// Receives what is there, up to [`BATCH`] messages; how many came.
    fn take(&mut self, socket: &Socket) -> io::Result<usize> {
        let places = self.names.iter_mut().zip(&mut self.controls).zip(&mut self.slices);
        let buffers = self.buffers.chunks_exact_mut(BUFFER);
        for ((((name, control), slice), buffer), header) in places.zip(buffers).zip(&mut self.headers) {
            *slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER };
            let header = &mut header.msg_hdr;
            header.msg_name = name.0.as_mut_ptr().cast();
            header.msg_namelen = NAME_LEN as _;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_LEN as _;
            header.msg_iov = slice;
            header.msg_iovlen = 1;
            header.msg_flags = 0;
        }
        let (headers, none) = (self.headers.as_mut_ptr(), std::ptr::null_mut());
        // SAFETY: the BATCH headers were just pointed at names, controls and buffers of their stated lengths, all owned
        // by `self`, which is borrowed exclusively until the call returns.
        let taken =
            unsafe { libc::recvmmsg(socket.raw(), headers, BATCH as _, libc::MSG_DONTWAIT as _, none) };
        usize::try_from(taken).map_err(|_| io::Error::last_os_error())
    }
}
