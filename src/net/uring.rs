//! The io_uring driver.
//!
//! One enter sends a batch, and one waits for datagrams, a wake-up or the timeout. Receiving is one multishot `recvmsg`
//! per socket that fills buffers out of a shared ring; sends complete while they are submitted (MSG_DONTWAIT) and report
//! only failures.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};

use super::message::{self, CONTROL_LEN, NAME_LEN};
use super::pool::{GROUP, Pool};
use super::reports::Reports;
use super::sockets::{self, ShardSockets, Socket};
use super::streams::Streams;
use super::transmit::{self, Outgoing, Verdict};
use super::{Counters, Waker};
use crate::batch::{Path, TX_RUNS, TxBatch};

/// Submissions that fit: a full batch and the re-arming of every socket.
const ENTRIES: u32 = 2 * TX_RUNS as u32;
/// Receives that may fail in a row before the driver gives up, lest it spin.
const FAILURES: u32 = 1000;
/// Times that all buffers are filled anew in one turn.
const READS: usize = 8;
/// How long to wait for the kernel to let go of the buffers.
const PARTING: Duration = Duration::from_secs(1);

/// What a completion is for: the kind in the upper half of the user data, the place in the lower.
const KIND: u64 = !0 << 32;
const RECEIVE: u64 = 1 << 32;
const WAKE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const REPORT: u64 = 4 << 32;
const STREAM: u64 = 5 << 32;

/// See the module.
pub(super) struct Uring {
    ring: IoUring,
    /// What was asked of the kernel beyond the ordinary.
    pub(super) flavour: &'static str,
    sockets: Vec<Socket>,
    reports: Reports,
    /// Which of the sockets for reports end a wait.
    heeded: Vec<bool>,
    pub(super) streams: Streams,
    /// Whether what watches TCP connections ends a wait.
    watching: bool,
    waker: Waker,
    pool: Pool,
    /// The lengths of names and control messages for multishot receives; boxed, since the kernel reads it later.
    template: Box<libc::msghdr>,
    armed: Vec<bool>,
    listening: bool,
    failures: u32,
    /// Completions taken and not yet dealt with.
    held: VecDeque<(u64, i32, u32)>,
    outgoing: Outgoing,
    /// A batch that the kernel may still be about to read, since it could not be submitted as a whole.
    stranded: Option<TxBatch>,
    /// For each socket, how many segmented runs are under way, and how many of them were refused.
    segmented: Vec<(u32, u32)>,
    pub(super) counters: Counters,
}

impl Uring {
    pub(super) fn new(ShardSockets(mut sockets): ShardSockets, waker: Waker) -> io::Result<Self> {
        let (ring, flavour) = build()?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_skip_cqe_on_success() {
            return Err(io::Error::other("this kernel's is too old"));
        }
        let descriptors: Vec<RawFd> = sockets.iter().map(Socket::raw).collect();
        ring.submitter().register_files(&descriptors)?;
        let pool = Pool::new(&ring)?;
        let reports = Reports::of(&mut sockets);
        let mut template = Box::new(transmit::empty_header().msg_hdr);
        template.msg_namelen = NAME_LEN as _;
        template.msg_controllen = CONTROL_LEN as _;
        Ok(Self {
            ring,
            flavour,
            waker,
            pool,
            template,
            armed: vec![false; sockets.len()],
            segmented: vec![(0, 0); sockets.len()],
            sockets,
            heeded: reports.descriptors().map(|_| false).collect(),
            reports,
            streams: Streams::default(),
            watching: false,
            listening: false,
            failures: 0,
            held: VecDeque::new(),
            outgoing: Outgoing::new(TX_RUNS),
            stranded: None,
            counters: Counters::default(),
        })
    }

