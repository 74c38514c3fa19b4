//! What a packet costs in the two drivers: processor time of the thread, on the loopback, where sending includes the
//! kernel's delivery. `cargo bench --bench net`; the ratios hold between machines, the figures do not.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use millrace::batch::{Path, TxBatch};
use millrace::net::{self, Choice, Driver, Io, Sender, Waker, processor_time};

const SIZE: usize = 1200;
const ROUNDS: usize = 300;
const BEST_OF: usize = 5;

fn main() {
    println!("{SIZE}-byte packets, best of {BEST_OF}, ns of processor time per packet");
    for io in [Io::Mmsg, Io::Uring] {
        match Choice::probe(io) {
            Ok(choice) => measure(&choice),
            Err(refused) => println!("{refused}"),
        }
    }
}

fn measure(choice: &Choice) {
    println!("{choice}");
    for run in [1, 8, 32] {
        println!("  send, runs of {run:2}:    {:5.0}", best(|| send(choice, run)));
    }
    for run in [1, 8, 32] {
        println!("  receive, joined {run:2}:  {:5.0}", best(|| receive(choice, run)));
    }
}

fn best(measure: impl Fn() -> f64) -> f64 {
    (0..BEST_OF).map(|_| measure()).fold(f64::INFINITY, f64::min)
}

fn open(choice: &Choice) -> (Driver, SocketAddr) {
    let sockets = net::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], 1).expect("a free port");
    let address = sockets.addresses()[0];
    let shard = sockets.into_shards().remove(0);
    let driver = Driver::open(choice, shard, Waker::new().expect("an eventfd")).expect("a driver");
    (driver, address)
}

fn path(from: SocketAddr, to: SocketAddr) -> Path {
    Path { socket: 0, local: from.ip(), remote: to }
}

/// Batches of 192 packets in runs of `run`, each run to the next of many peers.
fn send(choice: &Choice, run: usize) -> f64 {
    let (mut driver, here) = open(choice);
    let peers: Vec<_> = (0..192 / run).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
    let addresses: Vec<_> = peers.iter().map(|peer| peer.local_addr().expect("bound")).collect();
    peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("nonblocking"));
    let mut batch = TxBatch::new();
    let mut took = Duration::ZERO;
    let mut buffer = [0; 2 * SIZE];
    for _ in 0..ROUNDS {
        for address in &addresses {
            for _ in 0..run {
                assert!(batch.push(path(here, *address), &[7; SIZE]));
            }
        }
        let start = processor_time();
        driver.send(&mut batch);
        // What the io_uring driver queued leaves with the next turn.
        driver.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
        took += processor_time() - start;
        for peer in &peers {
            while peer.recv(&mut buffer).is_ok() {}
        }
    }
    let sent = driver.counters().datagrams_out;
    assert_eq!(sent, (ROUNDS * (192 / run) * run) as u64);
    took.as_nanos() as f64 / sent as f64
}

/// 192 packets wait, sent in runs of `run`, which the kernel hands over as they were sent.
fn receive(choice: &Choice, run: usize) -> f64 {
    let (mut driver, here) = open(choice);
    let other = net::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], 1).expect("a free port");
    let sender = Sender::new(&other).expect("a sender");
    let bytes = vec![7; run * SIZE];
    let mut took = Duration::ZERO;
    let mut came = 0u64;
    // A driver that has not turned yet receives nothing by itself.
    driver.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
    for round in 1..=ROUNDS as u64 {
        for _ in 0..192 / run {
            sender.send(path(other.addresses()[0], here), &bytes, SIZE).expect("sent");
        }
        let wanted = round * (192 / run * run) as u64;
        let start = processor_time();
        while came < wanted {
            driver.turn(Some(Duration::from_secs(1)), &mut |_, _| came += 1).expect("a turn");
        }
        took += processor_time() - start;
    }
    took.as_nanos() as f64 / came as f64
}
