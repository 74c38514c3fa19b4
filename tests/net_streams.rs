//! TCP connections beside the sockets of both drivers: packets come and go as if they were datagrams, and who does not read
//! loses whole packets, and nobody else any.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use millrace::batch::{Path, TxBatch};
use millrace::net::{self, Choice, Driver, Io, Places, Stream, Waker};

/// Generous: only a test that fails waits this long.
const LONG: Duration = Duration::from_secs(20);

/// Which drivers this host can test.
fn choices() -> Vec<Choice> {
    let mut choices = vec![Choice::probe(Io::Mmsg).expect("the portable driver is always there")];
    match Choice::probe(Io::Uring) {
        Ok(choice) => choices.push(choice),
        Err(refused) => eprintln!("not tested here: {refused}"),
    }
    choices
}

fn driver(choice: &Choice) -> Driver {
    let sockets = net::bind(&["127.0.0.1:0".parse().expect("an address")], 1).expect("a free port");
    Driver::open(choice, sockets.into_shards().remove(0), Waker::new().expect("an eventfd"))
        .expect("the driver")
}

/// A peer, and its connection as the server has it.
fn connect(places: &Places) -> (TcpStream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("a connection");
    peer.set_read_timeout(Some(LONG)).expect("a timeout");
    peer.set_nodelay(true).expect("an option");
    let (socket, _) = listener.accept().expect("a connection");
    (peer, Stream::new(socket, places).expect("room"))
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes()[..], packet].concat()
}

/// The next packet that the peer gets.
fn receive(peer: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    peer.read_exact(&mut head).expect("a length");
    let mut packet = vec![0; usize::from(u16::from_be_bytes(head))];
    peer.read_exact(&mut packet).expect("a packet");
    packet
}

/// Turns until `count` packets came.
fn collect(driver: &mut Driver, count: usize) -> Vec<(Path, Vec<u8>)> {
    let (start, mut came) = (Instant::now(), Vec::new());
    while came.len() < count && start.elapsed() < LONG {
        let rx = &mut |path, bytes: &mut [u8]| came.push((path, bytes.to_vec()));
        driver.turn(Some(LONG), rx).expect("a turn");
    }
    assert_eq!(came.len(), count, "packets that came");
    came
}

fn send(driver: &mut Driver, path: Path, packets: &[Vec<u8>]) {
    let mut batch = TxBatch::new();
    for packet in packets {
        assert!(batch.push(path, packet));
    }
    driver.send(&mut batch);
    assert!(batch.is_empty());
}

#[test]
fn packets_come_in_however_they_are_cut_and_go_out_in_runs() {
    for choice in choices() {
        let (mut driver, places) = (driver(&choice), Places::default());
        let (mut peer, stream) = connect(&places);
        let path = stream.path();
        assert!(path.is_stream());
        assert_eq!(path.remote, peer.local_addr().expect("bound"), "{choice}");
        driver.adopt(stream).expect("watched");
        let packets = [vec![1; 20], vec![2; 1200], vec![3; 5]];
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| framed(packet)).collect();
        for piece in bytes.chunks(100) {
            peer.write_all(piece).expect("sent");
            driver.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
        }
        peer.write_all(&bytes).expect("sent");
        let came = collect(&mut driver, 3);
        assert_eq!(came.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>(), packets, "{choice}");
        assert!(came.iter().all(|(from, _)| *from == path));

        let answers = [vec![4; 1000], vec![5; 1000], vec![6; 300], vec![7; 1100]];
        send(&mut driver, path, &answers);
        for answer in &answers {
            assert_eq!(receive(&mut peer), *answer, "{choice}");
        }
        let counters = driver.counters();
        assert_eq!((counters.datagrams_out, counters.bytes_out, counters.failed), (4, 3400, 0), "{choice}");
    }
}

