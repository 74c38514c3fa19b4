//! The endpoint: one task drives all connections, on the sans-I/O state machines of `quinn-proto`.
//!
//! Each turn takes what arrived and what is due, lets the sessions that this concerns say what they have to say, and sends
//! the packets of all of them together. A connection so needs no task, no queue and no timer of its own, and what a
//! session answers at once goes along with the acknowledgement of what it was asked.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn_proto::{
    ConnectionError, ConnectionHandle, DatagramEvent, Dir, EndpointConfig, Event, Incoming, ServerConfig,
    StreamEvent, StreamId, VarInt,
};
use tokio::time::{Sleep, sleep_until};
use tracing::error;

use super::connection::Connection;
use crate::signal::quic_socket::{Arrived, QuicSocket};
use crate::sorted::Set;

/// Datagrams taken in one turn.
const TURN: usize = 256;

/// How much an endpoint bears.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once, those in their handshake included.
    pub connections: usize,
    /// Handshakes at once, from which on clients must first prove their address (RFC 9000 section 8.1.2), ...
    pub trusted: usize,
    /// ... and at most.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub patience: Duration,
}

/// One connection.
pub(super) struct Entry {
    pub(super) proto: quinn_proto::Connection,
    /// Who waits for anything of it: its one session.
    pub(super) waiting: Option<Waker>,
    /// Why it is over.
    pub(super) over: Option<ConnectionError>,
    /// When the handshake must be done; `None` once it is.
    patience: Option<Instant>,
    /// When it is looked at again at the latest.
    timer: Option<Instant>,
    /// Whether it is among those that this turn looks at.
    touched: bool,
    /// Whether a session holds it.
    held: bool,
    /// Nothing more is to be done.
    drained: bool,
}

impl Entry {
    /// Whether its state machine may still be asked.
    pub(super) const fn is_live(&self) -> bool {
        !self.drained
    }

    pub(super) fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn end(&mut self, why: ConnectionError) {
        self.over.get_or_insert(why);
        self.wake();
    }
}

/// What the endpoint's task shares with the sessions, and with nobody else: the lock is hardly ever waited for, since all
/// of them run on the control plane's thread.
pub(super) struct Core {
    endpoint: quinn_proto::Endpoint,
    bounds: Bounds,
    /// By `ConnectionHandle`.
    entries: Vec<Option<Box<Entry>>>,
    open: usize,
    handshaking: usize,
    /// When to look at which connection. Only a time that comes earlier is entered at once: those that come later are
    /// found out when the entered one has come.
    timers: Set<(Instant, usize)>,
    /// Connections that something happened to.
    touched: Vec<usize>,
    /// Which one is being worked on: a panic is its own.
    current: Option<usize>,
    /// Established, and not yet handed to a session.
    established: Vec<usize>,
    driver: Option<Waker>,
    idle: Vec<Waker>,
    closed: bool,
}

