//! Both drivers over real sockets: they must do the same.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millrace::batch::{Path, TxBatch};
use millrace::net::{self, Choice, Driver, Io, Sender, ShardSockets, Waker};

/// Generous: only a test that fails waits this long.
const LONG: Duration = Duration::from_secs(20);

struct Rig {
    driver: Driver,
    waker: Waker,
    addresses: Vec<SocketAddr>,
}

/// A log in memory.
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which drivers this host can test.
fn choices() -> Vec<Choice> {
    let mut choices = vec![Choice::probe(Io::Mmsg).expect("the portable driver is always there")];
    match Choice::probe(Io::Uring) {
        Ok(choice) => choices.push(choice),
        Err(refused) => eprintln!("not tested here: {refused}"),
    }
    choices
}

fn rig_with(choice: &Choice, listen: &str, prepare: impl FnOnce(&ShardSockets)) -> Rig {
    let sockets = net::bind(&[listen.parse().expect("an address")], 1).expect("a free port");
    let addresses = sockets.addresses();
    let shard = sockets.into_shards().remove(0);
    prepare(&shard);
    let waker = Waker::new().expect("an eventfd");
    let driver = Driver::open(choice, shard, waker.clone()).expect("the driver");
    Rig { driver, waker, addresses }
}

fn rig(choice: &Choice, listen: &str) -> Rig {
    rig_with(choice, listen, |_| {})
}

impl Rig {
    /// Turns until `count` datagrams came.
    fn collect(&mut self, count: usize) -> Vec<(Path, Vec<u8>)> {
        let start = Instant::now();
        let mut came = Vec::new();
        while came.len() < count && start.elapsed() < LONG {
            let rx = &mut |path, bytes: &mut [u8]| came.push((path, bytes.to_vec()));
            self.driver.turn(Some(LONG), rx).expect("a turn");
        }
        assert_eq!(came.len(), count, "datagrams that came");
        came
    }

    /// Hands what `send` queued to the kernel, whenever the driver likes to do that.
    fn flush(&mut self) {
        self.driver.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
    }
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(LONG)).expect("a timeout");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65536];
    let (len, from) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(len);
    (buffer, from)
}

fn path_to(remote: SocketAddr) -> Path {
    Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
}

#[test]
fn a_datagram_comes_in_and_its_echo_goes_out() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        let peer = peer();
        for round in 0..100u8 {
            peer.send_to(&[round; 33], rig.addresses[0]).expect("sent");
            let (path, bytes) = rig.collect(1).remove(0);
            assert_eq!(
                (path, bytes.as_slice()),
                (path_to(address(&peer)), [round; 33].as_slice()),
                "{choice}"
            );
            let mut batch = TxBatch::new();
            batch.push(path, &bytes);
            rig.driver.send(&mut batch);
            assert!(batch.is_empty());
            rig.flush();
            assert_eq!(receive(&peer), (bytes, rig.addresses[0]), "{choice}");
        }
    }
}

#[test]
fn a_run_arrives_as_the_datagrams_it_was_made_of() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        let peer = peer();
        let sizes = [1200, 1200, 1200, 1200, 1200, 1200, 1200, 700];
        let mut batch = TxBatch::new();
        for (nth, size) in sizes.into_iter().enumerate() {
            batch.push(path_to(address(&peer)), &vec![nth as u8; size]);
        }
        assert_eq!(batch.runs().len(), 1);
        rig.driver.send(&mut batch);
        rig.flush();
        for (nth, size) in sizes.into_iter().enumerate() {
            assert_eq!(receive(&peer).0, vec![nth as u8; size], "{choice}");
        }
        let counters = rig.driver.counters();
        assert_eq!((counters.runs_out, counters.datagrams_out, counters.bytes_out), (1, 8, 9100), "{choice}");
        assert_eq!((counters.full, counters.failed, counters.unsegmented), (0, 0, 0), "{choice}");
    }
}

#[test]
fn joined_datagrams_are_split_again() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        let other = net::bind(&["127.0.0.1:0".parse().expect("an address")], 1).expect("a free port");
        let sender = Sender::new(&other).expect("a sender");
        let bytes: Vec<u8> = (0..50u8).flat_map(|nth| [nth; 1000]).chain([99; 10]).collect();
        sender.send(path_to(rig.addresses[0]), &bytes, 1000).expect("sent");
        let came = rig.collect(51);
        for (nth, (path, bytes)) in came.iter().enumerate() {
            assert_eq!(path.remote, other.addresses()[0]);
            let expected = if nth == 50 { vec![99; 10] } else { vec![nth as u8; 1000] };
            assert_eq!(*bytes, expected, "{choice}");
        }
        assert!(rig.driver.counters().reads < 51, "{choice}: {:?}", rig.driver.counters());
    }
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    for choice in choices() {
        let mut rig = rig(&choice, "0.0.0.0:0");
        let port = rig.addresses[0].port();
        let peer = peer();
        for asked in [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 1]] {
            let asked = SocketAddr::from((asked, port));
            peer.send_to(b"who?", asked).expect("sent");
            let (path, _) = rig.collect(1).remove(0);
            assert_eq!(path.local, asked.ip(), "{choice}");
            let mut batch = TxBatch::new();
            batch.push(path, b"me");
            batch.push(path, b"me");
            rig.driver.send(&mut batch);
            rig.flush();
            assert_eq!(receive(&peer).1, asked, "{choice}");
            assert_eq!(receive(&peer).1, asked, "{choice}");
        }
    }
}

