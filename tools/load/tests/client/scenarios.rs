//! Scenarios, small ones, against the real server: who is to come comes, sees and is reported.

use std::net::Ipv4Addr;

use millrace_load::publisher::Video;
use millrace_load::report::progress::Progress;
use millrace_load::scenario::run::{Options, run};
use millrace_load::scenario::{Cohort, Layout, Publishing, Scenario, Watching, known};
use millrace_load::web::Room;
use serde_json::Value;

use crate::server::on_two_shards;

/// Its report, cohort by cohort.
fn play(scenario: Scenario) -> Vec<Value> {
    let mut report = Value::Null;
    on_two_shards(Ipv4Addr::LOCALHOST.into(), async |link| {
        let rooms = vec![Room::from_link(&link).expect("a room")];
        let options = Options { rooms, elsewhere: None, threads: 1, server_pid: None };
        let played = run(scenario, options, &Progress::new(true)).await.expect("a report");
        assert!(played.complete(), "{played}");
        report = played.json();
    });
    let groups = report.get("groups").and_then(Value::as_array).cloned().expect("cohorts");
    for group in &groups {
        assert_eq!((number(group, "/broken"), number(group, "/refused")), (0.0, 0.0), "{group}");
    }
    groups
}

fn number(group: &Value, pointer: &str) -> f64 {
    group.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {group}"))
}

fn encoded(simulcast: bool) -> Publishing {
    Publishing { media: Video::Vp8, simulcast, ..Publishing::default() }
}

#[test]
fn people_who_come_one_by_one_and_see_each_other_all_come() {
    let people = Cohort { joins: 1, check_share: 1.0, ..Cohort::new("people", 3) };
    let layout: Layout = "3x3".parse().expect("a layout");
    let groups = play(known::conference(2, 1, people, layout, encoded(true)));
    let [people] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!(number(people, "/firstFrameMs/count"), 3.0);
    assert!(number(people, "/checked") > 20.0 && number(people, "/soundLatencyMs/count") > 20.0, "{people}");
}

#[test]
fn an_audience_sees_one_stage() {
    let viewers = Cohort { check_share: 0.5, reference_share: 0.2, ..Cohort::new("viewers", 6) };
    let watch = Watching { audio: false, ..Watching::default() };
    let groups = play(known::webinar(2, Some((1, encoded(false))), viewers, watch));
    let [stage, viewers] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((number(stage, "/joined"), number(viewers, "/firstFrameMs/count")), (1.0, 6.0));
    assert!(number(viewers, "/reference") > 20.0 && number(viewers, "/latencyMs/count") > 20.0, "{viewers}");
}

#[test]
fn who_passes_by_comes_and_leaves_while_others_watch() {
    let publish = Publishing { simulcast: false, audio: false, ..Publishing::default() };
    let groups = play(known::churn(4, publish, Cohort::new("watching", 2), 2.0, 1.0));
    let [_, watching, passing] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((number(watching, "/joined"), number(passing, "/joined")), (2.0, 8.0));
    assert!(number(passing, "/kbpsPerViewer") > 0.0, "{passing}");
}