/// An endpoint; its clones are the same.
#[derive(Clone)]
pub struct Endpoint(Arc<Mutex<Core>>);

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(super) fn new(config: EndpointConfig, server: ServerConfig, bounds: Bounds) -> Self {
        let endpoint = quinn_proto::Endpoint::new(Arc::new(config), Some(Arc::new(server)), false, None);
        Self(Arc::new(Mutex::new(Core {
            endpoint,
            bounds,
            entries: Vec::new(),
            open: 0,
            handshaking: 0,
            timers: Set::new(),
            touched: Vec::new(),
            current: None,
            established: Vec::new(),
            driver: None,
            idle: Vec::new(),
            closed: false,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all connections, and refuses new ones from now on.
    pub fn close(&self, code: u32, reason: &'static [u8]) {
        let mut core = self.lock();
        core.closed = true;
        for index in 0..core.entries.len() {
            core.close(index, VarInt::from_u32(code), Bytes::from_static(reason));
        }
    }

    /// Waits until all connections are gone, and their clients have had time to hear why.
    pub async fn wait_idle(&self) {
        poll_fn(|cx| {
            let mut core = self.lock();
            if core.open == 0 {
                return Poll::Ready(());
            }
            core.idle.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Drives the endpoint on `socket` for as long as anything can arrive, and runs `session` on each connection that a
    /// client established, in a task of its own.
    pub async fn drive<F, S>(self, mut socket: QuicSocket, session: F)
    where
        F: Fn(Connection) -> S,
        S: Future<Output = ()> + Send + 'static,
    {
        let mut work = Work {
            arrived: Vec::new(),
            packet: Vec::new(),
            sleep: Box::pin(sleep_until(Instant::now().into())),
        };
        while poll_fn(|cx| self.poll_work(cx, &mut socket, &mut work)).await {
            let established = self.lock().take_in(Instant::now(), &mut socket, &mut work);
            for index in established {
                tokio::spawn(session(Connection::new(self.clone(), index)));
            }
            turn_of_others().await;
            self.lock().send(Instant::now(), &mut socket, &mut work.packet);
            socket.flush();
        }
        self.lock().abandon();
    }

    /// Waits until there is something to do; false when nothing will arrive any more.
    fn poll_work(&self, cx: &mut Context<'_>, socket: &mut QuicSocket, work: &mut Work) -> Poll<bool> {
        match socket.poll_receive(cx, &mut work.arrived, TURN) {
            Poll::Ready(0) => return Poll::Ready(false),
            Poll::Ready(_) => return Poll::Ready(true),
            Poll::Pending => {}
        }
        let mut core = self.lock();
        if !core.touched.is_empty() {
            return Poll::Ready(true);
        }
        core.driver = Some(cx.waker().clone());
        let Some((due, _)) = core.timers.first().copied() else { return Poll::Pending };
        drop(core);
        if work.sleep.deadline().into_std() != due {
            work.sleep.as_mut().reset(due.into());
        }
        work.sleep.as_mut().poll(cx).map(|()| true)
    }
}

/// Lets the tasks run that wait to: what sessions answer goes along with what is sent next. Tokio's own way of it asks the
/// kernel for events, too.
async fn turn_of_others() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What the endpoint's task works with.
struct Work {
    arrived: Vec<Arrived>,
    /// Where a packet is written to.
    packet: Vec<u8>,
    sleep: Pin<Box<Sleep>>,
}

impl Core {
    /// The first half of a turn: what arrived and what is due. Returns the connections that await their session.
    fn take_in(&mut self, now: Instant, socket: &mut QuicSocket, work: &mut Work) -> Vec<usize> {
        for Arrived { path, bytes } in work.arrived.drain(..) {
            let local = Some(path.local).filter(|ip| !ip.is_unspecified());
            self.guarded(|core| {
                work.packet.clear();
                match core.endpoint.handle(now, path.remote, local, None, bytes, &mut work.packet) {
                    Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                        core.current = Some(handle.0);
                        if let Some(entry) = core.live(handle.0) {
                            entry.proto.handle_event(event);
                            core.touch(handle.0);
                        }
                    }
                    Some(DatagramEvent::NewConnection(incoming)) => {
                        core.admit(now, incoming, socket, &mut work.packet);
                    }
                    Some(DatagramEvent::Response(transmit)) => socket.push(&transmit, &work.packet),
                    None => {}
                }
            });
        }
        while let Some((due, index)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, index));
            self.guarded(|core| core.expire(now, index));
        }
        for at in 0..self.touched.len() {
            let Some(index) = self.touched.get(at).copied() else { break };
            self.guarded(|core| core.settle(index));
        }
        std::mem::take(&mut self.established)
    }

    /// The second half of a turn: the packets of all that were touched.
    fn send(&mut self, now: Instant, socket: &mut QuicSocket, packet: &mut Vec<u8>) {
        for index in std::mem::take(&mut self.touched) {
            self.guarded(|core| {
                core.settle(index);
                let Some(entry) = core.live(index) else { return };
                packet.clear();
                while let Some(transmit) = entry.proto.poll_transmit(now, 1, packet) {
                    socket.push(&transmit, packet);
                    packet.clear();
                }
            });
            if let Some(entry) = self.entry(index) {
                entry.touched = false;
            }
            self.arm(index);
            self.release(index);
        }
    }

    /// Takes a new client up, has it prove its address first, or refuses it.
    fn admit(&mut self, now: Instant, incoming: Incoming, socket: &mut QuicSocket, packet: &mut Vec<u8>) {
        let Bounds { connections, trusted, handshakes, patience } = self.bounds;
        packet.clear();
        if self.closed || self.open >= connections || self.handshaking >= handshakes {
            let transmit = self.endpoint.refuse(incoming, packet);
            return socket.push(&transmit, packet);
        }
        if self.handshaking >= trusted && !incoming.remote_address_validated() && incoming.may_retry() {
            if let Ok(transmit) = self.endpoint.retry(incoming, packet) {
                socket.push(&transmit, packet);
            }
            return;
        }
        let (ConnectionHandle(index), proto) = match self.endpoint.accept(incoming, now, packet, None) {
            Ok(accepted) => accepted,
            Err(refused) => {
                if let Some(transmit) = refused.response {
                    socket.push(&transmit, packet);
                }
                return;
            }
        };
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        let Some(place) = self.entries.get_mut(index) else { return };
        *place = Some(Box::new(Entry {
            proto,
            waiting: None,
            over: None,
            patience: Some(now + patience),
            timer: None,
            touched: false,
            held: false,
            drained: false,
        }));
        self.open += 1;
        self.handshaking += 1;
        self.touch(index);
    }

    /// A connection's time has come.
    fn expire(&mut self, now: Instant, index: usize) {
        self.current = Some(index);
        let Some(entry) = self.entry(index) else { return };
        entry.timer = None;
        if entry.drained {
            return;
        }
        entry.proto.handle_timeout(now);
        if entry.patience.is_some_and(|until| until <= now) {
            entry.proto.close(now, VarInt::from_u32(0), Bytes::new());
            self.shaken(index);
        }
        self.touch(index);
    }

    /// Takes what a connection has to say to the endpoint and to its session.
    fn settle(&mut self, index: usize) {
        self.current = Some(index);
        while let Some(entry) = self.entries.get_mut(index).and_then(Option::as_mut) {
            if entry.drained {
                return;
            }
            if let Some(event) = entry.proto.poll_endpoint_events() {
                if event.is_drained() {
                    // The endpoint hears of it once no session holds the connection, whose place is taken until then.
                    entry.drained = true;
                    entry.end(ConnectionError::LocallyClosed);
                    self.shaken(index);
                } else if let Some(event) = self.endpoint.handle_event(ConnectionHandle(index), event) {
                    entry.proto.handle_event(event);
                }
                continue;
            }
            let Some(event) = entry.proto.poll() else { return };
            match event {
                Event::Connected => {
                    entry.held = true;
                    self.established.push(index);
                    self.shaken(index);
                }
                Event::ConnectionLost { reason } => {
                    entry.end(reason);
                    self.shaken(index);
                }
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                    while let Some(stream) = entry.proto.streams().accept(Dir::Uni) {
                        discard(&mut entry.proto, stream);
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) if id.dir() == Dir::Uni => {
                    discard(&mut entry.proto, id);
                }
                Event::Stream(_) => entry.wake(),
                Event::DatagramReceived => while entry.proto.datagrams().recv().is_some() {},
                Event::HandshakeDataReady | Event::DatagramsUnblocked => {}
            }
        }
    }

    /// The handshake is over, well or not.
    fn shaken(&mut self, index: usize) {
        if self.entry(index).is_some_and(|entry| entry.patience.take().is_some()) {
            self.handshaking -= 1;
        }
    }

    /// Sees to it that a connection is looked at when it wants to be.
    fn arm(&mut self, index: usize) {
        let Some(entry) =
            self.entries.get_mut(index).and_then(Option::as_mut).filter(|entry| entry.is_live())
        else {
            return;
        };
        let Some(due) = entry.proto.poll_timeout().into_iter().chain(entry.patience).min() else { return };
        if entry.timer.is_some_and(|timer| timer <= due) {
            return;
        }
        if let Some(timer) = entry.timer.replace(due) {
            self.timers.remove(&(timer, index));
        }
        self.timers.insert((due, index));
    }

    /// Forgets a connection that is over and that nobody holds.
    fn release(&mut self, index: usize) {
        let Some(place) = self.entries.get_mut(index) else { return };
        let Some(gone) = place.take_if(|entry| entry.drained && !entry.held) else { return };
        if let Some(timer) = gone.timer {
            self.timers.remove(&(timer, index));
        }
        self.endpoint.handle_event(ConnectionHandle(index), quinn_proto::EndpointEvent::drained());
        self.open -= 1;
        if self.open == 0 {
            self.idle.drain(..).for_each(Waker::wake);
        }
    }

    /// Does `work`, and if it panics ends the connection that it was about and no other.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        self.current = None;
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_ok() {
            return;
        }
        error!("signalling over QUIC panicked; the connection that it was about is ended");
        if let Some(index) = self.current.take() {
            if let Some(entry) = self.live(index) {
                entry.drained = true;
                entry.end(ConnectionError::Reset);
            }
            self.shaken(index);
            self.touch(index);
        }
    }

    /// A connection, over or not.
    pub(super) fn entry(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut(index)?.as_deref_mut()
    }

    /// A connection whose state machine may still be asked.
    pub(super) fn live(&mut self, index: usize) -> Option<&mut Entry> {
        self.entry(index).filter(|entry| entry.is_live())
    }

    /// Has the next turn look at a connection.
    pub(super) fn touch(&mut self, index: usize) {
        let Some(entry) = self.entry(index) else { return };
        if !std::mem::replace(&mut entry.touched, true) {
            self.touched.push(index);
            if let Some(driver) = self.driver.take() {
                driver.wake();
            }
        }
    }

    /// Closes a connection from our side.
    pub(super) fn close(&mut self, index: usize, code: VarInt, reason: Bytes) {
        let Some(entry) = self.live(index) else { return };
        entry.proto.close(Instant::now(), code, reason);
        entry.end(ConnectionError::LocallyClosed);
        self.shaken(index);
        self.touch(index);
    }

    /// The session of a connection has ended.
    pub(super) fn let_go(&mut self, index: usize) {
        self.close(index, VarInt::from_u32(0), Bytes::new());
        if let Some(entry) = self.entry(index) {
            entry.held = false;
            entry.waiting = None;
        }
        self.release(index);
    }

    /// Nothing arrives any more: whoever waits is told.
    fn abandon(&mut self) {
        self.closed = true;
        for index in 0..self.entries.len() {
            if let Some(entry) = self.entry(index) {
                entry.drained = true;
                entry.end(ConnectionError::Reset);
            }
            self.shaken(index);
            self.release(index);
        }
    }
}

/// Takes and forgets what a client says on a stream that nobody reads.
fn discard(proto: &mut quinn_proto::Connection, stream: StreamId) {
    let mut stream = proto.recv_stream(stream);
    if let Ok(mut chunks) = stream.read(true) {
        while let Ok(Some(_)) = chunks.next(usize::MAX) {}
        // What is owed to the client for it is sent with this turn's packets.
        let _ = chunks.finalize().should_transmit();
    }
}