#[test]
fn ipv6_answers_from_the_address_that_was_asked() {
    for choice in choices() {
        let Ok(peer) = UdpSocket::bind("[::1]:0") else { return };
        peer.set_read_timeout(Some(LONG)).expect("a timeout");
        let mut rig = rig(&choice, "[::]:0");
        let asked: SocketAddr = format!("[::1]:{}", rig.addresses[0].port()).parse().expect("an address");
        peer.send_to(b"who?", asked).expect("sent");
        let (path, _) = rig.collect(1).remove(0);
        assert_eq!((path.local, path.remote), (asked.ip(), address(&peer)), "{choice}");
        let mut batch = TxBatch::new();
        for _ in 0..3 {
            batch.push(path, &[6; 500]);
        }
        rig.driver.send(&mut batch);
        rig.flush();
        for _ in 0..3 {
            assert_eq!(receive(&peer), (vec![6; 500], asked), "{choice}");
        }
    }
}

#[test]
fn a_wake_up_ends_the_wait() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        for round in 0..200 {
            let waker = rig.waker.clone();
            let start = Instant::now();
            let other = std::thread::spawn(move || waker.wake());
            rig.driver.turn(Some(LONG), &mut |_, _| panic!("nobody sent")).expect("a turn");
            assert!(start.elapsed() < LONG / 2, "{choice}: round {round}");
            other.join().expect("woke");
        }
    }
}

#[test]
fn a_wake_up_before_the_wait_is_not_lost() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        for _ in 0..100 {
            let start = Instant::now();
            rig.waker.wake();
            rig.waker.wake();
            rig.driver.turn(Some(LONG), &mut |_, _| panic!("nobody sent")).expect("a turn");
            assert!(start.elapsed() < LONG / 2, "{choice}");
        }
    }
}

#[test]
fn the_wait_ends_at_the_timeout() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        // The first turns may end early: a driver may come round once to settle itself.
        rig.flush();
        rig.flush();
        let wait = Duration::from_millis(60);
        let start = Instant::now();
        rig.driver.turn(Some(wait), &mut |_, _| panic!("nobody sent")).expect("a turn");
        let took = start.elapsed();
        assert!(took >= wait && took < LONG / 2, "{choice}: {took:?}");
    }
}

#[test]
fn many_runs_to_many_peers_leave_in_order() {
    for choice in choices() {
        let mut rig = rig(&choice, "0.0.0.0:0");
        let peers: Vec<_> = (0..64).map(|_| peer()).collect();
        let mut batch = TxBatch::new();
        for round in 0..3u8 {
            for peer in &peers {
                batch.push(path_to(address(peer)), &[round; 300]);
                batch.push(path_to(address(peer)), &[round + 100; 300]);
            }
        }
        // More than one system call takes.
        assert_eq!(batch.runs().len(), 192);
        rig.driver.send(&mut batch);
        rig.flush();
        for peer in &peers {
            for round in 0..3u8 {
                assert_eq!(receive(peer).0, [round; 300], "{choice}");
                assert_eq!(receive(peer).0, [round + 100; 300], "{choice}");
            }
        }
        assert_eq!(rig.driver.counters().datagrams_out, 384, "{choice}");
    }
}

#[test]
fn where_segmentation_is_refused_each_datagram_goes_alone_and_the_log_says_so_once() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || Lines(lines.clone())).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for choice in choices() {
        // A socket without checksums may not segment (udp(7)).
        let mut rig = rig_with(&choice, "127.0.0.1:0", |sockets| {
            for socket in sockets.descriptors() {
                let (fd, on) = (socket.as_fd().as_raw_fd(), 1i32);
                // SAFETY: the option value is an int that outlives the call.
                let done = unsafe {
                    libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), 4)
                };
                assert_eq!(done, 0);
            }
        });
        let peer = peer();
        let mut batch = TxBatch::new();
        for round in 0..40u8 {
            for _ in 0..3 {
                batch.push(path_to(address(&peer)), &[round; 600]);
            }
            rig.driver.send(&mut batch);
            rig.flush();
            for _ in 0..3 {
                assert_eq!(receive(&peer).0, [round; 600], "{choice}");
            }
        }
        let counters = rig.driver.counters();
        assert_eq!(counters.datagrams_out, 120, "{choice}");
        assert!((1..40).contains(&counters.unsegmented), "{choice}: it stops trying: {counters:?}");
    }
    let log = String::from_utf8(log.lock().expect("whole").clone()).expect("text");
    assert_eq!(log.matches("UDP_SEGMENT").count(), 1, "{log}");
}