    pub(super) fn turn(
        &mut self,
        timeout: Option<Duration>,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) -> io::Result<()> {
        self.arm()?;
        // Who waits for something that is already here waits in vain.
        let timeout = if self.held.is_empty() { self.heed(timeout)? } else { Some(Duration::ZERO) };
        self.enter(timeout)?;
        self.launch()?;
        for _ in 0..READS {
            while let Some((tag, result, flags)) = self.held.pop_front() {
                self.complete(tag, result, flags, rx);
            }
            if self.armed.iter().all(|armed| *armed) {
                break;
            }
            // All buffers were filled, and are free again: a burst is not to be cut in two by their number.
            self.arm()?;
            self.enter(Some(Duration::ZERO))?;
            self.launch()?;
        }
        self.reports.drain(&mut self.counters, rx);
        self.streams.drain(&mut self.counters, rx);
        self.waker.arrived();
        if self.failures > FAILURES {
            return Err(io::Error::other("receiving fails again and again"));
        }
        Ok(())
    }

    /// Waits for a completion and leaves it where it is. What was to be sent leaves before.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.arm()?;
        let here = !self.held.is_empty() || !self.ring.completion().is_empty();
        let timeout = if here { Some(Duration::ZERO) } else { self.heed(Some(timeout))? };
        self.enter(timeout)
    }

    /// Lets reports end the wait, unless they rest; how long to wait then.
    fn heed(&mut self, timeout: Option<Duration>) -> io::Result<Option<Duration>> {
        let (heeded, timeout) = self.reports.patience(timeout);
        if heeded {
            for index in 0..self.heeded.len() {
                let fd = self.reports.descriptors().nth(index);
                if let Some(fd) = fd
                    && let Some(heeded @ false) = self.heeded.get_mut(index)
                {
                    *heeded = true;
                    let poll = opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32);
                    self.push(poll.build().user_data(REPORT | index as u64))?;
                }
            }
        }
        Ok(timeout)
    }

    /// Queues the receives and the wake-up that are not (or no longer) armed.
    fn arm(&mut self) -> io::Result<()> {
        for index in 0..self.armed.len() {
            if self.armed.get(index) == Some(&false) {
                let receive =
                    opcode::RecvMsgMulti::new(Fixed(index as u32), &raw const *self.template, GROUP);
                self.push(receive.build().user_data(RECEIVE | index as u64))?;
                if let Some(armed) = self.armed.get_mut(index) {
                    *armed = true;
                }
            }
        }
        if !self.listening {
            // Each write to the eventfd completes it once more; the count in it is of no interest.
            let poll = opcode::PollAdd::new(Fd(self.waker.fd()), libc::POLLIN as u32).multi(true);
            self.push(poll.build().user_data(WAKE))?;
            self.listening = true;
        }
        if let (Some(fd), false) = (self.streams.descriptor(), self.watching) {
            // Once, since what is not taken in one turn is to be told again.
            self.push(opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).build().user_data(STREAM))?;
            self.watching = true;
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> io::Result<()> {
        loop {
            // SAFETY: what the entries point at outlives them: the template and the slots of `outgoing` are boxed, and `send`
            // keeps the batch until all of it is submitted; buffers and sockets live until `drop` has cancelled all.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.submit()?;
        }
    }

    /// Submits what is queued, and waits for a completion as long as `timeout` says.
    fn enter(&self, timeout: Option<Duration>) -> io::Result<()> {
        let submitter = self.ring.submitter();
        let entered = match timeout {
            Some(timeout) => {
                let time = Timespec::from(timeout);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
            None => submitter.submit_and_wait(1),
        };
        tolerate(entered)
    }

    /// Submits what is queued, without waiting.
    fn submit(&self) -> io::Result<()> {
        tolerate(self.ring.submitter().submit())
    }

    fn complete(&mut self, tag: u64, result: i32, flags: u32, rx: &mut impl FnMut(Path, &mut [u8])) {
        let place = (tag & !KIND) as usize;
        match tag & KIND {
            RECEIVE => {
                if !cqueue::more(flags)
                    && let Some(armed) = self.armed.get_mut(place)
                {
                    *armed = false;
                }
                self.received(place, result, cqueue::buffer_select(flags), rx);
            }
            WAKE => {
                self.counters.wakes += 1;
                self.listening &= cqueue::more(flags);
            }
            REPORT => {
                if let Some(heeded) = self.heeded.get_mut(place) {
                    *heeded = false;
                }
            }
            STREAM => self.watching = false,
            _ => {}
        }
    }

    fn received(
        &mut self,
        index: usize,
        result: i32,
        buffer: Option<u16>,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) {
        let (Ok(len), Some(id)) = (usize::try_from(result), buffer) else {
            // Out of buffers: they are back by the time it is armed again.
            if result != -libc::ENOBUFS {
                self.failures += 1;
                self.counters.receive_errors += 1;
            }
            return;
        };
        self.failures = 0;
        self.counters.reads += 1;
        let bound = self.sockets.get(index).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |s| s.bound().ip());
        let filled = self.pool.take(id, len);
        match filled.and_then(unpack) {
            Some((remote, arrival, payload)) => {
                let path = Path { socket: index as u16, local: arrival.local.unwrap_or(bound), remote };
                self.counters.bytes_in += payload.len() as u64;
                self.counters.datagrams_in += message::split(path, payload, arrival.segment, rx);
            }
            None => self.counters.receive_errors += 1,
        }
        self.pool.give(id);
    }

    pub(super) fn send(&mut self, batch: &mut TxBatch) {
        if self.stranded.is_some() {
            return batch.clear();
        }
        for slot in 0..batch.runs().len() {
            let Some(run) = batch.runs().get(slot) else { break };
            let index = usize::from(run.path.socket);
            let bytes = batch.bytes(run);
            if run.path.is_stream() {
                self.streams.send(run, bytes, &mut self.counters);
                continue;
            }
            let Some(socket) = self.sockets.get(index) else {
                self.counters.failed += transmit::datagrams(run);
                continue;
            };
            if !socket.segments() {
                transmit::send_apart(socket, run, bytes, &mut self.counters);
                continue;
            }
            self.outgoing.fill(slot, run, bytes, socket);
            self.counters.sent(run);
            if transmit::is_segmented(run)
                && let Some((under_way, _)) = self.segmented.get_mut(index)
            {
                *under_way += 1;
            }
            let Some(header) = self.outgoing.headers(slot, slot + 1).first() else { break };
            let entry = opcode::SendMsg::new(Fixed(index as u32), &raw const header.msg_hdr)
                .flags((libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32)
                .build()
                .flags(Flags::SKIP_SUCCESS)
                .user_data(SEND | slot as u64);
            if self.push(entry).is_err() {
                break;
            }
        }
        // Now and not with the next wait: the next batch is written where this one lies, which is still in the cache.
        if self.launch().is_err() {
            // The next turn will meet the same error and tell it.
            self.stranded = Some(std::mem::take(batch));
            return;
        }
        for _ in 0..self.held.len() {
            match self.held.pop_front() {
                Some((tag, result, _)) if tag & KIND == SEND => {
                    self.refused(batch, (tag & !KIND) as usize, -result);
                }
                Some(other) => self.held.push_back(other),
                None => break,
            }
        }
        for (socket, (under_way, refused)) in self.sockets.iter_mut().zip(&mut self.segmented) {
            if *under_way > *refused {
                socket.segmented();
            }
            (*under_way, *refused) = (0, 0);
        }
        batch.clear();
    }

    /// Sees to it that all that was queued is submitted, and takes what is complete. Sends are complete then.
    fn launch(&mut self) -> io::Result<()> {
        while !self.ring.submission().is_empty() {
            self.submit()?;
        }
        self.held
            .extend(self.ring.completion().map(|entry| (entry.user_data(), entry.result(), entry.flags())));
        Ok(())
    }

    /// A send of the batch under way failed.
    #[cold]
    fn refused(&mut self, batch: &TxBatch, slot: usize, errno: i32) {
        let Some(run) = batch.runs().get(slot) else { return };
        let index = usize::from(run.path.socket);
        let Some(socket) = self.sockets.get_mut(index) else { return };
        self.counters.retract(run);
        match transmit::verdict(errno, transmit::is_segmented(run)) {
            verdict @ (Verdict::Again | Verdict::Unsegmentable) => {
                if verdict == Verdict::Unsegmentable {
                    self.counters.unsegmented += 1;
                    socket.refused();
                    if let Some((_, refused)) = self.segmented.get_mut(index) {
                        *refused += 1;
                    }
                }
                transmit::send_apart(socket, run, batch.bytes(run), &mut self.counters);
            }
            verdict => self.counters.unsent(run, verdict),
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // What was queued still leaves; then nothing may write into the pool any more before it goes.
        let _ = self.submit();
        let cancelled = self
            .ring
            .submitter()
            .register_sync_cancel(Some(Timespec::from(PARTING)), CancelBuilder::any().all());
        if let Err(e) = cancelled
            && e.kind() != io::ErrorKind::NotFound
        {
            self.pool.leak();
        }
        // The kernel takes a closed ring apart at its leisure; the sockets are to be free now.
        let _ = self.enter(Some(Duration::ZERO));
        let _ = self.ring.submitter().unregister_files();
    }
}

/// A ring whose work is done in our own enter and nowhere else, where the kernel knows that (6.1); else as near as
/// can be.
fn build() -> io::Result<(IoUring, &'static str)> {
    let deferred = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .dontfork()
        .build(ENTRIES);
    match deferred {
        Ok(ring) => Ok((ring, "deferred task work")),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            let ring =
                IoUring::builder().setup_coop_taskrun().setup_submit_all().setup_clamp().build(ENTRIES)?;
            Ok((ring, "cooperative task work"))
        }
        Err(e) => Err(e),
    }
}

/// Ends of a wait that are no failures.
fn tolerate(entered: io::Result<usize>) -> io::Result<()> {
    match entered {
        Ok(_) => Ok(()),
        Err(e) => match e.raw_os_error() {
            // Time is up; a signal; completions must be taken first; no memory right now.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(e),
        },
    }
}

/// Takes apart what a multishot `recvmsg` wrote: `struct io_uring_recvmsg_out` (lengths of name, control messages and
/// payload, and flags), then fields as long as the template says.
fn unpack(filled: &mut [u8]) -> Option<(SocketAddr, message::Arrival, &mut [u8])> {
    let (header, rest) = filled.split_first_chunk_mut::<16>()?;
    let (name, rest) = rest.split_first_chunk_mut::<NAME_LEN>()?;
    let (control, payload) = rest.split_first_chunk_mut::<CONTROL_LEN>()?;
    let field = |at: usize| header.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let (name_len, control_len, flags) = (field(0)?, field(4)?, field(12)?);
    if flags & libc::MSG_TRUNC as u32 != 0 {
        return None;
    }
    let remote = message::read_name(name.get(..name_len as usize)?)?;
    let arrival = message::read_control(control.get(..control_len as usize).unwrap_or_default());
    Some((remote, arrival, payload))
}

/// Tries on the loopback what the shards will do. Containers often refuse io_uring, and kernels before 6.0 know no
/// multishot `recvmsg`: the proof is in the doing. Says what is good about it, or why it cannot be.
///
/// On a thread of its own: what a closed ring leaves to clean up interrupts the system calls of whoever opened it.
pub(super) fn probe() -> Result<&'static str, String> {
    std::thread::spawn(try_out).join().unwrap_or_else(|_| Err("it cannot be tried".into()))
}

