//! What the native client writes is what the server's negotiation understands.

use millrace::control::negotiate::{Ours as Server, PublishIds, Subscriber, publish};
use millrace::router::command::{IceCredentials, Kind};
use millrace::router::id::TrackId;
use millrace::wire::sdp::{Direction, Session, Setup};
use millrace_load::identity::{certificate, fingerprint};
use millrace_load::measure::Meter;
use millrace_load::peer::random_credentials;
use millrace_load::publisher::{Publisher, Video};
use millrace_load::scenario::Publishing;
use millrace_load::sdp::{self, Ours};

fn server() -> Server {
    Server {
        ice: IceCredentials { ufrag: "serv".into(), pwd: "server-server-server-server".into() },
        candidates: vec!["127.0.0.1:4433".parse().expect("an address")],
        streams: Vec::new(),
        fingerprint: [7; 32],
    }
}

#[test]
fn a_publishers_offer_is_accepted_with_and_without_simulcast_and_sound() {
    let (packets, h264) = (Video::Packets, Video::H264);
    for (media, simulcast, audio) in
        [(packets, false, false), (packets, false, true), (packets, true, true), (h264, true, true)]
    {
        let certificate = certificate().expect("a certificate");
        let (ice, fingerprint) = (random_credentials(), fingerprint(&certificate));
        let publishing = Publishing { media, simulcast, audio, ..Publishing::default() };
        let meter = std::sync::Arc::new(Meter::new(std::sync::Arc::default()));
        let publisher = Publisher::new(std::time::Instant::now(), publishing.plan(), 0, meter);
        let offering = publisher.offered();
        let offer = sdp::offer(&Ours::new(&ice, &fingerprint), &offering);
        let track = |index| TrackId { index, generation: 0 };
        let published = publish(&offer, &server(), &PublishIds::new(track(0), track(1))).expect("accepted");
        let kinds: Vec<_> = published.tracks.iter().map(|t| t.kind).collect();
        assert_eq!(kinds.contains(&Kind::Audio), audio);
        let track = published.tracks.iter().find(|t| t.kind == Kind::Video).expect("video");
        assert_eq!(track.layers.len(), if simulcast { 3 } else { 0 });
        if !simulcast {
            assert_eq!(track.ssrcs, [(offering.video[0].ssrc, Some(offering.video[0].rtx_ssrc))]);
        }
        assert_eq!(published.remote.ice, ice);
        assert_eq!(published.remote.fingerprints, [fingerprint]);

        let (remote, extensions) = sdp::read_answer(&published.answer).expect("readable");
        assert_eq!(remote.ice, server().ice);
        assert_eq!(remote.candidates, server().candidates);
        assert!(extensions.transport_seq != 0 && extensions.mid != 0);
        assert!(extensions.rid != 0 || !simulcast);
    }
}

#[test]
fn a_viewer_who_begins_tells_where_it_is_and_what_it_can_take() {
    let certificate = certificate().expect("a certificate");
    let (ice, fingerprint) = (random_credentials(), fingerprint(&certificate));
    let address = "192.0.2.7:5000".parse().expect("an address");
    for (audio, video, streams) in [(true, true, 2), (false, true, 1), (true, false, 1)] {
        let wish = sdp::wish(&Ours::new(&ice, &fingerprint).at(address), audio, video);
        let session = Session::parse(&wish).expect("well-formed");
        assert_eq!(session.media.len(), streams);
        assert_eq!(session.bundle().count(), streams);
        for media in &session.media {
            assert_eq!(media.candidates().map(|c| c.address).collect::<Vec<_>>(), [address]);
            assert_eq!(session.direction(media), Direction::RecvOnly);
            assert_eq!(session.setup(media), Some(Setup::ActPass), "the server chooses");
        }
        let offered = sdp::read_offer(&wish).expect("readable");
        assert!(!offered.remote.begins);
        let codecs = offered.payloads.iter().filter(|p| p.codec.is_some()).count();
        assert_eq!(codecs, if video { 2 } else { 0 });
        assert_eq!(offered.payloads.iter().any(|p| p.audio), audio);
    }
    let answer = sdp::wish(&Ours::new(&ice, &fingerprint).at(address), true, true);
    let answer = sdp::read_offer(&answer.replace("a=setup:actpass", "a=setup:active")).expect("readable");
    assert!(answer.remote.begins, "who is active begins");
}

#[test]
fn a_viewers_answer_is_accepted_also_when_slots_are_added() {
    let certificate = certificate().expect("a certificate");
    let (ice, fingerprint) = (random_credentials(), fingerprint(&certificate));
    let ours = Ours::new(&ice, &fingerprint);
    let mut subscriber = Subscriber::new(server(), 1);
    for (video, audio) in [(2, 3), (4, 6)] {
        let offer = subscriber.offer(video, audio);
        let answered = subscriber.answer(&sdp::answer(&ours, &offer).expect("an answer")).expect("accepted");
        assert_eq!(answered.remote.ice, ice);
        let offered = sdp::read_offer(&offer).expect("readable");
        assert_eq!(offered.repairs.len(), video, "every video slot has its retransmissions");
        assert!(offered.payloads.iter().any(|p| p.codec.is_some() && !p.audio));
    }
}
