//! Sockets and drivers: the only room with `unsafe` and system calls.
//!
//! A [`Driver`] moves datagrams for one shard: it waits for datagrams, for a [`Waker`] and for a time at once, and sends
//! what the shard has put into a [`TxBatch`]. There are two of them behind one face, equal in what they do.

#![allow(unsafe_code)]

mod incoming;
mod interfaces;
mod message;
mod mmsg;
mod pass;
mod pool;
mod reports;
mod sockets;
mod steer;
mod streams;
mod thread;
mod transmit;
mod uring;
mod waker;

use std::fmt;
use std::io;
use std::time::Duration;

pub use interfaces::addresses;
pub use pass::{memory_file, receive_descriptors, send_descriptors};
pub use sockets::{BindError, Layout, ShardSockets, Sockets, bind};
pub use streams::{Places, Stream};
pub use thread::{all_descriptors, now, pin, processor_time, raise_priority, small_pages};
pub use transmit::Sender;
pub use waker::Waker;

use crate::batch::{Path, TxBatch};
use mmsg::Mmsg;
use streams::Streams;
use uring::Uring;

/// Which driver to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the kernel grants it, else the portable one.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// `recvmmsg` and `sendmmsg`.
    Mmsg,
}

/// What a driver has done since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received, and their bytes.
    pub datagrams_in: u64,
    /// See `datagrams_in`.
    pub bytes_in: u64,
    /// Times that the kernel was asked for datagrams and had some.
    pub reads: u64,
    /// Arrivals that could not be used.
    pub receive_errors: u64,
    /// Datagrams sent, and their bytes.
    pub datagrams_out: u64,
    /// See `datagrams_out`.
    pub bytes_out: u64,
    /// Sends that `datagrams_out` took, a run of equal datagrams being one.
    pub runs_out: u64,
    /// Datagrams dropped because the socket's queue was full.
    pub full: u64,
    /// Datagrams dropped because the kernel refused them.
    pub failed: u64,
    /// Runs that the kernel refused to segment and that were sent one by one.
    pub unsegmented: u64,
    /// Waits that a [`Waker`] ended.
    pub wakes: u64,
}

impl Counters {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            datagrams_in: self.datagrams_in + other.datagrams_in,
            bytes_in: self.bytes_in + other.bytes_in,
            reads: self.reads + other.reads,
            receive_errors: self.receive_errors + other.receive_errors,
            datagrams_out: self.datagrams_out + other.datagrams_out,
            bytes_out: self.bytes_out + other.bytes_out,
            runs_out: self.runs_out + other.runs_out,
            full: self.full + other.full,
            failed: self.failed + other.failed,
            unsegmented: self.unsegmented + other.unsegmented,
            wakes: self.wakes + other.wakes,
        }
    }
}

/// Which driver was chosen, and why.
#[derive(Clone, Debug)]
pub struct Choice {
    uring: bool,
    why: String,
}

impl Choice {
    /// Decides for this host, by trying.
    pub fn probe(io: Io) -> Result<Self, Refused> {
        let uring = |why| Self { uring: true, why };
        let mmsg = |why| Self { uring: false, why };
        match io {
            Io::Mmsg => Ok(mmsg("as asked for".into())),
            Io::Uring => {
                uring::probe().map(|flavour| uring(format!("as asked for, {flavour}"))).map_err(Refused)
            }
            Io::Auto => Ok(match uring::probe() {
                Ok(flavour) => uring(flavour.into()),
                Err(reason) => mmsg(format!("no io_uring: {reason}")),
            }),
        }
    }

    /// Whether it is io_uring.
    pub fn is_uring(&self) -> bool {
        self.uring
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.uring { "io_uring" } else { "recvmmsg and sendmmsg" };
        write!(f, "{name} ({})", self.why)
    }
}

/// io_uring was demanded, and this kernel refuses it.
#[derive(Debug, thiserror::Error)]
#[error(
    "io_uring was asked for, but {0}: use --io auto or --io mmsg, or let the container and the kernel permit it"
)]
pub struct Refused(String);

/// Moves the datagrams of one shard. It stays on the thread that opened it.
pub struct Driver(Kind);

enum Kind {
    Uring(Box<Uring>),
    Mmsg(Box<Mmsg>),
}

impl Driver {
    /// Opens the chosen driver over a shard's sockets.
    pub fn open(choice: &Choice, sockets: ShardSockets, waker: Waker) -> io::Result<Self> {
        Ok(Self(if choice.uring {
            Kind::Uring(Box::new(Uring::new(sockets, waker)?))
        } else {
            Kind::Mmsg(Box::new(Mmsg::new(sockets, waker)))
        }))
    }

    /// Waits for a datagram, a wake-up or the end of `timeout` (`None`: for ever), and hands every datagram that is
    /// there to `rx`. It may return early with nothing. An error means that the driver cannot go on.
    pub fn turn(
        &mut self,
        timeout: Option<Duration>,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) -> io::Result<()> {
        match &mut self.0 {
            Kind::Uring(uring) => uring.turn(timeout, rx),
            Kind::Mmsg(mmsg) => mmsg.turn(timeout, rx),
        }
    }

    /// Waits for a datagram, a wake-up or the end of `timeout`, and takes nothing: the next [`Driver::turn`] finds it.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        match &mut self.0 {
            Kind::Uring(uring) => uring.wait(timeout),
            Kind::Mmsg(mmsg) => mmsg.wait(Some(timeout)),
        }
    }

    /// Takes over a TCP connection, whose packets come and go like datagrams.
    pub fn adopt(&mut self, stream: Stream) -> io::Result<()> {
        self.streams().adopt(stream)
    }

    /// Lets a TCP connection go to another driver.
    pub fn release(&mut self, path: Path) -> Option<Stream> {
        self.streams().release(path)
    }

    /// The next TCP connection that takes less than it is given, or takes everything again, and whether it is the former.
    pub fn poll_clog(&mut self) -> Option<(Path, bool)> {
        self.streams().poll_clog()
    }

    fn streams(&mut self) -> &mut Streams {
        match &mut self.0 {
            Kind::Uring(uring) => &mut uring.streams,
            Kind::Mmsg(mmsg) => &mut mmsg.streams,
        }
    }

    /// Sends the batch, which is empty afterwards. What the kernel refuses is dropped and counted.
    pub fn send(&mut self, batch: &mut TxBatch) {
        match &mut self.0 {
            Kind::Uring(uring) => uring.send(batch),
            Kind::Mmsg(mmsg) => mmsg.send(batch),
        }
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        match &self.0 {
            Kind::Uring(uring) => uring.counters,
            Kind::Mmsg(mmsg) => mmsg.counters,
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Driver").finish_non_exhaustive()
    }
}
