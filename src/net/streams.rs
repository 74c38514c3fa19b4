//! TCP connections that carry what datagrams would (RFC 6544, framed as RFC 4571 has it), beside the sockets of a shard.
//!
//! They are non-blocking and watched together, by one descriptor that ends the driver's wait. What a connection does not
//! take at once waits in a queue of its own, of [`QUEUE`] bytes at most, of which the router is told so that pictures stay
//! where they are meanwhile ([`Streams::poll_clog`]). Packets are queued or dropped whole: a stream that lost its frames'
//! borders would be lost itself. Nobody waits for anybody: a reader that is slow fills its own queue and no other.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Counters, sockets, thread, transmit};
use crate::batch::{Path, RUN_SEGMENTS, Run, STREAMS, TxBatch};
use crate::units::Instant;
use crate::wire::framed::{self, Decoder, HEADER};

/// Connections of the server at once, and those among them to which nothing was sent yet: who has shown no password does
/// not keep others out.
const MOST: usize = 4096;
const MOST_UNPROVEN: usize = 512;
/// How long a connection may be without a valid check, ...
const PROVE_WITHIN: Duration = Duration::from_secs(10);
/// ... and without anything after that: a peer checks every few seconds (RFC 7675).
const SILENT_FOR: Duration = Duration::from_secs(60);
/// What waits for a connection at most: pictures as the pacer gives them, and three times as much of sound and reports.
const QUEUE: usize = 64 * 1024;
/// Of what was not sent yet the kernel takes no more than this: there it could not be overtaken, nor left out.
const UNSENT: i32 = 16 * 1024;
/// Read from one connection in one turn.
const READ: usize = 64 * 1024;
/// Connections looked at in one turn.
const EVENTS: usize = 128;
/// How often silent ones are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Which numbers of connections are taken; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    taken: Vec<bool>,
    unproven: usize,
}

impl Places {
    fn with<R>(&self, work: impl FnOnce(&mut Taken) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lowest number that is free.
    fn take(&self) -> Option<Place> {
        let number = self.with(|all| {
            if all.unproven >= MOST_UNPROVEN {
                return None;
            }
            let free = all.taken.iter().position(|taken| !taken).unwrap_or(all.taken.len());
            if free >= MOST {
                return None;
            }
            if free == all.taken.len() {
                all.taken.push(false);
            }
            all.unproven += 1;
            all.taken.iter_mut().skip(free).take(1).for_each(|taken| *taken = true);
            Some(free)
        })?;
        Some(Place { places: self.clone(), number, proven: false })
    }
}

/// A connection's number, free again when it is dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    number: usize,
    proven: bool,
}

impl Place {
    fn prove(&mut self) {
        if !std::mem::replace(&mut self.proven, true) {
            self.places.with(|all| all.unproven -= 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.prove();
        self.places.with(|all| {
            all.taken.iter_mut().skip(self.number).take(1).for_each(|taken| *taken = false);
        });
    }
}

/// A connection, on its way to a shard or there.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    place: Place,
    path: Path,
    decoder: Decoder,
    queue: VecDeque<u8>,
    opened: Instant,
    heard: Instant,
    /// Whether the router is to hear how its queue is.
    listed: bool,
    /// Whether we are told when it takes more.
    waits: bool,
}

impl Stream {
    /// Takes over a connection that a peer opened; an error where there are too many.
    pub fn new(socket: TcpStream, places: &Places) -> io::Result<Self> {
        let place = places.take().ok_or(io::ErrorKind::QuotaExceeded)?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        sockets::set(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, UNSENT)?;
        // A socket for both families shows IPv4 addresses as IPv6 ones, of which the peer knows nothing.
        let (local, remote) = (socket.local_addr()?, socket.peer_addr()?);
        let path = Path {
            socket: STREAMS + place.number as u16,
            local: local.ip().to_canonical(),
            remote: SocketAddr::new(remote.ip().to_canonical(), remote.port()),
        };
        let now = thread::now();
        let (decoder, queue) = (Decoder::default(), VecDeque::new());
        Ok(Self { socket, place, path, decoder, queue, opened: now, heard: now, listed: false, waits: false })
    }

    /// Where it leads.
    pub const fn path(&self) -> Path {
        self.path
    }

