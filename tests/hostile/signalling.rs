//! Signalling that is too long, too deep, or no signalling at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_load::client::Shared;
use millrace_load::drive::Engine;

use crate::flood::Tally;
use crate::ground::Ground;

/// What is written, in a loop, until the server has had enough.
fn lines() -> Vec<Vec<u8>> {
    let deep = |open: &str| format!("{{\"id\":1,\"t\":\"hello\",\"v\":1,\"token\":{}", open.repeat(60_000));
    let many: String = (0..60_000).map(|n| format!("\"k{n}\":0,")).collect();
    vec![
        // A line without an end, twice as long as a megabyte is.
        vec![b'x'; 2 << 20],
        // As deep as a line can be.
        (deep("[") + "\n").into_bytes(),
        (deep("{\"a\":") + "\n").into_bytes(),
        // Names without number.
        format!("{{\"id\":1,\"t\":\"hello\",{many}\"v\":1}}\n").into_bytes(),
        // Compressed, which nobody asked for: 32 KiB of gzip that would be 32 MiB.
        [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3], [0xec; 32_768].as_slice(), b"\n"].concat(),
        // Lines that are nothing, without a pause.
        b"{}\n".repeat(100_000),
    ]
}

async fn abuse(shared: &Shared, over: &AtomicBool, line: &[u8]) -> Tally {
    let mut tally = Tally::default();
    while !over.load(Ordering::Relaxed) {
        let endpoint = shared.endpoint().await.expect("a socket");
        let Ok(connecting) = endpoint.connect(shared.server(), "localhost") else { continue };
        let Ok(connection) = connecting.await else { continue };
        let Ok((mut stream, mut answers)) = connection.open_bi().await else { continue };
        tally.sent += 1;
        for piece in line.chunks(16 * 1024) {
            // It may have been sent away by now, which is as it should be.
            if over.load(Ordering::Relaxed) || stream.write_all(piece).await.is_err() {
                break;
            }
            tally.bytes_out += piece.len() as u64;
        }
        let rest = tokio::time::timeout(Duration::from_millis(200), answers.read_to_end(1 << 20)).await;
        tally.bytes_in += rest.map_or(0, |rest| rest.map_or(0, |rest| rest.len() as u64));
        connection.close(0u32.into(), b"");
    }
    tally
}

#[test]
fn lines_too_long_too_deep_or_of_no_sense_end_their_session_alone() {
    let ground = Ground::new();
    // It speaks with the server as clients do, certificate and all.
    let shared = ground.runtime.block_on(async {
        Shared::new(&ground.room, Engine::new(1).expect("an engine")).await.expect("a server")
    });
    let figures = ground.beside("oversized signalling", |over| {
        let lines = lines();
        let (shared, runtime) = (&shared, &ground.runtime);
        std::thread::scope(|scope| {
            let abuses =
                lines.iter().map(|line| scope.spawn(move || runtime.block_on(abuse(shared, over, line))));
            let abuses: Vec<_> = abuses.collect();
            abuses.into_iter().map(|abuse| abuse.join().expect("the attack itself is sound")).sum()
        })
    });
    let figures = figures.hold(16 * 1024);
    assert!(figures.tally.sent >= 6, "each was tried: {figures:?}");
    assert!(figures.tally.bytes_in < figures.tally.bytes_out, "{figures:?}");
    ground.end();
}
