//! A call goes on over upgrades: the frames that a viewer does not get are counted.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millrace_load::client::{Client, Coded, Event, Outgoing, Picture, Tile, Tracks};
use millrace_load::web::Room;
use tokio::time::{interval, sleep, timeout};

use crate::program::{Running, ask};
use crate::{follow, start};

/// Nothing here takes longer on any machine that works.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one frame to the next.
const FRAME: Duration = Duration::from_millis(20);
/// Frames that are lost where the picture stands still for a second.
const SECOND: u32 = 50;
/// Upgrades, by how each successor moves datagrams.
const UPGRADES: [&str; 3] = ["mmsg", "auto", "mmsg"];

/// A frame of VP8 that bears its number; a keyframe begins with what decoders look for (RFC 6386 section 9.1).
fn frame(n: u32, keyframe: bool) -> Vec<u8> {
    let header = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    let header = if keyframe { &header[..] } else { &[0x11, 0x02, 0x00] };
    [header, &n.to_be_bytes(), &[9; 1500]].concat()
}

/// The number of a frame that came as it was sent.
fn number(data: &[u8], keyframe: bool) -> Option<u32> {
    let at = if keyframe { 10 } else { 3 };
    let n = u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?);
    (frame(n, keyframe) == data).then_some(n)
}

async fn film(outgoing: Outgoing) {
    let mut ticker = interval(FRAME);
    for n in 0.. {
        ticker.tick().await;
        let key = outgoing.keyframe_wanted();
        outgoing.picture(FRAME * n, key, frame(n, key));
    }
}

/// What a viewer saw.
#[derive(Default)]
struct Seen {
    frames: Vec<(u32, Instant)>,
    appeared: usize,
    left: usize,
}

async fn watch(mut bob: Client, seen: Arc<Mutex<Seen>>) {
    loop {
        let event = bob.next().await.expect("no error").expect("still there");
        if let Event::Appeared(stream) = &event {
            bob.watch(stream.id, Tile::of(640, 360)).await.expect("watched");
        }
        let mut seen = seen.lock().expect("no panic");
        match event {
            Event::Frame(_, frame) if frame.coded == Coded::Vp8 => {
                let n = number(&frame.data, frame.keyframe);
                seen.frames.extend(n.map(|n| (n, Instant::now())));
            }
            Event::Appeared(_) => seen.appeared += 1,
            Event::Left(_) => seen.left += 1,
            _ => {}
        }
    }
}

/// Waits until so many more frames were seen; the number of the last.
async fn until_seen(seen: &Mutex<Seen>, more: usize) -> u32 {
    let count = || seen.lock().expect("no panic").frames.len();
    let enough = count() + more;
    let waited = timeout(PATIENCE, async {
        while count() < enough {
            sleep(FRAME).await;
        }
    });
    waited.await.expect("the picture goes on");
    seen.lock().expect("no panic").frames.last().expect("a frame").0
}

/// Since frame `from`: the most frames in a row that were never seen, and for how long none came.
fn longest_gap(seen: &Mutex<Seen>, from: u32) -> (u32, Duration) {
    let mut frames = seen.lock().expect("no panic").frames.clone();
    frames.retain(|(n, _)| *n >= from);
    let stood = frames.windows(2).map(|two| two[1].1 - two[0].1).max().unwrap_or_default();
    frames.sort_unstable();
    let lost = frames.windows(2).map(|two| (two[1].0 - two[0].0).saturating_sub(1)).max();
    (lost.unwrap_or(0), stood)
}

async fn upgrades(mut server: Running, data: &Path) -> Vec<(u32, Duration)> {
    let link = server.link.replace("localhost", "127.0.0.1");
    let room = Room::from_link(&link).expect("a room");
    let mut ada = Client::join(&room, "Ada").await.expect("in the room");
    let bob = Client::join(&room, "Bob").await.expect("in the room");
    let tracks = Tracks { picture: Some(Picture::Vp8), sound: false };
    let outgoing = ada.publish(tracks).await.expect("published");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let film = tokio::spawn(film(outgoing));
    let ada = tokio::spawn(async move { while ada.next().await.expect("no error").is_some() {} });
    let bob = tokio::spawn(watch(bob, seen.clone()));

    let mut gaps = Vec::new();
    for io in UPGRADES {
        let from = until_seen(&seen, 50).await;
        let folder = data.to_owned();
        let followed = tokio::task::spawn_blocking(move || follow(server, &folder, io)).await;
        server = followed.expect("it makes way");
        until_seen(&seen, 50).await;
        let key = std::fs::read_to_string(data.join("admin.token")).expect("the server's own");
        let asker = format!("authorization: Bearer {}\r\n", key.trim_end());
        let metrics = ask(server.port(), "/metrics", &asker).expect("answered");
        assert!(metrics.contains("millrace_handshakes_total 0\n"), "nobody connected anew: {metrics}");
        gaps.push(longest_gap(&seen, from));
    }
    assert!(!ada.is_finished() && !bob.is_finished(), "both are still there");
    for task in [film, ada, bob] {
        task.abort();
    }
    let seen = seen.lock().expect("no panic");
    assert_eq!((seen.appeared, seen.left), (1, 0), "the viewer's program need not know of it");
    gaps
}

#[test]
fn a_call_goes_on_over_an_upgrade_with_less_than_a_second_of_it_lost() {
    let data = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let gaps = runtime.block_on(upgrades(start(data.path()), data.path()));
    println!("frames lost at a stretch, of {SECOND} a second, and how long the picture stood: {gaps:?}");
    // What else the machine does may hold one of them up.
    assert!(gaps.iter().any(|(lost, _)| *lost < SECOND), "{gaps:?}");
}