    fn is_clogged(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether it has been silent for too long.
    fn is_over(&self, now: Instant) -> bool {
        let unproven = !self.place.proven && now.since(self.opened) > PROVE_WITHIN;
        unproven || now.since(self.heard) > SILENT_FOR
    }

    /// Gives the kernel a run of packets, and queues what it does not take.
    fn send(&mut self, run: &Run, bytes: &[u8], counters: &mut Counters) -> io::Result<()> {
        self.place.prove();
        let mut given = if self.is_clogged() { 0 } else { self.write(run, bytes)? };
        counters.runs_out += 1;
        for packet in bytes.chunks(run.segment.max(1)) {
            let Some(head) = framed::header(packet.len()) else { continue };
            let whole = HEADER + packet.len();
            // What was begun is brought to its end.
            if given == 0 && self.queue.len() + whole > QUEUE {
                counters.full += 1;
                continue;
            }
            let done = given.min(whole);
            given -= done;
            self.queue.extend(head.iter().chain(packet).skip(done));
            counters.datagrams_out += 1;
            counters.bytes_out += packet.len() as u64;
        }
        Ok(())
    }

    /// Gives the kernel as much of a run as it takes now; how many bytes, with those that stand between the packets.
    fn write(&self, run: &Run, bytes: &[u8]) -> io::Result<usize> {
        let mut heads = [[0; HEADER]; RUN_SEGMENTS];
        let packets =
            || bytes.chunks(run.segment.max(1)).filter(|packet| framed::header(packet.len()).is_some());
        for (head, packet) in heads.iter_mut().zip(packets()) {
            *head = framed::header(packet.len()).unwrap_or_default();
        }
        let mut slices = [IoSlice::new(&[]); 2 * RUN_SEGMENTS];
        let mut count = 0;
        for (pair, (head, packet)) in slices.chunks_exact_mut(2).zip(heads.iter().zip(packets())) {
            pair.copy_from_slice(&[IoSlice::new(head), IoSlice::new(packet)]);
            count += 2;
        }
        let taken = tolerate((&self.socket).write_vectored(slices.get(..count).unwrap_or_default()))?;
        Ok(taken.unwrap_or(0))
    }

    /// Hands over the packets that came.
    fn read(
        &mut self,
        scratch: &mut [u8],
        counters: &mut Counters,
        rx: &mut impl FnMut(Path, &mut [u8]),
    ) -> io::Result<()> {
        let Some(len) = tolerate((&self.socket).read(scratch))? else { return Ok(()) };
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        counters.reads += 1;
        let path = self.path;
        let taken = self.decoder.take(scratch.get_mut(..len).unwrap_or_default(), &mut |packet| {
            counters.datagrams_in += 1;
            counters.bytes_in += packet.len() as u64;
            rx(path, packet);
        });
        taken.map_err(|framed::TooLong| io::ErrorKind::InvalidData.into())
    }

    /// Gives the kernel what waits.
    fn flush(&mut self) -> io::Result<()> {
        while self.is_clogged() {
            let (first, second) = self.queue.as_slices();
            let slices = [IoSlice::new(first), IoSlice::new(second)];
            match tolerate((&self.socket).write_vectored(&slices))? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(taken) => drop(self.queue.drain(..taken)),
                None => return Ok(()),
            }
        }
        // Most are never slow, and keep no memory for it.
        self.queue = VecDeque::new();
        Ok(())
    }
}

/// The connections of one shard.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// What watches them, once there is any.
    epoll: Option<OwnedFd>,
    /// Each at its number.
    streams: Vec<Option<Box<Stream>>>,
    count: usize,
    scratch: Vec<u8>,
    /// Those of whose queue the router is to hear.
    news: Vec<u16>,
    looked: Instant,
}

impl Streams {
    /// What becomes readable when any of them has something for us; `None` before there was any.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.epoll.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Takes a connection over.
    pub(super) fn adopt(&mut self, mut stream: Stream) -> io::Result<()> {
        let epoll = match &self.epoll {
            Some(epoll) => epoll,
            None => {
                self.scratch = vec![0; READ];
                self.epoll.insert(open()?)
            }
        };
        let number = stream.path.socket;
        stream.waits = stream.is_clogged();
        control(epoll, libc::EPOLL_CTL_ADD, &stream)?;
        let at = usize::from(number - STREAMS);
        if self.streams.len() <= at {
            self.streams.resize_with(at + 1, || None);
        }
        if let Some(seat) = self.streams.get_mut(at) {
            *seat = Some(Box::new(stream));
            self.count += 1;
        }
        Ok(())
    }

    /// Lets a connection go to another shard.
    pub(super) fn release(&mut self, path: Path) -> Option<Stream> {
        let at = usize::from(path.socket.checked_sub(STREAMS)?);
        let stream = self.streams.get_mut(at)?.take_if(|stream| stream.path == path)?;
        self.count -= 1;
        if let Some(epoll) = &self.epoll {
            // It was watched, so this cannot fail.
            let _ = control(epoll, libc::EPOLL_CTL_DEL, &stream);
        }
        Some(Stream { listed: false, ..*stream })
    }

