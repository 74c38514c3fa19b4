//! A million forwarded packets without one allocation for any of them.
//!
//! One publisher's pictures in frames of eight packets to fifty viewers, on one shard and over two, in simulated time: opened,
//! logged, padded, rewritten, sealed, numbered for feedback and paced, with reports, connectivity checks, ticks and what
//! shards tell each other. Not in it: drivers and sockets, feedback and NACKs of viewers, joins and switches.

use std::sync::Arc;

use crate::common::{check, install, keys, sealed, session, watch};
use crate::server::{Server, allocations as counted};
use millrace::router::command::{Command, Kind, SessionParams};
use millrace::router::id::ShardId;
use millrace::units::Duration;
use millrace::wire::srtp::Sealer;

const VIEWERS: u32 = 50;
const BURST: u64 = 8;
const FRAME: Duration = Duration::from_millis(33);
/// Frames until logs have grown and estimators exist, and those that count: a million forwarded packets.
const WARM: u64 = 150;
const COUNTED: u64 = 2_500;

/// Packets forwarded, and allocations on the way.
fn forward(shards: u8) -> (u64, u64) {
    let mut server = Server::new(shards);
    let params: Vec<Arc<SessionParams>> = (0..=VIEWERS).map(|n| Arc::new(session(n))).collect();
    for params in &params {
        server.command(|| Command::AddSession(params.clone()));
    }
    let mut checks: Vec<_> = (0..=VIEWERS).map(check).collect();
    for n in 0..=VIEWERS {
        server.datagram(n, &mut checks[n as usize].clone());
        server.command(|| install(n));
    }
    server.settle();
    let home = server.shard(0);
    let id = params[0].tracks[0].id;
    if shards > 1 {
        server.command(|| Command::AnnounceTrack { track: id, kind: Kind::Video, home: ShardId(home as u8) });
    }
    for n in 1..=VIEWERS {
        server.command(|| watch(n));
    }
    server.settle();

    let sealer = Sealer::new(&keys(0, false));
    let (mut seq, mut allocations, mut forwarded) = (1, 0, 0);
    for frame in 0..WARM + COUNTED {
        server.now += FRAME;
        // Frames of a size in packets of a size, but for one byte.
        let mut packets: Vec<_> = (0..BURST)
            .map(|nth| sealed(&sealer, seq + nth, frame == 0 || frame == 30, 1100 + (nth / 7) as usize))
            .collect();
        seq += BURST;
        let mut due = if frame % 300 == 0 { checks.clone() } else { Vec::new() };
        let (before, sent) = (counted(), server.sent);
        for (n, check) in due.iter_mut().enumerate() {
            server.datagram(n as u32, check);
        }
        for packet in &mut packets {
            server.datagram(0, packet);
        }
        server.settle();
        if frame >= WARM {
            allocations += counted() - before;
            forwarded += server.sent - sent;
        }
    }
    checks.clear();
    (forwarded, allocations)
}

#[test]
fn on_one_shard() {
    assert_eq!(forward(1), (COUNTED * BURST * u64::from(VIEWERS), 0));
}

#[test]
fn over_two_shards_only_for_the_state_of_a_track() {
    // How a track does is told to other shards in a message of its own, in two pieces, up to twice a second.
    let seconds = FRAME.as_micros() as u64 * COUNTED / 1_000_000;
    let (forwarded, allocations) = forward(2);
    assert_eq!(forwarded, COUNTED * BURST * u64::from(VIEWERS));
    assert!(allocations <= 4 * seconds, "{allocations} in {seconds} s");
}
