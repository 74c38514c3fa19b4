//! Sending: runs of a [`TxBatch`](crate::batch::TxBatch) as messages for the kernel, and what to make of its answers.

use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;

use super::Counters;
use super::message::{Control, Name};
use super::sockets::{ShardSockets, Socket, Sockets};
use crate::batch::{Path, Run, TxBatch};

/// Messages given with one system call.
pub(super) const SENDS: usize = 64;

/// Storage for messages under way to the kernel: what the headers point at lives beside them.
pub(super) struct Outgoing {
    names: Box<[Name]>,
    controls: Box<[Control]>,
    slices: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the pointers in it lead to its own boxes and to the bytes of a batch; they are written anew by `fill` before each
// system call that reads them, on the thread that makes it.
unsafe impl Send for Outgoing {}

impl Outgoing {
    /// Room for `slots` messages.
    pub(super) fn new(slots: usize) -> Self {
        let slice = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            names: vec![Name::EMPTY; slots].into_boxed_slice(),
            controls: vec![Control::EMPTY; slots].into_boxed_slice(),
            slices: vec![slice; slots].into_boxed_slice(),
            headers: vec![empty_header(); slots].into_boxed_slice(),
        }
    }

    /// Makes message `slot` carry `bytes` as `run` says. The message is good until the slot is filled again or
    /// `bytes` go away; it is the caller who must not let the kernel see it after that.
    pub(super) fn fill(&mut self, slot: usize, run: &Run, bytes: &[u8], socket: &Socket) {
        let (Some(name), Some(control), Some(slice), Some(header)) = (
            self.names.get_mut(slot),
            self.controls.get_mut(slot),
            self.slices.get_mut(slot),
            self.headers.get_mut(slot),
        ) else {
            return;
        };
        let source = Some(run.path.local).filter(|ip| socket.is_wildcard() && !ip.is_unspecified());
        let segment = Some(run.segment).filter(|_| is_segmented(run));
        let header = &mut header.msg_hdr;
        header.msg_namelen = name.write(run.path.remote);
        header.msg_name = name.0.as_mut_ptr().cast();
        header.msg_controllen = control.write(source, segment.and_then(|s| u16::try_from(s).ok())) as _;
        header.msg_control =
            if header.msg_controllen == 0 { std::ptr::null_mut() } else { control.0.as_mut_ptr().cast() };
        // The kernel only reads what is to be sent.
        *slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        header.msg_iov = slice;
        header.msg_iovlen = 1;
    }

    /// The filled headers `from..to`.
    pub(super) fn headers(&mut self, from: usize, to: usize) -> &mut [libc::mmsghdr] {
        self.headers.get_mut(from..to).unwrap_or_default()
    }
}

/// Whether a run holds more than one datagram.
pub(super) fn is_segmented(run: &Run) -> bool {
    run.len > run.segment
}

pub(super) fn empty_header() -> libc::mmsghdr {
    // SAFETY: all-zero is a valid `mmsghdr`: null pointers and zero lengths.
    unsafe { std::mem::zeroed() }
}

/// What a refused send means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A signal came in between.
    Again,
    /// The queue of the socket or of the device is full; media that waits is worth less than none.
    Full,
    /// The device or the path does not take segmented sends.
    Unsegmentable,
    /// No route, a filter, a bad address: this peer's trouble alone.
    Failed,
}

pub(super) fn verdict(errno: i32, segmented: bool) -> Verdict {
    match errno {
        libc::EINTR => Verdict::Again,
        libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => Verdict::Full,
        // EIO: the device cannot checksum; EINVAL, EMSGSIZE: a segment exceeds the device's MTU, or a kernel
        // before 4.18; ENOPROTOOPT: a filter in between.
        libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT if segmented => {
            Verdict::Unsegmentable
        }
        _ => Verdict::Failed,
    }
}

impl Counters {
    pub(super) fn sent(&mut self, run: &Run) {
        self.runs_out += 1;
        self.datagrams_out += datagrams(run);
        self.bytes_out += run.len as u64;
    }

    /// What was counted as sent before its failure was known.
    pub(super) fn retract(&mut self, run: &Run) {
        self.runs_out -= 1;
        self.datagrams_out -= datagrams(run);
        self.bytes_out -= run.len as u64;
    }

    pub(super) fn unsent(&mut self, run: &Run, verdict: Verdict) {
        match verdict {
            Verdict::Full => self.full += datagrams(run),
            _ => self.failed += datagrams(run),
        }
    }
}

/// How many datagrams a run holds.
pub(super) fn datagrams(run: &Run) -> u64 {
    run.len.div_ceil(run.segment.max(1)) as u64
}

/// Sends each datagram of a run by itself.
pub(super) fn send_apart(socket: &Socket, run: &Run, bytes: &[u8], counters: &mut Counters) {
    for piece in bytes.chunks(run.segment.max(1)) {
        let single = Run { len: piece.len(), segment: piece.len(), ..*run };
        match send_one(socket, &single, piece) {
            Ok(()) => counters.sent(&single),
            Err(e) => counters.unsent(&single, verdict(e.raw_os_error().unwrap_or(0), false)),
        }
    }
}