#[test]
fn a_peer_that_is_gone_or_unreachable_harms_nobody() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        let gone = {
            let socket = peer();
            address(&socket)
        };
        let alive = peer();
        let mut batch = TxBatch::new();
        for round in 0..5u8 {
            // Nobody listens there, no route leads there from a loopback address, and IPv6 is not this socket's.
            batch.push(path_to(gone), b"hello?");
            batch.push(path_to(SocketAddr::from(([192, 0, 2, 1], 9))), b"hello?");
            batch.push(path_to("[::1]:9".parse().expect("an address")), b"hello?");
            batch.push(Path { socket: 7, ..path_to(gone) }, b"hello?");
            batch.push(path_to(address(&alive)), &[round]);
            rig.driver.send(&mut batch);
            rig.flush();
            assert_eq!(receive(&alive).0, [round], "{choice}");
        }
        alive.send_to(b"still there", rig.addresses[0]).expect("sent");
        assert_eq!(rig.collect(1)[0].1, b"still there", "{choice}");
        assert!(rig.driver.counters().failed >= 10, "{choice}: {:?}", rig.driver.counters());
    }
}

#[test]
fn the_largest_datagram_comes_whole() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        let peer = peer();
        let bytes: Vec<u8> = (0..65_507u32).map(|i| (i % 251) as u8).collect();
        for _ in 0..50 {
            peer.send_to(&bytes, rig.addresses[0]).expect("sent");
            assert!(rig.collect(1)[0].1 == bytes, "{choice}");
        }
    }
}

#[test]
fn a_burst_larger_than_all_buffers_comes_whole() {
    for choice in choices() {
        let mut rig = rig(&choice, "127.0.0.1:0");
        let peer = peer();
        for round in 0..5 {
            for nth in 0..200u8 {
                peer.send_to(&[nth; 100], rig.addresses[0]).expect("sent");
            }
            let came = rig.collect(200);
            let order: Vec<u8> = came.iter().map(|(_, bytes)| bytes[0]).collect();
            assert_eq!(order, (0..200).collect::<Vec<u8>>(), "{choice}: round {round}");
        }
    }
}

#[test]
fn a_choice_says_what_and_why() {
    let forced = Choice::probe(Io::Mmsg).expect("the portable driver");
    assert!(!forced.is_uring() && forced.to_string().contains("mmsg"), "{forced}");
    let auto = Choice::probe(Io::Auto).expect("auto always finds one");
    assert_eq!(auto.is_uring(), Choice::probe(Io::Uring).is_ok(), "{auto}");
}

const RTP: [u8; 40] = [0x80; 40];
/// A sender report, by its second byte.
const RTCP: [u8; 40] = {
    let mut bytes = [0x80; 40];
    bytes[1] = 200;
    bytes
};

#[test]
fn reports_come_on_the_path_of_the_media_and_media_takes_them_along() {
    for choice in choices() {
        for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
            let mut rig = rig(&choice, listen);
            let here = SocketAddr::from(([127, 0, 0, 1], rig.addresses[0].port()));
            let peer = peer();
            for _ in 0..20 {
                // Alone it is there at once; then reports rest.
                peer.send_to(&RTCP, here).expect("sent");
                assert_eq!(rig.collect(1), [(path_to(address(&peer)), RTCP.to_vec())], "{choice}");
                peer.send_to(&RTCP, here).expect("sent");
                peer.send_to(&RTP, here).expect("sent");
                let both = rig.collect(2);
                let expected = [RTP, RTCP].map(|bytes| (path_to(address(&peer)), bytes.to_vec()));
                assert!(expected.iter().all(|datagram| both.contains(datagram)), "{choice}: {both:?}");
            }
        }
    }
}

#[test]
fn all_of_a_flow_comes_to_one_shard_and_the_flows_to_all_of_them() {
    for choice in choices() {
        for (listen, from) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
            let sockets = net::bind(&[listen.parse().expect("an address")], 3).expect("a free port");
            let here = sockets.addresses()[0];
            let open =
                |shard| Driver::open(&choice, shard, Waker::new().expect("an eventfd")).expect("a driver");
            let mut drivers: Vec<_> = sockets.into_shards().into_iter().map(open).collect();
            let peers: Vec<_> = (0..60).map(|_| UdpSocket::bind(from).expect("a port")).collect();
            for peer in &peers {
                peer.send_to(&RTP, here).expect("sent");
                peer.send_to(&RTCP, here).expect("sent");
            }
            let start = Instant::now();
            let mut came: Vec<Vec<SocketAddr>> = vec![vec![]; 3];
            while came.iter().map(Vec::len).sum::<usize>() < 120 && start.elapsed() < LONG {
                for (driver, came) in drivers.iter_mut().zip(&mut came) {
                    let rx = &mut |path: Path, _: &mut [u8]| came.push(path.remote);
                    driver.turn(Some(Duration::ZERO), rx).expect("a turn");
                }
            }
            for peer in &peers {
                let at = |came: &Vec<SocketAddr>| came.iter().filter(|from| **from == address(peer)).count();
                let counts: Vec<_> = came.iter().map(at).collect();
                assert!(counts.contains(&2), "{choice}: {counts:?}");
            }
            assert!(came.iter().all(|came| !came.is_empty()), "{choice}");
        }
    }
}
