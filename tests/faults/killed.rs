//! The server is killed in the middle of what it writes, time and again: what it said was done is done.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::program::Running;
use crate::{operation, token};

const KILLS: u32 = 200;
const WRITERS: usize = 4;

/// The number that a room's name bears.
fn number(name: &str) -> u32 {
    name.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a numbered room")
}

fn names(port: u16, token: &str) -> Vec<(u64, u32)> {
    let rooms = operation(port, &format!("op=rooms&token={token}")).expect("answered");
    let rooms = rooms["rooms"].as_array().expect("a list").iter();
    rooms
        .map(|room| (room["gid"].as_u64().expect("a number"), number(room["name"].as_str().expect("text"))))
        .collect()
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    let data = tempfile::tempdir().expect("a folder");
    let token = token(data.path());
    // Of each room the name that was acknowledged last, and the one that was asked for last.
    let acknowledged: [AtomicU32; WRITERS] = std::array::from_fn(|_| AtomicU32::new(0));
    let asked: [AtomicU32; WRITERS] = std::array::from_fn(|_| AtomicU32::new(0));
    let server = Running::start(data.path(), &[]);
    let gids: [u64; WRITERS] = std::array::from_fn(|_| {
        let made =
            operation(server.port(), &format!("op=setgroup&token={token}&name=Room+0&resolution=0&type=0"));
        made.and_then(|made| made["gid"].as_u64()).expect("a room")
    });
    let mut server = Some(server);
    let mut written = 0;
    for kill in 0..KILLS {
        let running = server.take().unwrap_or_else(|| Running::start(data.path(), &[]));
        let port = running.port();
        for (gid, kept) in names(port, &token) {
            let n = gids.iter().position(|known| *known == gid).expect("one of ours");
            let (least, most) = (acknowledged[n].load(Ordering::Relaxed), asked[n].load(Ordering::Relaxed));
            assert!(
                (least..=most).contains(&kept),
                "kill {kill}: room {gid} is at {kept}, told {least}, asked {most}"
            );
            asked[n].store(kept, Ordering::Relaxed);
            acknowledged[n].store(kept, Ordering::Relaxed);
        }
        thread::scope(|scope| {
            for n in 0..WRITERS {
                let (token, asked, acknowledged, gid) = (&token, &asked[n], &acknowledged[n], gids[n]);
                scope.spawn(move || {
                    loop {
                        let next = asked.fetch_add(1, Ordering::Relaxed) + 1;
                        let edit = format!("op=setgroup&token={token}&gid={gid}&name=Room+{next}");
                        match operation(port, &edit).filter(|answer: &Value| answer["result"] == "OK") {
                            Some(_) => acknowledged.store(next, Ordering::Relaxed),
                            None => break,
                        }
                    }
                });
            }
            // Spread over what a commit takes, which is 20 ms and more.
            thread::sleep(Duration::from_micros(20_000 + u64::from(kill) * 7_919 % 60_000));
            running.end("KILL");
        });
        written = acknowledged.iter().map(|n| n.load(Ordering::Relaxed)).sum();
    }
    assert!(written > KILLS, "{written} changes in {KILLS} lives: the kills did not fall between writes");
}
