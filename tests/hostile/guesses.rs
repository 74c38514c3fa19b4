//! Somebody who tries pins, from an address of his own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::flood::Tally;
use crate::ground::Ground;

/// One guess; the answer's first line and body, or nothing if the server did not want to listen.
fn guess(port: u16, gid: u32, n: u64) -> Option<(String, usize)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).ok()?;
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let pin = 10_000_000 + n * 7919 % 90_000_000;
    let line = format!("GET /api?op=guest&gid={gid}&pin={pin}&name=M HTTP/1.1\r\n");
    write!(stream, "{line}host: localhost:{port}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some((answer.lines().next()?.to_owned() + answer.lines().last()?, line.len()))
}

#[test]
fn who_tries_pins_is_told_to_wait_after_a_few_and_others_are_not() {
    let ground = Ground::new();
    let judged = AtomicBool::new(false);
    let told = std::sync::Mutex::new((0, 0));
    let figures = ground.beside("pin guessing", |over| {
        let mut tally = Tally::default();
        while !over.load(Ordering::Relaxed) {
            let Some((answer, bytes)) = guess(ground.port(), ground.room.gid, tally.sent) else { continue };
            tally.sent += 1;
            tally.bytes_out += bytes as u64;
            tally.bytes_in += answer.len() as u64;
            let mut told = told.lock().expect("one thread");
            if answer.contains("RATELIMIT") || answer.contains("429") { told.1 += 1 } else { told.0 += 1 }
        }
        judged.store(true, Ordering::Relaxed);
        tally
    });
    let figures = figures.hold(4096);
    let (judged, told_to_wait) = *told.lock().expect("one thread");
    assert!(figures.tally.sent > 100, "{figures:?}");
    assert!(
        judged < 40 && told_to_wait > judged,
        "{judged} guesses were judged, {told_to_wait} told to wait"
    );
    ground.end();
}