    /// The next connection whose queue is no longer as the router knows it, and whether anything waits in it.
    pub(super) fn poll_clog(&mut self) -> Option<(Path, bool)> {
        while let Some(number) = self.news.pop() {
            if let Some(stream) = find(&mut self.streams, number) {
                stream.listed = false;
                return Some((stream.path, stream.is_clogged()));
            }
        }
        None
    }

    /// Hands over what came, and sends what waited.
    pub(super) fn drain(&mut self, counters: &mut Counters, rx: &mut impl FnMut(Path, &mut [u8])) {
        let Some(epoll) = self.epoll.as_ref().filter(|_| self.count > 0) else { return };
        let now = thread::now();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        let ready = ready(epoll, &mut events);
        for event in events.iter().take(ready) {
            let (number, events) = (event.u64 as u16, event.events);
            let Some(stream) = find(&mut self.streams, number) else { continue };
            let mut went = Ok(());
            if events & libc::EPOLLOUT as u32 != 0 {
                went = stream.flush();
                list(stream, &mut self.news);
            }
            if events & !(libc::EPOLLOUT as u32) != 0 {
                stream.heard = now;
                went = went.and_then(|()| stream.read(&mut self.scratch, counters, rx));
            }
            self.settle(number, went);
        }
        if now.since(self.looked) >= LOOK_EVERY {
            self.looked = now;
            for stream in &mut self.streams {
                self.count -= usize::from(stream.take_if(|stream| stream.is_over(now)).is_some());
            }
        }
    }

    /// Sends those runs of a batch that go to connections.
    pub(super) fn send_batch(&mut self, batch: &TxBatch, counters: &mut Counters) {
        for run in batch.runs().iter().filter(|run| run.path.is_stream()) {
            self.send(run, batch.bytes(run), counters);
        }
    }

    /// Sends a run of packets; what finds no room is dropped and counted.
    pub(super) fn send(&mut self, run: &Run, bytes: &[u8], counters: &mut Counters) {
        let number = run.path.socket;
        let stream = find(&mut self.streams, number).filter(|stream| stream.path == run.path);
        let Some(stream) = stream else {
            counters.failed += transmit::datagrams(run);
            return;
        };
        let went = stream.send(run, bytes, counters);
        if stream.is_clogged() {
            list(stream, &mut self.news);
        }
        self.settle(number, went);
    }

    /// Closes a connection that failed; else sees to it that we hear when it takes what waits.
    fn settle(&mut self, number: u16, mut went: io::Result<()>) {
        let (Some(epoll), Some(stream)) = (&self.epoll, find(&mut self.streams, number)) else { return };
        if went.is_ok() && stream.waits != stream.is_clogged() {
            stream.waits = stream.is_clogged();
            went = control(epoll, libc::EPOLL_CTL_MOD, stream);
        }
        if went.is_err() {
            let seat = self.streams.get_mut(usize::from(number - STREAMS));
            self.count -= usize::from(seat.and_then(Option::take).is_some());
        }
    }
}

fn find(streams: &mut [Option<Box<Stream>>], number: u16) -> Option<&mut Stream> {
    streams.get_mut(usize::from(number.checked_sub(STREAMS)?))?.as_deref_mut()
}

fn list(stream: &mut Stream, news: &mut Vec<u16>) {
    if !std::mem::replace(&mut stream.listed, true) {
        news.push(stream.path.socket);
    }
}

/// What a call did, if it did anything.
fn tolerate(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(e) => Err(e),
    }
}

fn open() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Begins to watch a connection, watches it for other things, or ceases to.
fn control(epoll: &OwnedFd, what: i32, stream: &Stream) -> io::Result<()> {
    let out = if stream.waits { libc::EPOLLOUT } else { 0 };
    let events = (libc::EPOLLIN | libc::EPOLLRDHUP | out) as u32;
    let mut event = libc::epoll_event { events, u64: stream.path.socket.into() };
    // SAFETY: `event` outlives the call, which only reads it; both descriptors are open.
    let done = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), what, stream.socket.as_raw_fd(), &raw mut event) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Which connections have something for us, without waiting; how many.
fn ready(epoll: &OwnedFd, events: &mut [libc::epoll_event]) -> usize {
    let len = i32::try_from(events.len()).unwrap_or(i32::MAX);
    // SAFETY: `events` is an exclusive slice of `len` entries at least.
    let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), len, 0) };
    usize::try_from(count).unwrap_or(0)
}
