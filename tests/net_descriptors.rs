//! Nothing is left open behind. Alone in its process, since it counts what the process has open.

use millrace::net::{self, Choice, Driver, Io, Waker};
use millrace::shard::{ShardConfig, Shards, Sinks};
use millrace::signal::quic_socket::QuicSocket;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

#[test]
fn drivers_and_shards_leave_no_descriptor_behind() {
    let listen = ["127.0.0.1:0".parse().expect("an address")];
    let choices = || [Io::Mmsg, Io::Uring].into_iter().filter_map(|io| Choice::probe(io).ok());
    let round = || {
        for choice in choices() {
            let sockets = net::bind(&listen, 2).expect("a free port");
            let (quic, intake) = QuicSocket::new(&sockets).expect("a socket");
            for shard in sockets.into_shards() {
                let waker = Waker::new().expect("an eventfd");
                let mut driver = Driver::open(&choice, shard, waker.clone()).expect("a driver");
                waker.wake();
                driver.turn(None, &mut |_, _| {}).expect("a turn");
            }
            drop((quic, intake));
            let sockets = net::bind(&listen, 2).expect("a free port");
            let (shards, seats) = Shards::new(2).expect("shards");
            let config = ShardConfig { sockets, io: choice, pin: false };
            let sinks = |_| Sinks { event: Box::new(|_| {}), quic: Box::new(|_, _| {}) };
            seats.start(config, 1, &[], sinks).expect("they start");
            assert!(shards.turning());
            shards.stop();
        }
    };
    round();
    let before = open_descriptors();
    (0..10).for_each(|_| round());
    assert_eq!(open_descriptors(), before);
}
