//! What the native client writes is what the server's negotiation understands.

use millrace::control::negotiate::{Ours as Server, PublishIds, Subscriber, publish};
use millrace::router::command::{IceCredentials, Kind};
use millrace::router::id::TrackId;
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
        let offer = sdp::offer(&Ours { ice: &ice, fingerprint: &fingerprint }, &offering);
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
fn a_viewers_answer_is_accepted_also_when_slots_are_added() {
    let certificate = certificate().expect("a certificate");
    let (ice, fingerprint) = (random_credentials(), fingerprint(&certificate));
    let ours = Ours { ice: &ice, fingerprint: &fingerprint };
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
