//! The client library as somebody else's program uses it: frames given by hand come out whole at the other side.

use std::net::Ipv4Addr;
use std::time::Duration;

use millrace_load::client::{Client, Coded, Event, Frame, Outgoing, Picture, StreamId, Tile, Tracks};
use millrace_load::web::Room;

use crate::server::on_two_shards;

/// A keyframe of VP8 for a decoder that reads headers only: its size follows the start code (RFC 6386 section 9.1).
fn keyframe() -> Vec<u8> {
    let header = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    [&header[..], &[7; 4000]].concat()
}

/// A frame that depends on others, different each time.
fn frame(n: u32) -> Vec<u8> {
    [&[0x11, 0x02, 0x00][..], &n.to_be_bytes(), &[9; 2000]].concat()
}

async fn show(outgoing: Outgoing) {
    let mut ticker = tokio::time::interval(Duration::from_millis(20));
    for n in 0.. {
        ticker.tick().await;
        let (at, key) = (Duration::from_millis(20) * n, outgoing.keyframe_wanted());
        outgoing.picture(at, key, if key { keyframe() } else { frame(n) });
        outgoing.sound(at, vec![0x78, n as u8, 1, 2]);
    }
}

/// Sees until there were a keyframe, then ten others, and ten packets of sound.
async fn see(client: &mut Client, stream: StreamId) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let event = client.next().await.expect("no error").expect("still there");
        if let Event::Frame(of, frame) = event {
            assert_eq!(of, stream);
            frames.push(frame);
        }
        let pictures = frames.iter().filter(|frame: &&Frame| frame.coded == Coded::Vp8).count();
        if pictures > 10 && frames.len() - pictures > 10 {
            return frames;
        }
    }
}

#[test]
fn frames_arrive_as_they_were_given_and_so_does_what_is_said() {
    on_two_shards(Ipv4Addr::LOCALHOST.into(), async |link| {
        let room = Room::from_link(&link).expect("a room");
        let mut ada = Client::join(&room, "Ada").await.expect("in the room");
        let mut bob = Client::join(&room, "Bob").await.expect("in the room");
        let tracks = Tracks { picture: Some(Picture::Vp8), sound: true };
        let outgoing = ada.publish(tracks).await.expect("published");
        let film = tokio::spawn(show(outgoing));

        let stream = loop {
            if let Some(Event::Appeared(stream)) = bob.next().await.expect("no error") {
                break stream;
            }
        };
        assert_eq!((stream.id.uid, stream.name.as_str(), stream.has), (ada.uid(), "Ada", (true, true)));
        bob.watch(stream.id, Tile::of(640, 360)).await.expect("watched");
        let frames = see(&mut bob, stream.id).await;
        let mut pictures = frames.iter().filter(|frame| frame.coded == Coded::Vp8);
        let first = pictures.next().expect("a picture");
        assert!(first.keyframe && first.data == keyframe());
        for picture in pictures {
            let expected = if picture.keyframe { keyframe() } else { frame(picture.number()) };
            assert!(picture.data == expected, "{} bytes came", picture.data.len());
        }
        assert!(frames.iter().any(|frame| frame.coded == Coded::Opus && frame.data.starts_with(&[0x78])));

        bob.say("I see you", Some(ada.uid())).await.expect("said");
        let said = loop {
            if let Some(Event::Message(said)) = ada.next().await.expect("no error") {
                break said;
            }
        };
        assert_eq!((said.uid, said.text.as_str(), said.to), (bob.uid(), "I see you", Some(ada.uid())));

        film.abort();
        ada.leave().await.expect("left");
        loop {
            if let Some(Event::Left(gone)) = bob.next().await.expect("no error") {
                assert_eq!(gone, stream.id);
                break;
            }
        }
        bob.leave().await.expect("left");
    });
}

trait Numbered {
    /// The number that [`frame`] wrote.
    fn number(&self) -> u32;
}

impl Numbered for Frame {
    fn number(&self) -> u32 {
        self.data.get(3..7).and_then(|n| n.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes)
    }
}