/// Sends one run in one system call.
pub(super) fn send_one(socket: &Socket, run: &Run, bytes: &[u8]) -> io::Result<()> {
    let mut name = Name::EMPTY;
    let mut control = Control::EMPTY;
    let mut slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let source = Some(run.path.local).filter(|ip| socket.is_wildcard() && !ip.is_unspecified());
    let segment = Some(run.segment).filter(|_| is_segmented(run)).and_then(|s| u16::try_from(s).ok());
    let mut header = empty_header().msg_hdr;
    header.msg_namelen = name.write(run.path.remote);
    header.msg_name = name.0.as_mut_ptr().cast();
    header.msg_controllen = control.write(source, segment) as _;
    if header.msg_controllen > 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
    }
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    loop {
        // SAFETY: `header` points at `name`, `control` and `slice` and so at `bytes`; all outlive the call.
        let sent = unsafe { libc::sendmsg(socket.raw(), &raw const header, libc::MSG_DONTWAIT) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Sends `headers` in one system call; how many left.
pub(super) fn send_many(fd: RawFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let len = headers.len() as libc::c_uint;
    // SAFETY: `headers` were filled by `Outgoing::fill`: they point at its storage, borrowed mutably with them, and
    // at bytes of a batch that the caller holds until this returns.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), len, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends a batch, which is empty afterwards, in as few system calls as its sockets allow. What goes to TCP connections is
/// not for sockets.
pub(super) fn send_batch(
    sockets: &mut [Socket],
    outgoing: &mut Outgoing,
    batch: &mut TxBatch,
    counters: &mut Counters,
) {
    let mut runs = batch.runs();
    while let Some(first) = runs.first() {
        let index = first.path.socket;
        let chunk = runs.iter().take(SENDS).take_while(|run| run.path.socket == index).count();
        let (now, later) = runs.split_at(chunk);
        runs = later;
        if first.path.is_stream() {
            continue;
        }
        let Some(socket) = sockets.get_mut(usize::from(index)) else {
            counters.failed += now.iter().map(datagrams).sum::<u64>();
            continue;
        };
        if !socket.segments() {
            for run in now {
                send_apart(socket, run, batch.bytes(run), counters);
            }
            continue;
        }
        for (slot, run) in now.iter().enumerate() {
            outgoing.fill(slot, run, batch.bytes(run), socket);
        }
        let mut done = 0;
        while let Some(left) = now.get(done..).filter(|left| !left.is_empty()) {
            match send_many(socket.raw(), outgoing.headers(done, chunk)) {
                Ok(sent) => {
                    for run in left.iter().take(sent) {
                        counters.sent(run);
                        if is_segmented(run) {
                            socket.segmented();
                        }
                    }
                    done += sent.max(1);
                }
                // The error is of the first message that did not leave.
                Err(error) => {
                    let Some(run) = left.first() else { break };
                    match verdict(error.raw_os_error().unwrap_or(0), is_segmented(run)) {
                        Verdict::Again => continue,
                        Verdict::Unsegmentable => {
                            counters.unsegmented += 1;
                            socket.refused();
                            send_apart(socket, run, batch.bytes(run), counters);
                        }
                        verdict => counters.unsent(run, verdict),
                    }
                    done += 1;
                }
            }
        }
    }
    batch.clear();
}

/// Sends through the shards' sockets from outside the shards: the control plane's way out.
pub struct Sender {
    sockets: Vec<Socket>,
    outgoing: Outgoing,
    counters: Counters,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender over duplicates of the first shard's sockets.
    pub fn new(sockets: &Sockets) -> io::Result<Self> {
        let first =
            sockets.shards.first().map(|ShardSockets(sockets)| sockets.as_slice()).unwrap_or_default();
        Ok(Self {
            sockets: first.iter().map(Socket::duplicate).collect::<io::Result<_>>()?,
            outgoing: Outgoing::new(SENDS),
            counters: Counters::default(),
        })
    }

    /// Which socket reaches `remote`, preferably the one bound to `local`.
    pub fn route(&self, local: Option<IpAddr>, remote: std::net::SocketAddr) -> Option<Path> {
        let fits = |socket: &&Socket| socket.bound().is_ipv4() == remote.is_ipv4();
        let exact = |ip: IpAddr| self.sockets.iter().position(|s| s.bound().ip() == ip);
        let wild = || self.sockets.iter().position(|s| fits(&s) && s.is_wildcard());
        let any = || self.sockets.iter().position(|s| fits(&s));
        let socket = local.and_then(exact).or_else(wild).or_else(any)?;
        let unspecified = self.sockets.get(socket)?.bound().ip();
        Some(Path { socket: u16::try_from(socket).ok()?, local: local.unwrap_or(unspecified), remote })
    }

    /// Sends `bytes` as datagrams of `segment` bytes (the last may be shorter); whole if the kernel takes segmented
    /// sends, else one by one.
    pub fn send(&self, path: Path, bytes: &[u8], segment: usize) -> io::Result<()> {
        let socket = self
            .sockets
            .get(usize::from(path.socket))
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        let run = Run { path, start: 0, len: bytes.len(), segment: segment.clamp(1, bytes.len().max(1)) };
        let error = match send_one(socket, &run, bytes) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if verdict(error.raw_os_error().unwrap_or(0), is_segmented(&run)) != Verdict::Unsegmentable {
            return Err(error);
        }
        for piece in bytes.chunks(run.segment) {
            send_one(socket, &Run { len: piece.len(), segment: piece.len(), ..run }, piece)?;
        }
        Ok(())
    }

    /// Sends the batch, which is empty afterwards; how many datagrams the kernel refused.
    pub fn send_batch(&mut self, batch: &mut TxBatch) -> u64 {
        let lost = |counters: &Counters| counters.full + counters.failed;
        let before = lost(&self.counters);
        send_batch(&mut self.sockets, &mut self.outgoing, batch, &mut self.counters);
        lost(&self.counters) - before
    }
}
