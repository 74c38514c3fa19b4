//! What a viewer takes of the data plane: at most 16 KB, and nothing more the longer it watches.
//!
//! Two audiences of different size watch the same pictures in simulated time; what the larger one holds more is its own.
//! In it: what waits in the lobby, the session with five slots as a client gets them at first, its keys, its estimator, and
//! what was sent and not yet acknowledged: these viewers send no feedback at all, so it is as much as it can be at this rate.

use std::sync::Arc;

use crate::common::{check, install, keys, sealed, session, watch};
use crate::server::{Server, live};
use millrace::router::command::{Command, Kind};
use millrace::router::id::SlotId;
use millrace::units::Duration;
use millrace::wire::id::Ssrc;
use millrace::wire::srtp::Sealer;

const FEW: u32 = 256;
const MANY: u32 = 1024;
const BURST: u64 = 8;
const FRAME: Duration = Duration::from_millis(33);

/// Bytes held once `viewers` have joined, then after two seconds of media at 2 Mbit/s, and after twelve.
fn held(viewers: u32) -> [i64; 3] {
    let before = live();
    let mut server = Server::new(1);
    for n in 0..=viewers {
        let mut params = session(n);
        if let Some(first) = params.slots.first().cloned() {
            for more in 1..5 {
                let mut slot = first.clone();
                slot.slot = SlotId(more);
                slot.ssrc = Ssrc(100_000 + 10 * n + u32::from(more));
                slot.rtx_ssrc = None;
                slot.kind = if more < 2 { Kind::Video } else { Kind::Audio };
                params.slots.push(slot);
            }
        }
        let params = Arc::new(params);
        server.command(|| Command::AddSession(params.clone()));
        server.datagram(n, &mut check(n));
        server.command(|| install(n));
    }
    server.settle();
    for n in 1..=viewers {
        server.command(|| watch(n));
    }
    server.settle();
    let joined = live() - before;

    let sealer = Sealer::new(&keys(0, false));
    let mut seq = 1;
    let mut run = |server: &mut Server, seconds| {
        for frame in 0..Duration::from_secs(seconds).as_micros() / FRAME.as_micros() {
            server.now += FRAME;
            for nth in 0..BURST {
                server.datagram(0, &mut sealed(&sealer, seq + nth, seq == 1 || frame == 30, 1100));
            }
            seq += BURST;
            server.settle();
        }
        live() - before
    };
    let early = run(&mut server, 2);
    let late = run(&mut server, 10);
    assert!(server.sent > u64::from(viewers) * 2000, "{} packets were sent", server.sent);
    [joined, early, late]
}

#[test]
fn is_bounded_and_does_not_grow() {
    let (few, many) = (held(FEW), held(MANY));
    let each = |at: usize| (many[at] - few[at]) / i64::from(MANY - FEW);
    let [joined, early, late] = [each(0), each(1), each(2)];
    println!("{joined} bytes joined, {early} after 2 s, {late} after 12 s");
    // Some hundred bytes of it are what the flight recorder has noted by then.
    assert!(joined <= 7 * 1024 + 256, "{joined}");
    assert!(late <= 16 * 1024, "{late}");
    assert!(late <= early, "{early} after two seconds, {late} after twelve");
}
