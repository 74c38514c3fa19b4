//! The media port as signalling meets it: real sockets and real shards, which carry QUIC and no media.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace::batch::{Path, TxBatch};
use millrace::net::{self, Choice};
use millrace::router::command::Command;
use millrace::router::counters::Counters;
use millrace::router::event::Event;
use millrace::router::id::{SessionId, ShardId};
use millrace::shard::{Core, ShardConfig, Shards, Sinks};
use millrace::signal::quic_socket::QuicSocket;
use millrace::units::Instant;

/// A core without sessions: whatever is not QUIC ends here.
struct Empty(Arc<AtomicUsize>);

impl Core for Empty {
    type Peer = ();

    fn handle_datagram(&mut self, _: Instant, _: Path, _: &mut [u8]) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn handle_command(&mut self, _: Instant, _: Command) {}
    fn handle_peer(&mut self, _: Instant, _: ShardId, (): ()) {}
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }
    fn poll_transmit(&mut self, _: Instant, _: &mut TxBatch) -> bool {
        false
    }
    fn poll_peer(&mut self) -> Option<(ShardId, ())> {
        None
    }
    fn poll_event(&mut self) -> Option<Event> {
        None
    }
    fn suspect(&self) -> Option<SessionId> {
        None
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// An open port.
pub(crate) struct Door {
    pub(crate) shards: Shards,
    pub(crate) addresses: Vec<SocketAddr>,
    strays: Arc<AtomicUsize>,
}

impl Door {
    pub(crate) fn open(io: &Choice, listen: &[&str], shards: usize) -> (Self, QuicSocket) {
        let listen: Vec<SocketAddr> = listen.iter().map(|l| l.parse().expect("an address")).collect();
        let sockets = net::bind(&listen, shards).expect("free ports");
        let addresses = sockets.addresses();
        let (socket, intake) = QuicSocket::new(&sockets).expect("a socket");
        let (shards, seats) = Shards::new(shards).expect("shards");
        let strays = Arc::new(AtomicUsize::new(0));
        let sinks = |_| {
            let intake = intake.clone();
            Sinks { event: Box::new(|_| {}), quic: Box::new(move |path, bytes| intake.deliver(path, bytes)) }
        };
        let config = ShardConfig { sockets, io: io.clone(), pin: false };
        seats.start_with(config, |_| Empty(strays.clone()), sinks).expect("they start");
        (Self { shards, addresses, strays }, socket)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shards.stop();
        let strays = self.strays.load(Ordering::Relaxed);
        assert!(strays == 0 || std::thread::panicking(), "{strays} datagrams were not recognised as QUIC");
    }
}
