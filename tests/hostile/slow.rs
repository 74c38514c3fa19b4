//! Clients that never finish what they begin to say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_load::client::Shared;
use millrace_load::drive::Engine;

use crate::flood::Tally;
use crate::ground::Ground;

/// More than the server has places for.
const CONNECTIONS: usize = 5000;
const SESSIONS: usize = 200;

#[test]
fn thousands_that_send_a_byte_at_a_time_do_not_keep_others_out_of_the_page() {
    let ground = Ground::new();
    let head = format!("GET /api?op=rooms HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(4000));
    let (mut slow, mut tally) = (Vec::with_capacity(CONNECTIONS), Tally::default());
    let fill = |slow: &mut Vec<TcpStream>, tally: &mut Tally| {
        while slow.len() < CONNECTIONS {
            let Ok(stream) = TcpStream::connect(("127.0.0.1", ground.port())) else { break };
            stream.set_nonblocking(true).expect("a socket");
            slow.push(stream);
            tally.sent += 1;
        }
    };
    // They are there before anybody honest comes.
    fill(&mut slow, &mut tally);
    let figures = ground.beside("slow HTTP", |over| {
        for byte in head.as_bytes().chunks(1).cycle() {
            if over.load(Ordering::Relaxed) {
                break;
            }
            // Who was sent away comes again.
            slow.retain_mut(|stream| {
                stream.write(byte).is_ok() && !matches!(stream.read(&mut [0; 64]), Ok(0))
            });
            tally.bytes_out += slow.len() as u64;
            fill(&mut slow, &mut tally);
            std::thread::sleep(Duration::from_millis(100));
        }
        tally
    });
    let figures = figures.hold(64 * 1024);
    assert!(figures.tally.sent as usize >= CONNECTIONS, "{figures:?}");
    ground.end();
}

async fn dawdle(shared: &Shared, over: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    while !over.load(Ordering::Relaxed) {
        let Ok(endpoint) = shared.endpoint().await else { continue };
        let Ok(connecting) = endpoint.connect(shared.server(), "localhost") else { continue };
        let Ok(connection) = connecting.await else { continue };
        let Ok((mut stream, _answers)) = connection.open_bi().await else { continue };
        tally.sent += 1;
        for byte in b"{\"id\":1,\"t\":\"hello\",".iter().cycle() {
            if over.load(Ordering::Relaxed) || stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tally.bytes_out += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tally
}

#[test]
fn hundreds_that_never_finish_their_hello_do_not_keep_others_from_signing_in() {
    let ground = Ground::new();
    let shared = ground.runtime.block_on(async {
        Shared::new(&ground.room, Engine::new(1).expect("an engine")).await.expect("a server")
    });
    let figures = ground.beside("slow QUIC", |over| {
        let (shared, runtime) = (&shared, &ground.runtime);
        runtime.block_on(async {
            let mut tallies = Vec::new();
            let all = (0..SESSIONS).map(|_| dawdle(shared, over));
            let mut all: Vec<_> = all.map(Box::pin).collect();
            std::future::poll_fn(|context| {
                all.retain_mut(|one| match one.as_mut().poll(context) {
                    std::task::Poll::Ready(tally) => {
                        tallies.push(tally);
                        false
                    }
                    std::task::Poll::Pending => true,
                });
                if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            tallies.into_iter().sum()
        })
    });
    let figures = figures.hold(16 * 1024);
    assert!(figures.tally.sent as usize >= SESSIONS, "{figures:?}");
    ground.end();
}
