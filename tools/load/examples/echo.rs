//! A small participant: it publishes an encoded film, over and over, says hello, and writes what it sees and hears of the others.
//!
//! `cargo run --release -p millrace-load --example echo -- LINK [FILM.ivf] [SECONDS]`

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_load::Error;
use millrace_load::client::{Client, Event, Outgoing, Picture, Tile, Tracks};
use millrace_load::web::Room;

/// What comes along: VP8, 25 pictures a second, the first of them a keyframe.
const FILM: &[u8] = include_bytes!("../media/vp8-h.ivf");
const PICTURE: Duration = Duration::from_millis(40);
/// What begins with this is not answered.
const MARK: &str = "Echo: ";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(link) = arguments.next() else {
        return Err("usage: echo LINK [FILM.ivf] [SECONDS]".into());
    };
    let film = match arguments.next() {
        Some(file) => std::fs::read(file)?,
        None => FILM.to_vec(),
    };
    let seconds = arguments.next().map_or(Ok(u64::MAX), |seconds| seconds.parse())?;
    take_part(&link, frames(&film), Duration::from_secs(seconds.min(1 << 32))).await?;
    Ok(())
}

async fn take_part(link: &str, film: Vec<Vec<u8>>, stay: Duration) -> Result<(), Error> {
    let mut client = Client::join(&Room::from_link(link)?, "Echo").await?;
    let outgoing = client.publish(Tracks { picture: Some(Picture::Vp8), sound: false }).await?;
    client.say(&format!("{MARK}what you say comes back."), None).await?;

    let mut film = tokio::spawn(show(outgoing, film, stay));
    let mut seen: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let outgoing = loop {
        let event = tokio::select! {
            event = client.next() => event?,
            outgoing = &mut film => break outgoing,
        };
        match event {
            None => return Ok(()),
            Some(Event::Appeared(stream)) => {
                println!("{} publishes", stream.name);
                client.watch(stream.id, Tile::of(640, 360)).await?;
            }
            Some(Event::Message(said)) if said.uid != client.uid() => {
                println!("{}: {}", said.name, said.text);
                // Two of this kind in a room would never cease.
                if !said.text.starts_with(MARK) {
                    client.say(&format!("{MARK}{}", said.text), said.to.map(|_| said.uid)).await?;
                }
            }
            Some(Event::Frame(stream, frame)) => {
                let (frames, bytes) = seen.entry(format!("{} {:?}", stream.uid, frame.coded)).or_default();
                (*frames, *bytes) = (*frames + 1, *bytes + frame.data.len() as u64);
            }
            Some(_) => {}
        }
    };
    for (stream, (frames, bytes)) in seen {
        println!("of {stream}: {frames} frames, {bytes} bytes");
    }
    if let Ok(outgoing) = outgoing {
        client.unpublish(outgoing).await?;
    }
    client.leave().await
}

/// Sends the film from its keyframe on, again and again, and from there whenever somebody needs a keyframe.
async fn show(outgoing: Outgoing, film: Vec<Vec<u8>>, stay: Duration) -> Outgoing {
    let begun = Instant::now();
    let mut ticker = tokio::time::interval(PICTURE);
    let mut next = 0;
    while begun.elapsed() < stay {
        ticker.tick().await;
        if outgoing.keyframe_wanted() || next == film.len() {
            next = 0;
        }
        if let Some(picture) = film.get(next) {
            outgoing.picture(begun.elapsed(), next == 0, picture.clone());
        }
        next += 1;
    }
    outgoing
}

/// The frames of an IVF file.
fn frames(film: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = film.get(32..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some((head, body)) = rest.split_first_chunk::<12>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some((frame, next)) = body.split_at_checked(len) else { break };
        frames.push(frame.to_vec());
        rest = next;
    }
    frames
}
