//! The loop of the shards: what goes in comes out, in order, and one session's panic is its own.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace::batch::{Path, TxBatch};
use millrace::net::{self, Choice, Io};
use millrace::router::command::{Command, IceCredentials};
use millrace::router::counters::Counters;
use millrace::router::event::Event;
use millrace::router::id::{SessionId, ShardId, TrackId};
use millrace::router::speakers::{Activity, Talker};
use millrace::shard::{Core, ShardConfig, Shards, Sinks};
use millrace::units::Instant;

/// Generous: only a test that fails waits this long.
const LONG: Duration = Duration::from_secs(20);

/// Echoes media; takes the third byte for a session and panics for those in `cursed`; passes what begins with `p` on
/// to the next shard, which answers for it.
struct Echo {
    me: ShardId,
    shards: u8,
    cursed: Vec<u32>,
    out: Vec<(Path, Vec<u8>)>,
    to_peers: Vec<(ShardId, (Path, Vec<u8>))>,
    events: Vec<Event>,
    suspect: Option<u32>,
    timer: Instant,
    counters: Counters,
}

impl Echo {
    fn new(me: ShardId, shards: u8) -> Self {
        Self {
            me,
            shards,
            cursed: Vec::new(),
            out: Vec::new(),
            to_peers: Vec::new(),
            events: Vec::new(),
            suspect: None,
            timer: Instant::NEVER,
            counters: Counters::default(),
        }
    }
}

fn session(index: u32) -> SessionId {
    SessionId { index, generation: 0 }
}

impl Core for Echo {
    type Peer = (Path, Vec<u8>);

    fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.counters.datagrams_in += 1;
        self.suspect = Some(u32::from(datagram[2]));
        assert!(!self.cursed.contains(&u32::from(datagram[2])), "a defect of this session");
        match datagram[1] {
            b'p' => {
                let next = ShardId((self.me.0 + 1) % self.shards);
                self.to_peers.push((next, (path, datagram.to_vec())));
            }
            b't' => self.timer = now + Duration::from_millis(30),
            _ => self.out.push((path, datagram.to_vec())),
        }
    }

    fn handle_command(&mut self, _: Instant, command: Command) {
        match command {
            // Curses a session; RestartIce is the nearest there is.
            Command::RestartIce { session, .. } => self.cursed.push(session.index),
            Command::RemoveSession(session) => {
                self.cursed.retain(|cursed| *cursed != session.index);
                self.events.push(Event::Found(session));
            }
            Command::WithdrawTrack(track) => {
                let activity = Activity::default();
                self.events.push(Event::Talking(vec![Talker { track, activity }]));
            }
            other => panic!("not for this core: {other:?}"),
        }
    }

    fn handle_peer(&mut self, _: Instant, from: ShardId, (path, mut bytes): (Path, Vec<u8>)) {
        bytes[1] = b'0' + from.0;
        self.out.push((path, bytes));
    }

    fn handle_timeout(&mut self, now: Instant) {
        assert!(now >= self.timer);
        self.timer = Instant::NEVER;
        self.events.push(Event::Talking(Vec::new()));
    }

    fn poll_timeout(&self) -> Instant {
        self.timer
    }

    fn poll_transmit(&mut self, _: Instant, batch: &mut TxBatch) -> bool {
        self.suspect = None;
        for (path, bytes) in self.out.drain(..) {
            assert!(batch.push(path, &bytes));
        }
        false
    }

    fn poll_peer(&mut self) -> Option<(ShardId, Self::Peer)> {
        self.to_peers.pop()
    }

    fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() { None } else { Some(self.events.remove(0)) }
    }

    fn suspect(&self) -> Option<SessionId> {
        self.suspect.map(session)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

struct House {
    shards: Shards,
    address: SocketAddr,
    events: Receiver<(ShardId, Event)>,
    quic: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl House {
    fn open(io: &Choice, count: usize) -> Self {
        let sockets = net::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], count).expect("a free port");
        let address = sockets.addresses()[0];
        let (shards, seats) = Shards::new(count).expect("shards");
        assert!(!shards.turning(), "nothing turns yet");
        let (tell, events) = mpsc::channel();
        let quic = Arc::new(Mutex::new(Vec::new()));
        let sinks = |shard| {
            let (tell, quic) = (tell.clone(), quic.clone());
            Sinks {
                event: Box::new(move |event| tell.send((shard, event)).expect("the test listens")),
                quic: Box::new(move |_, bytes| quic.lock().expect("whole").push(bytes.to_vec())),
            }
        };
        let config = ShardConfig { sockets, io: io.clone(), pin: true };
        seats.start_with(config, |me| Echo::new(me, count as u8), sinks).expect("they start");
        Self { shards, address, events, quic }
    }

    fn event(&self) -> (ShardId, Event) {
        self.events.recv_timeout(LONG).expect("an event")
    }
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(LONG)).expect("a timeout");
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).expect("a datagram");
    buffer[..len].to_vec()
}

fn choices() -> Vec<Choice> {
    [Io::Mmsg, Io::Uring].into_iter().filter_map(|io| Choice::probe(io).ok()).collect()
}