fn try_out() -> Result<&'static str, String> {
    let refused = |e: io::Error| match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "the system forbids it (kernel.io_uring_disabled or seccomp)".into()
        }
        Some(libc::ENOSYS) => "this kernel has none".into(),
        Some(libc::ENOMEM) => "the limit on locked memory is too low (ulimit -l)".into(),
        _ => format!("it fails: {e}"),
    };
    let socket = sockets::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], 1)
        .map_err(|e| format!("it cannot be tried: {e}"))?;
    let here = socket.addresses().first().copied();
    let (Some(here), Some(shard)) = (here, socket.into_shards().pop()) else {
        return Err("no socket".into());
    };
    let mut uring = Uring::new(shard, Waker::new().map_err(refused)?).map_err(refused)?;
    let mut batch = TxBatch::new();
    let path = Path { socket: 0, local: here.ip(), remote: here };
    batch.push(path, &[1; 200]);
    batch.push(path, &[2; 200]);
    uring.send(&mut batch);
    let start = Instant::now();
    let mut came = 0;
    while came < 2 && start.elapsed() < PARTING {
        uring.turn(Some(PARTING), &mut |_, _| came += 1).map_err(refused)?;
    }
    if came < 2 {
        Err("datagrams sent with it do not arrive: the kernel is older than 6.0".into())
    } else {
        Ok(uring.flavour)
    }
}
