//! WHIP and WHEP: clients that post their offers publish to and watch from the real server.

use std::net::Ipv4Addr;

use millrace_load::publisher::Video;
use millrace_load::report::progress::Progress;
use millrace_load::scenario::elsewhere::Server;
use millrace_load::scenario::run::{Options, run};
use millrace_load::scenario::whip::Whip;
use millrace_load::scenario::{Cohort, Publishing, Watching, known};
use millrace_load::web::Room;
use serde_json::Value;

use crate::server::on_two_shards;

#[test]
fn who_posts_an_offer_publishes_and_who_posts_another_watches() {
    for (media, simulcast) in [(Video::Vp8, true), (Video::H264, false)] {
        let publish = Publishing { media, simulcast, ..Publishing::default() };
        let viewers = Cohort { check_share: 0.5, ..Cohort::new("viewers", 4) };
        let scenario = known::webinar(2, Some((1, publish)), viewers, Watching::default());
        let mut report = Value::Null;
        on_two_shards(Ipv4Addr::LOCALHOST.into(), async |link| {
            let room = Room::from_link(&link).expect("a room");
            let at = |kind: &str| room.server.join(&format!("/{kind}/{}", room.gid)).expect("a URL");
            let whip =
                Whip { whip: vec![at("whip")], whep: vec![at("whep")], bearer: Some(room.pin.clone()) };
            let elsewhere = Some(Server::Whip(whip));
            let options = Options { rooms: vec![], elsewhere, threads: 1, server_pid: None };
            let played = run(scenario, options, &Progress::new(true)).await.expect("a report");
            assert!(played.complete(), "{played}");
            report = played.json();
        });
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).expect("a number");
        assert_eq!((number("/groups/0/joined"), number("/groups/1/joined")), (1.0, 4.0), "{report}");
        assert_eq!(number("/groups/1/firstFrameMs/count"), 4.0, "{report}");
        assert!(number("/groups/1/checked") > 20.0, "{report}");
        assert_eq!((number("/groups/1/broken"), number("/groups/1/refused")), (0.0, 0.0), "{report}");
        assert!(number("/groups/1/soundLatencyMs/count") > 20.0, "{report}");
    }
}