#[test]
fn media_is_for_the_core_and_quic_for_the_endpoint() {
    for choice in choices() {
        let house = House::open(&choice, 2);
        let peers: Vec<_> = (0..20).map(|_| peer()).collect();
        for (nth, peer) in (0..20u8).zip(&peers) {
            peer.send_to(&[0xc0, b'e', nth], house.address).expect("sent");
            peer.send_to(&[0x80, b'e', nth], house.address).expect("sent");
        }
        for (nth, peer) in (0..20u8).zip(&peers) {
            assert_eq!(receive(peer), [0x80, b'e', nth], "{choice}");
        }
        assert!(house.shards.turning());
        house.shards.stop();
        assert_eq!(house.quic.lock().expect("whole").len(), 20);
        let stats = house.shards.stats();
        assert_eq!(stats.iter().map(|s| s.quic).sum::<u64>(), 20);
        assert_eq!(stats.iter().map(|s| s.net.datagrams_in).sum::<u64>(), 40);
        assert_eq!(stats.iter().map(|s| s.router.datagrams_in).sum::<u64>(), 20);
        assert_eq!(stats.iter().map(|s| s.net.datagrams_out).sum::<u64>(), 20);
        assert!(stats.iter().all(|s| s.turns > 0 && s.panics == 0));
    }
}

#[test]
fn shards_talk_to_each_other() {
    for choice in choices() {
        let house = House::open(&choice, 3);
        for _ in 0..30 {
            let peer = peer();
            peer.send_to(&[0x80, b'p', 1], house.address).expect("sent");
            let back = receive(&peer);
            assert!((b'0'..b'3').contains(&back[1]), "{choice}: another shard answers: {back:?}");
        }
        house.shards.stop();
    }
}

#[test]
fn commands_arrive_in_order_however_many() {
    for choice in choices() {
        let house = House::open(&choice, 2);
        for index in 0..5000 {
            house.shards.broadcast(|| Command::WithdrawTrack(TrackId { index, generation: 0 }));
        }
        let mut next = [0; 2];
        for _ in 0..10_000 {
            let (shard, Event::Talking(tracks)) = house.event() else { panic!("another event") };
            let next = &mut next[usize::from(shard.0)];
            assert_eq!(tracks[0].track.index, *next, "{choice}");
            *next += 1;
        }
        house.shards.stop();
        assert_eq!(house.shards.stats().iter().map(|s| s.commands).sum::<u64>(), 10_000);
    }
}

#[test]
fn a_timer_fires_without_any_datagram() {
    for choice in choices() {
        let house = House::open(&choice, 1);
        peer().send_to(&[0x80, b't', 1], house.address).expect("sent");
        assert!(matches!(house.event(), (_, Event::Talking(_))), "{choice}");
        house.shards.stop();
    }
}

#[test]
fn a_panic_ends_the_session_concerned_and_no_other() {
    for choice in choices() {
        let house = House::open(&choice, 1);
        let credentials = || IceCredentials { ufrag: "u".into(), pwd: "p".into() };
        house.shards.send(ShardId(0), Command::RestartIce { session: session(7), local: credentials() });
        let peer = peer();
        for round in 0..3u8 {
            peer.send_to(&[0x80, b'e', 6, round], house.address).expect("sent");
            assert_eq!(receive(&peer), [0x80, b'e', 6, round], "{choice}");
            peer.send_to(&[0x80, b'e', 7, round], house.address).expect("sent");
            if round == 0 {
                // The core is told to remove it, and the control plane hears of it.
                let first = house.event().1;
                let second = house.event().1;
                assert!(matches!(first, Event::Lost(id) if id == session(7)), "{first:?}");
                assert!(matches!(second, Event::Found(id) if id == session(7)), "{second:?}");
            } else {
                // No longer cursed, since it was removed.
                assert_eq!(receive(&peer), [0x80, b'e', 7, round], "{choice}");
            }
        }
        // A panic that no session is to blame for ends nothing either.
        house.shards.send(
            ShardId(0),
            Command::AnnounceTrack {
                track: TrackId { index: 1, generation: 0 },
                kind: millrace::router::command::Kind::Audio,
                home: ShardId(0),
            },
        );
        peer.send_to(&[0x80, b'e', 8], house.address).expect("sent");
        assert_eq!(receive(&peer), [0x80, b'e', 8], "{choice}");
        assert!(house.shards.turning());
        house.shards.stop();
        assert_eq!(house.shards.stats()[0].panics, 2, "{choice}");
    }
}

#[test]
fn a_stopped_house_gives_its_port_back() {
    for choice in choices() {
        let house = House::open(&choice, 2);
        house.shards.stop();
        house.shards.stop();
        // The kernel may take a moment to let go of what a ring held.
        let start = std::time::Instant::now();
        while let Err(e) = net::bind(&[house.address], 1) {
            assert!(start.elapsed() < LONG, "{choice}: {e}");
            std::thread::sleep(Duration::from_millis(5));
        }
        house.shards.send(ShardId(0), Command::RemoveSession(session(1)));
    }
}