#[test]
fn who_does_not_read_loses_whole_packets_and_others_none() {
    for choice in choices() {
        let (mut driver, places) = (driver(&choice), Places::default());
        let ((mut slow, one), (mut quick, other)) = (connect(&places), connect(&places));
        let (to_slow, to_quick) = (one.path(), other.path());
        driver.adopt(one).expect("watched");
        driver.adopt(other).expect("watched");
        let packet = |nth: u32| nth.to_be_bytes().into_iter().cycle().take(1000).collect::<Vec<u8>>();
        let (mut nth, mut clogs) = (0, Vec::new());
        while driver.counters().full < 100 {
            send(&mut driver, to_slow, &[packet(nth)]);
            send(&mut driver, to_quick, &[packet(nth)]);
            assert_eq!(receive(&mut quick), packet(nth), "{choice}: the quick one waits for nobody");
            clogs.extend(std::iter::from_fn(|| driver.poll_clog()));
            nth += 1;
            assert!(nth < 100_000, "{choice}: it takes without end");
        }
        assert!(clogs.iter().all(|clog| *clog == (to_slow, true)) && !clogs.is_empty(), "{choice}");
        // Now it reads: everything is a packet, and those that were taken are all there.
        let sent = driver.counters().datagrams_out - u64::from(nth);
        let reader = std::thread::spawn(move || (0..sent).map(|_| receive(&mut slow)).collect::<Vec<_>>());
        let start = Instant::now();
        let mut open = None;
        while open != Some((to_slow, false)) && start.elapsed() < LONG {
            driver.turn(Some(Duration::from_millis(10)), &mut |_, _| {}).expect("a turn");
            open = driver.poll_clog().or(open);
        }
        assert_eq!(open, Some((to_slow, false)), "{choice}: the router hears that it goes on");
        let got = reader.join().expect("all packets");
        for (at, got) in got.iter().enumerate() {
            assert_eq!(*got, packet(at as u32), "{choice}: the oldest are kept, in their order");
        }
    }
}

#[test]
fn a_connection_that_is_no_sequence_of_packets_is_closed_and_one_that_ends_is_let_go() {
    for choice in choices() {
        let (mut driver, places) = (driver(&choice), Places::default());
        let (mut mad, one) = connect(&places);
        let (gone, other) = connect(&places);
        let path = other.path();
        driver.adopt(one).expect("watched");
        driver.adopt(other).expect("watched");
        mad.write_all(&[0xff; 100]).expect("sent");
        drop(gone);
        let start = Instant::now();
        while driver.counters().failed == 0 && start.elapsed() < LONG {
            driver.turn(Some(Duration::from_millis(10)), &mut |_, _| {}).expect("a turn");
            send(&mut driver, path, &[vec![1; 10]]);
        }
        assert!(driver.counters().failed > 0, "{choice}: nobody is there");
        assert_eq!(mad.read(&mut [0; 10]).unwrap_or(0), 0, "{choice}: closed");
    }
}

#[test]
fn a_connection_moves_to_another_driver_with_all_that_waits() {
    for choice in choices() {
        let (mut here, mut there, places) = (driver(&choice), driver(&choice), Places::default());
        let (mut peer, stream) = connect(&places);
        let path = stream.path();
        here.adopt(stream).expect("watched");
        let whole = framed(&[9; 50]);
        let (first, second) = whole.split_at(20);
        peer.write_all(first).expect("sent");
        let start = Instant::now();
        while here.counters().reads == 0 && start.elapsed() < LONG {
            here.turn(Some(Duration::from_millis(10)), &mut |_, _| panic!("not whole yet")).expect("a turn");
        }
        there.adopt(here.release(path).expect("it is here")).expect("watched");
        assert!(here.release(path).is_none());
        peer.write_all(second).expect("sent");
        assert_eq!(collect(&mut there, 1), [(path, vec![9; 50])], "{choice}");
        send(&mut there, path, &[vec![8; 30]]);
        assert_eq!(receive(&mut peer), [8; 30], "{choice}");
    }
}

#[test]
fn who_has_shown_no_password_does_not_keep_others_out_for_ever() {
    let places = Places::default();
    let mut held: Vec<_> = Vec::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let refused = loop {
        let peer = TcpStream::connect(address).expect("a connection");
        let (socket, _) = listener.accept().expect("a connection");
        match Stream::new(socket, &places) {
            Ok(stream) => held.push((peer, stream)),
            Err(refused) => break refused,
        }
        assert!(held.len() <= 512, "there is a bound");
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::QuotaExceeded);
    let free = held.pop().map(|(_, stream)| stream.path().socket);
    let peer = TcpStream::connect(address).expect("a connection");
    let (socket, _) = listener.accept().expect("a connection");
    let again = Stream::new(socket, &places).expect("a place is free again");
    assert_eq!(Some(again.path().socket), free);
    drop((peer, again));
}
