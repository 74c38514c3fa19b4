//! No description panics the parser or negotiation, and what negotiation accepts keeps its promises.

#[path = "common/mutate.rs"]
mod mutate;

use std::path::Path;

use millrace::control::negotiate::{Ours, PublishIds, Subscriber, publish};
use millrace::router::command::{IceCredentials, Kind, PayloadParams};
use millrace::router::id::TrackId;
use millrace::wire::sdp::Session;
use mutate::{INPUTS, Random, each};

/// Short, but with every line that the model knows.
const SMALL: &str = "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    a=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=sendonly\r\n\
    a=extmap:4/sendonly urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96\r\na=rtcp-fb:* nack pli\r\na=ssrc:7 cname:x\r\na=ssrc-group:FID 7 8\r\na=rid:q send pt=96\r\n\
    a=simulcast:send q,r;~h\r\na=candidate:1 1 udp 2130706431 127.0.0.1 4433 typ host\r\n";

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sdp").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn ours() -> Ours {
    Ours {
        ice: IceCredentials { ufrag: "ours".into(), pwd: "a-password-of-24-letters".into() },
        candidates: vec!["127.0.0.1:4433".parse().expect("address")],
        streams: Vec::new(),
        fingerprint: [0xab; 32],
    }
}

#[test]
fn the_parser_takes_anything() {
    let audio = fixture("firefox-offer-audio.sdp");
    let seeds = [SMALL.as_bytes(), SMALL.as_bytes(), SMALL.as_bytes(), audio.as_bytes(), b"v=0\n"];
    each(21, INPUTS, &seeds, |input| {
        let text = String::from_utf8_lossy(input);
        let Ok(session) = Session::parse(&text) else { return };
        for media in &session.media {
            assert!(!media.formats.is_empty());
            assert!(media.rtp_maps().count() <= media.formats.len());
            for map in media.rtp_maps() {
                let _ = media.fmtp(map.pt).get("apt");
                assert!(map.pt.0 < 128 && map.clock_rate > 0);
                assert!(media.feedback(map.pt).count() <= media.attributes.len());
            }
            assert!(media.extmaps().all(|e| e.id > 0));
            assert!(media.ssrcs().len() <= media.attributes.len());
            let _ = (
                media.simulcast(),
                media.ssrc_groups().count(),
                media.candidates().count(),
                media.rids().count(),
            );
            let _ = (session.direction(media), session.setup(media), session.fingerprints(media));
        }
        let values = session.attributes.iter().chain(session.media.iter().flat_map(|m| &m.attributes));
        assert!(values.flat_map(|a| [a.name, a.value]).all(|t| !t.contains(['\r', '\n'])));
        let _ = session.bundle().count();
    });
}

/// Whole lines left out, doubled, exchanged or taken from another description: most of it still reads as SDP.
fn shuffled(random: &mut Random, seeds: &[Vec<String>]) -> String {
    let mut lines = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(3) {
        let (a, b) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(5) {
            0 => drop(lines.remove(a)),
            1 => lines.insert(b, lines[a].clone()),
            2 => lines.swap(a, b),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                lines[a] = other[random.below(other.len())].clone();
            }
            _ => {
                let digit = char::from(b'0' + random.below(10) as u8);
                let at = random.below(lines[a].len() + 1);
                if lines[a].is_char_boundary(at) {
                    lines[a].insert(at, digit);
                }
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\r\n") + "\r\n"
}

fn lines_of(names: &[&str]) -> Vec<Vec<String>> {
    names.iter().map(|name| fixture(name).lines().map(str::to_owned).collect()).collect()
}

fn distinct(payloads: &[PayloadParams]) -> bool {
    payloads.iter().enumerate().all(|(n, p)| payloads[..n].iter().all(|q| q.pt != p.pt && q.codec != p.codec))
}

#[test]
fn an_accepted_offer_has_a_fitting_answer() {
    let seeds = lines_of(&[
        "chromium-offer-vp8-simulcast.sdp",
        "chromium-offer-vp9-svc.sdp",
        "chromium-offer-audio.sdp",
        "firefox-offer-vp8-simulcast.sdp",
        "firefox-offer-av1.sdp",
    ]);
    let (ours, mut random, mut accepted) = (ours(), Random::new(22), 0);
    let (audio, video) = (TrackId { index: 1, generation: 0 }, TrackId { index: 2, generation: 0 });
    for _ in 0..INPUTS / 30 {
        let offer = shuffled(&mut random, &seeds);
        let Ok(published) = publish(&offer, &ours, &PublishIds::new(audio, video)) else { continue };
        accepted += 1;
        let asked = Session::parse(&offer).expect("it was accepted");
        let answered = Session::parse(&published.answer).expect(&published.answer);
        assert_eq!(answered.media.len(), asked.media.len(), "{offer}");
        assert!(answered.media.iter().zip(&asked.media).all(|(a, b)| a.kind == b.kind), "{offer}");
        let taken = answered.media.iter().filter(|m| !m.rejected()).count();
        assert_eq!(
            (taken, answered.bundle().count()),
            (published.tracks.len(), published.tracks.len()),
            "{offer}"
        );
        assert!((1..=2).contains(&taken), "{offer}");
        for track in &published.tracks {
            assert!(!track.payloads.is_empty() && distinct(&track.payloads), "{offer}");
            assert_eq!(track.id, if track.kind == Kind::Audio { audio } else { video });
            assert!(answered.media(track.mid.as_str()).is_some(), "{offer}");
        }
        assert!(!published.remote.fingerprints.is_empty(), "{offer}");
    }
    assert!(accepted > INPUTS / 300, "{accepted} accepted: the mutations are too wild to show anything");
}

#[test]
fn an_accepted_answer_fits_the_offer() {
    let seeds = lines_of(&["chromium-answer-2v3a.sdp", "firefox-answer-2v3a.sdp"]);
    let mut offered = Subscriber::new(ours(), 99);
    offered.offer(2, 3);
    let (mut random, mut accepted) = (Random::new(23), 0);
    for _ in 0..INPUTS / 30 {
        let answer = shuffled(&mut random, &seeds);
        let mut subscriber = offered.clone();
        let Ok(answered) = subscriber.answer(&answer) else {
            assert!(subscriber.unanswered().is_some(), "the right answer may still come");
            continue;
        };
        accepted += 1;
        assert_eq!(answered.slots.len(), 5, "{answer}");
        for (n, slot) in answered.slots.iter().enumerate() {
            assert_eq!((usize::from(slot.slot.0), slot.mid.to_string()), (n, n.to_string()), "{answer}");
            assert!(distinct(&slot.payloads), "{answer}");
            assert_eq!(slot.rtx_ssrc.is_some(), slot.payloads.iter().any(|p| p.rtx.is_some()), "{answer}");
        }
        assert!(!answered.remote.fingerprints.is_empty() && subscriber.unanswered().is_none());
    }
    assert!(accepted > INPUTS / 300, "{accepted} accepted: the mutations are too wild to show anything");
}
