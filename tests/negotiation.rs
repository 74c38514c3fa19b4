//! Offers and answers of real browsers (`tests/fixtures/sdp`: Chromium 156, Firefox ESR 153) negotiate as meant.

use std::path::Path;

use millrace::control::negotiate::{Error, Ours, PublishIds, Published, Subscriber, publish};
use millrace::handshake::Algorithm;
use millrace::router::command::{IceCredentials, Kind, TrackLimits, TrackParams};
use millrace::router::id::TrackId;
use millrace::units::{Bitrate, PictureSize};
use millrace::wire::id::{Pt, Rid};
use millrace::wire::payload::Codec;
use millrace::wire::sdp::{Direction, Session, Setup};

const AUDIO: TrackId = TrackId { index: 1, generation: 0 };
const VIDEO: TrackId = TrackId { index: 2, generation: 0 };

fn ours() -> Ours {
    Ours {
        ice: IceCredentials { ufrag: "ours".into(), pwd: "a-password-of-24-letters".into() },
        candidates: vec!["127.0.0.1:4433".parse().expect("address"), "[::1]:4433".parse().expect("address")],
        streams: Vec::new(),
        fingerprint: [0xab; 32],
    }
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sdp").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn published(name: &str) -> Published {
    publish(&fixture(name), &ours(), &PublishIds::new(AUDIO, VIDEO)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn video(published: &Published) -> &TrackParams {
    published.tracks.iter().find(|t| t.kind == Kind::Video).expect("a video track")
}

fn codecs(track: &TrackParams) -> Vec<Codec> {
    track.payloads.iter().map(|p| p.codec).collect()
}

fn h264(profile: u16, packetization_mode: u8) -> Codec {
    Codec::H264 { profile, packetization_mode }
}

#[test]
fn every_recorded_offer_is_answered() {
    let mut offers = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sdp");
    for file in std::fs::read_dir(folder).expect("fixtures") {
        let name = file.expect("fixture").file_name().into_string().expect("a plain name");
        if !name.contains("-offer-") {
            continue;
        }
        offers += 1;
        let offer = fixture(&name);
        let published = published(&name);
        let (offer, answer) =
            (Session::parse(&offer).expect(&name), Session::parse(&published.answer).expect(&name));
        assert_eq!(answer.media.len(), offer.media.len(), "{name}");
        assert!(answer.bundle().eq(offer.bundle()), "{name}");
        assert_eq!(published.tracks.len(), offer.media.len(), "{name}");
        assert!(answer.attribute("ice-lite").is_some(), "{name}");
        for (asked, answered) in offer.media.iter().zip(&answer.media) {
            assert_eq!(
                (answered.kind, answered.attribute("mid")),
                (asked.kind, asked.attribute("mid")),
                "{name}"
            );
            assert_eq!(answer.direction(answered), Direction::RecvOnly, "{name}");
            assert_eq!(answer.setup(answered), Some(Setup::Passive), "{name}");
            assert!(answered.has("rtcp-mux") && answered.port != 0, "{name}");
            assert!(answered.formats.iter().all(|f| asked.formats.contains(f)), "{name}");
            for ext in answered.extmaps() {
                assert!(asked.extmaps().any(|e| e.id == ext.id && e.uri == ext.uri), "{name}: {ext:?}");
            }
        }
        assert_eq!(answer.media[0].candidates().count(), 2, "{name}");
        assert!(answer.media[0].has("end-of-candidates"), "{name}");
        let [fingerprint] = &published.remote.fingerprints[..] else { panic!("{name}: one fingerprint") };
        assert_eq!((fingerprint.algorithm, fingerprint.bytes.len()), (Algorithm::Sha256, 32), "{name}");
    }
    assert!(offers >= 20, "{offers} offers");
}

#[test]
fn chromium_simulcast_keeps_its_layers_and_extensions() {
    for (name, first) in [
        ("chromium-offer-vp8-simulcast.sdp", Codec::Vp8),
        ("chromium-offer-h264-simulcast.sdp", h264(0x4200, 1)),
        ("chromium-offer-simulcast.sdp", Codec::Vp8),
    ] {
        let published = published(name);
        let track = video(&published);
        assert_eq!(codecs(track).first(), Some(&first), "{name}");
        let layers: Vec<_> = track.layers.iter().map(|l| (l.layer.0, l.rid.to_string())).collect();
        assert_eq!(layers, [(0, "q".into()), (1, "h".into()), (2, "f".into())], "{name}");
        assert!(track.ssrcs.is_empty(), "{name}");
        let ids = published.extensions;
        assert_eq!((ids.mid, ids.rid, ids.repaired_rid, ids.twcc), (4, 10, 11, 3), "{name}");
        assert_eq!((ids.audio_level, ids.abs_send_time), (1, 2), "{name}");
        let session = Session::parse(&published.answer).expect("our answer");
        let answered = session.media("1").expect("video");
        let recv: Vec<_> = answered.simulcast().expect("simulcast").recv.iter().map(|s| s.rid).collect();
        assert_eq!(recv, ["q", "h", "f"], "{name}");
        assert_eq!(answered.rids().count(), 3, "{name}");
    }
}

#[test]
fn the_answer_lets_all_layers_start_at_once() {
    let published = published("chromium-offer-vp8-simulcast.sdp");
    assert!(published.answer.contains("a=fmtp:96 x-google-start-bitrate=2500\r\n"));
    let offer = fixture("chromium-offer-h264-simulcast.sdp");
    let ids = PublishIds {
        video_limits: TrackLimits { max_bitrate: Bitrate::from_kbps(800), ..TrackLimits::NONE },
        ..PublishIds::new(AUDIO, VIDEO)
    };
    let published = publish(&offer, &ours(), &ids).expect("an offer");
    let line = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=800\r\n";
    assert!(published.answer.contains(line), "a limit also limits the start");
}

#[test]
fn codecs_are_kept_in_the_clients_order_with_their_retransmissions() {
    let published = published("chromium-offer-default.sdp");
    let track = video(&published);
    assert_eq!(
        codecs(track),
        [
            Codec::Vp8,
            h264(0x4200, 1),
            h264(0x42e0, 1),
            h264(0x42e0, 0),
            h264(0x4d00, 1),
            Codec::Av1 { profile: 0 },
            Codec::Vp9 { profile: 0 },
        ]
    );
    assert!(track.payloads.iter().all(|p| p.rtx == Some(Pt(p.pt.0 + 1)) || p.codec == h264(0x4200, 1)));
    let [(_, Some(_))] = track.ssrcs[..] else {
        panic!("one SSRC with its retransmissions: {:?}", track.ssrcs)
    };
    assert!(track.layers.is_empty());

    let published = self::published("chromium-offer-red.sdp");
    let [audio] = &published.tracks[..] else { panic!("audio only") };
    assert_eq!((audio.id, audio.clock_rate), (AUDIO, 48_000));
    assert_eq!(codecs(audio), [Codec::Red, Codec::Opus]);
}

#[test]
fn firefox_is_understood() {
    let published = published("firefox-offer-simulcast.sdp");
    let track = video(&published);
    assert_eq!(codecs(track), [Codec::Vp8, Codec::Vp9 { profile: 0 }, Codec::Av1 { profile: 0 }]);
    assert_eq!(track.layers.len(), 3);
    let ids = published.extensions;
    assert_eq!((ids.mid, ids.rid, ids.repaired_rid, ids.twcc), (3, 9, 10, 7));
    assert_eq!(ids.playout_delay, 0, "Firefox only receives it");
    // What Firefox only sends, we only receive.
    let session = Session::parse(&published.answer).expect("our answer");
    let rid = session.media("1").and_then(|m| m.extmaps().find(|e| e.id == 9)).expect("the rid extension");
    assert_eq!(rid.direction, Some(Direction::RecvOnly));

    let audio = self::published("firefox-offer-audio.sdp");
    assert_eq!(audio.tracks.iter().map(codecs).collect::<Vec<_>>(), [[Codec::Opus]]);
}

#[test]
fn the_dependency_descriptor_is_taken_for_av1_alone() {
    for (name, id) in [
        ("chromium-offer-av1-svc.sdp", 13),
        ("chromium-offer-vp9-svc.sdp", 0),
        ("chromium-offer-vp8-simulcast.sdp", 0),
        ("firefox-offer-simulcast.sdp", 0),
    ] {
        let published = published(name);
        assert_eq!(published.extensions.dependency_descriptor, id, "{name}");
        assert_eq!(published.answer.contains("dependency-descriptor"), id != 0, "{name}");
    }
}

#[test]
fn the_client_may_say_which_layer_is_smallest() {
    let rid = |text: &str| Rid::new(text.as_bytes()).expect("a rid");
    let told = [
        (rid("f"), PictureSize::new(320, 180)),
        (rid("h"), PictureSize::new(640, 360)),
        (rid("q"), PictureSize::new(1280, 720)),
    ];
    let ids = PublishIds { layers: &told, video_muted: true, ..PublishIds::new(AUDIO, VIDEO) };
    let published = publish(&fixture("chromium-offer-vp8-simulcast.sdp"), &ours(), &ids).expect("an offer");
    let track = video(&published);
    let layers: Vec<_> = track.layers.iter().map(|l| (l.layer.0, l.rid, l.size)).collect();
    assert_eq!(layers, [0, 1, 2].map(|n| (n as u8, told[n].0, Some(told[n].1))));
    assert!(track.muted && track.id == VIDEO);
    assert!(
        published.answer.contains("a=simulcast:recv q;h;f\r\n"),
        "the answer keeps the order of the offer"
    );
}

#[test]
fn what_is_not_published_is_refused_line_by_line() {
    let offer = fixture("chromium-offer-vp8-simulcast.sdp").replacen("a=sendonly", "a=recvonly", 1)
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
    let offer = offer.replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    let published = publish(&offer, &ours(), &PublishIds::new(AUDIO, VIDEO)).expect("video is still there");
    let session = Session::parse(&published.answer).expect("our answer");
    let ports: Vec<_> = session.media.iter().map(|m| (m.kind, m.rejected())).collect();
    assert_eq!(ports, [("audio", true), ("video", false), ("application", true)]);
    assert_eq!(session.bundle().collect::<Vec<_>>(), ["1"]);
    assert_eq!(session.media[1].candidates().count(), 2);
    assert_eq!(published.tracks.len(), 1);
}

#[test]
fn a_useless_offer_says_what_to_change() {
    let offer = fixture("chromium-offer-vp8-simulcast.sdp");
    let error =
        |offer: &str| publish(offer, &ours(), &PublishIds::new(AUDIO, VIDEO)).expect_err("a useless offer");
    assert!(matches!(error("hello"), Error::Sdp(_)));
    assert_eq!(error(&offer.replace("a=sendonly", "a=recvonly")), Error::NothingToPublish);
    assert_eq!(error(&offer.replace("a=setup:actpass", "a=setup:passive")), Error::NotActive);
    assert_eq!(error(&offer.replace("a=rtcp-mux\r\n", "")), Error::NoRtcpMux("0".into()));
    assert_eq!(error(&offer.replace("BUNDLE 0 1", "BUNDLE 0")), Error::NotBundled("1".into()));
    assert_eq!(error(&offer.replace("a=mid:1\r\n", "a=mid:0\r\n")), Error::BadMid);
    assert_eq!(error(&offer.replace("a=fingerprint:sha-256", "a=fingerprint:md5")), Error::NoFingerprint);
    assert_eq!(error(&offer.replace("a=ice-pwd", "a=ice-no")), Error::NoIce);
    assert_eq!(error(&offer.replace("VP8/90000", "H263/90000")), Error::NoCommonCodec("1".into()));
    let twice = offer.replace("m=audio", "m=video");
    assert_eq!(error(&twice), Error::TooManyTracks);
    let many: String = (0..5).map(|n| format!("a=rid:x{n} send\r\n")).collect();
    let layers = offer.replace("a=simulcast:send q;h;f\r\n", &(many + "a=simulcast:send x0;x1;x2;x3;x4\r\n"));
    assert_eq!(error(&layers), Error::TooManyLayers);
    for sentence in [error("hello"), error(&twice), error(&layers)].map(|e| e.to_string()) {
        assert!(!sentence.is_empty() && !sentence.contains('\n'));
    }
}

/// The connection whose answers were recorded: 2 video and 3 audio slots, then 4 and 6.
fn subscriber() -> Subscriber {
    Subscriber::new(ours(), 99)
}

#[test]
fn an_offer_has_a_line_for_every_slot() {
    let mut subscriber = subscriber();
    let text = subscriber.offer(2, 3);
    let offer = Session::parse(&text).expect("our offer");
    let kinds: Vec<_> = offer.media.iter().map(|m| m.kind).collect();
    assert_eq!(kinds, ["audio", "audio", "audio", "video", "video"]);
    assert_eq!(offer.bundle().collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    let stream = |n: usize| offer.media[n].attribute("msid").and_then(|m| m.split(' ').next());
    assert_eq!((stream(0), stream(1)), (stream(3), stream(4)), "audio and video go in pairs");
    assert_ne!(stream(0), stream(1));
    let mut ssrcs: Vec<_> = offer.media.iter().flat_map(|m| m.ssrcs()).collect();
    assert_eq!(ssrcs.len(), 3 + 2 * 2);
    ssrcs.sort();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 3 + 2 * 2, "all different");
    for media in &offer.media {
        assert_eq!((offer.direction(media), offer.setup(media)), (Direction::SendOnly, Some(Setup::ActPass)));
        assert!(media.has("rtcp-mux") && media.extmaps().all(|e| e.id < 15));
    }
    assert_eq!(offer.media[3].ssrc_groups().next().map(|g| g.ssrcs), Some(offer.media[3].ssrcs()));
}

#[test]
fn offers_only_grow() {
    let mut subscriber = subscriber();
    let small = subscriber.offer(2, 3);
    let large = subscriber.offer(4, 6);
    let again = subscriber.offer(1, 1);
    let [small, large, again] = [&small, &large, &again].map(|text| Session::parse(text).expect("our offer"));
    assert_eq!(large.media.len(), 10);
    assert_eq!(&large.media[..5], &small.media[..]);
    assert_eq!(again.media, large.media);
    let versions = [&small, &large, &again].map(|s| (s.origin.id, s.origin.version));
    assert_eq!(versions.map(|(_, version)| version), ["1", "2", "3"]);
    assert!(versions.iter().all(|(id, _)| *id == small.origin.id));
    assert_eq!(subscriber.offered(), (4, 6));
    assert!(subscriber.unanswered().is_some_and(|text| Session::parse(&text) == Ok(again)));
}

#[test]
fn recorded_answers_tell_what_each_slot_takes() {
    for (browser, h264_too, descriptor) in [("chromium", true, true), ("firefox", false, false)] {
        let mut subscriber = subscriber();
        subscriber.offer(2, 3);
        let first = subscriber.answer(&fixture(&format!("{browser}-answer-2v3a.sdp"))).expect(browser);
        let places: Vec<_> = first.slots.iter().map(|s| (s.slot.0, s.mid.to_string(), s.kind)).collect();
        let expected = [Kind::Audio, Kind::Audio, Kind::Audio, Kind::Video, Kind::Video];
        assert_eq!(
            places,
            (0..5).map(|n| (n as u16, n.to_string(), expected[n])).collect::<Vec<_>>(),
            "{browser}"
        );
        for slot in &first.slots {
            let has = |codec| slot.payloads.iter().any(|p| p.codec == codec);
            match slot.kind {
                Kind::Audio => {
                    assert!(has(Codec::Opus) && slot.rtx_ssrc.is_none(), "{browser}");
                    assert_eq!(has(Codec::Red), browser == "chromium");
                }
                Kind::Video => {
                    assert!(
                        has(Codec::Vp8) && has(Codec::Vp9 { profile: 0 }) && has(Codec::Av1 { profile: 0 })
                    );
                    assert_eq!(
                        (has(h264(0x42e0, 1)), has(h264(0x4200, 1))),
                        (h264_too, h264_too),
                        "{browser}"
                    );
                    assert!(
                        slot.rtx_ssrc.is_some() && slot.payloads.iter().all(|p| p.rtx.is_some()),
                        "{browser}"
                    );
                }
            }
        }
        let ids = first.extensions;
        assert_eq!((ids.mid, ids.twcc, ids.abs_send_time, ids.playout_delay), (4, 3, 2, 5), "{browser}");
        assert_eq!(
            (ids.dependency_descriptor != 0, ids.video_orientation != 0),
            (descriptor, descriptor),
            "{browser}"
        );
        assert_eq!(first.remote.fingerprints.len(), 1);

        subscriber.offer(4, 6);
        let second = subscriber.answer(&fixture(&format!("{browser}-answer-4v6a.sdp"))).expect(browser);
        let added: Vec<_> = second.slots.iter().map(|s| s.slot.0).collect();
        assert_eq!(added, [5, 6, 7, 8, 9], "{browser}: only the new ones");
        assert_eq!(second.remote, first.remote, "{browser}");
    }
}

#[test]
fn a_refused_slot_stays_in_its_place_without_payloads() {
    let mut subscriber = subscriber();
    subscriber.offer(2, 3);
    let answer = fixture("chromium-answer-2v3a.sdp");
    let at = answer.rfind("m=video 9").expect("the last slot");
    let refused = answer[..at].to_owned() + &answer[at..].replacen("m=video 9", "m=video 0", 1);
    let answered = subscriber.answer(&refused).expect("the others are taken");
    assert_eq!(answered.slots.len(), 5);
    assert!(answered.slots[3].payloads.len() > 3);
    assert!(answered.slots[4].payloads.is_empty() && answered.slots[4].rtx_ssrc.is_none());
}

#[test]
fn a_restart_changes_the_credentials_and_nothing_else() {
    let mut subscriber = subscriber();
    let before = subscriber.offer(2, 3);
    let answer = fixture("chromium-answer-2v3a.sdp");
    subscriber.answer(&answer).expect("the first answer");
    let new = IceCredentials { ufrag: "theirs".into(), pwd: "another-password-of-many-letters".into() };
    let after = subscriber.restart(new);
    let (before, after) = (Session::parse(&before).expect("offer"), Session::parse(&after).expect("offer"));
    assert_eq!(before.media, after.media);
    assert_eq!(after.attribute("ice-ufrag"), Some("theirs"));
    assert_eq!(after.attribute("fingerprint"), before.attribute("fingerprint"));
    let again = subscriber.answer(&answer).expect("the second answer");
    assert!(again.slots.is_empty(), "no new slots");
}

#[test]
fn a_wrong_answer_is_refused_and_the_right_one_still_taken() {
    let mut subscriber = subscriber();
    let answer = fixture("chromium-answer-2v3a.sdp");
    assert_eq!(subscriber.answer(&answer).expect_err("no offer yet"), Error::NoOffer);
    subscriber.offer(2, 3);
    let larger = fixture("chromium-answer-4v6a.sdp");
    assert_eq!(subscriber.answer(&larger).expect_err("of another offer"), Error::WrongAnswer);
    let swapped = answer.replace("a=mid:1", "a=mid:7");
    assert_eq!(subscriber.answer(&swapped).expect_err("unknown mid"), Error::WrongAnswer);
    let server = answer.replace("a=setup:active", "a=setup:passive");
    assert_eq!(subscriber.answer(&server).expect_err("two DTLS servers"), Error::NotActive);
    let nothing = answer.replace("m=audio 9", "m=audio 0").replace("m=video 9", "m=video 0");
    assert_eq!(subscriber.answer(&nothing).expect_err("nothing taken"), Error::WrongAnswer);
    subscriber.answer(&answer).expect("the right one");
    assert_eq!(subscriber.answer(&answer).expect_err("answered already"), Error::NoOffer);
}
