//! An audience stays over an upgrade: nobody connects anew, by signalling or by WHIP and WHEP.

use std::path::Path;
use std::time::{Duration, Instant};

use millrace_load::report::progress::Progress;
use millrace_load::scenario::elsewhere::Server;
use millrace_load::scenario::run::{Options, run};
use millrace_load::scenario::whip::Whip;
use millrace_load::scenario::{Cohort, Publishing, Watching, known};
use millrace_load::web::Room;
use serde_json::Value;

use crate::program::{Running, ask};
use crate::{follow, start};

const VIEWERS: usize = 20;
/// Nothing here takes longer on any machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `/metrics` says of something, all shards together.
fn metric(server: &Running, data: &Path, name: &str) -> u64 {
    let key = std::fs::read_to_string(data.join("admin.token")).expect("the server's own");
    let asker = format!("authorization: Bearer {}\r\n", key.trim_end());
    let metrics = ask(server.port(), "/metrics", &asker).expect("answered");
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    let values = lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()));
    values.sum::<Option<u64>>().unwrap_or_else(|| panic!("no {name}: {metrics}"))
}

/// Waits until all have watched for about two seconds, and upgrades.
fn upgrade(server: Running, data: &Path) -> Running {
    let asked = Instant::now();
    while metric(&server, data, "millrace_media_sent_packets_total") < VIEWERS as u64 * 400 {
        assert!(asked.elapsed() < PATIENCE, "nobody watches");
        std::thread::sleep(Duration::from_millis(20));
    }
    follow(server, data, "auto")
}

fn watched(posted: bool) -> Value {
    let data = tempfile::tempdir().expect("a folder");
    let server = start(data.path());
    let room = Room::from_link(&server.link.replace("localhost", "127.0.0.1")).expect("a room");
    let viewers = Cohort { check_share: 1.0, ..Cohort::new("viewers", VIEWERS) };
    let publish = Publishing::default();
    let scenario = known::webinar(5, Some((1, publish)), viewers, Watching::default());
    let at = |kind: &str| room.server.join(&format!("/{kind}/{}", room.gid)).expect("a URL");
    let elsewhere = posted.then(|| {
        Server::Whip(Whip { whip: vec![at("whip")], whep: vec![at("whep")], bearer: Some(room.pin.clone()) })
    });
    let rooms = if posted { vec![] } else { vec![room.clone()] };
    let options = Options { rooms, elsewhere, threads: 1, server_pid: None };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = data.path().to_owned();
        let upgraded = tokio::task::spawn_blocking(move || upgrade(server, &folder));
        let played = run(scenario, options, &Progress::new(true)).await.expect("a report");
        assert!(played.complete(), "{played}");
        let server = upgraded.await.expect("it makes way");
        assert_eq!(metric(&server, data.path(), "millrace_handshakes_total"), 0, "nobody connects anew");
        played.json()
    })
}

#[test]
fn who_watches_a_webinar_goes_on_watching() {
    for posted in [false, true] {
        let report = watched(posted);
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).expect("a number");
        assert_eq!((number("/groups/0/joined"), number("/groups/1/joined")), (1.0, VIEWERS as f64));
        assert_eq!((number("/groups/1/broken"), number("/groups/1/doubled")), (0.0, 0.0), "{report}");
        println!("lost of five seconds: {} %", number("/groups/1/lossPercent"));
    }
}
