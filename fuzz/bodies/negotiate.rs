//! Offers and answers of clients: refused, or answered with what our own parser reads. The first byte says which.

use millrace::control::negotiate::{
    Ours, PublishIds, Subscriber, credentials, layers_in_order, publish, view,
};
use millrace::router::command::IceCredentials;
use millrace::router::id::TrackId;
use millrace::wire::sdp::Session;

/// One input.
pub fn run(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    match which % 4 {
        0 => {
            let track = |index| TrackId { index, generation: 0 };
            if let Ok(published) = publish(text, &ours(), &PublishIds::new(track(1), track(2))) {
                readable(&published.answer);
                assert!((1..=2).contains(&published.tracks.len()));
            }
        }
        1 => {
            if let Ok(viewed) = view(text, &ours(), u64::from(*which)) {
                readable(&viewed.answer);
            }
        }
        2 => {
            let mut subscriber = Subscriber::new(ours(), 7);
            let (video, audio) = (usize::from(which >> 2 & 3), usize::from(which >> 4 & 7));
            readable(&subscriber.offer(video, audio));
            let slots = subscriber.slots().count();
            if let Ok(answered) = subscriber.answer(text) {
                assert!(answered.slots.len() <= slots);
            }
            readable(&subscriber.offer(video + 1, audio + 1));
        }
        _ => {
            let _ = (credentials(text), layers_in_order(text));
        }
    }
}

fn readable(sdp: &str) {
    assert!(Session::parse(sdp).is_ok(), "{sdp}");
}

fn ours() -> Ours {
    Ours {
        ice: IceCredentials { ufrag: "abcd".to_owned(), pwd: "VOkJxbRl1RmTxUk/WvJxBt".to_owned() },
        candidates: vec![([127, 0, 0, 1], 4433).into()],
        streams: Vec::new(),
        fingerprint: [7; 32],
    }
}
