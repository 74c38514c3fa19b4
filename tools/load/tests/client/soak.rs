//! Everything at once for a few seconds: nothing is missed, stuck or left. `millrace-load soak` does it for half an hour.

use std::net::Ipv4Addr;
use std::time::Duration;

use millrace_load::report::progress::Progress;
use millrace_load::soak::{self, Deed, Plan};
use millrace_load::web::Room;

use crate::server::on_two_shards;

#[test]
fn people_come_move_and_go_and_each_of_them_is_told_of_once() {
    on_two_shards(Ipv4Addr::LOCALHOST.into(), async |link| {
        let plan = Plan {
            room: Room::from_link(&link).expect("a room"),
            length: Duration::from_secs(5),
            joins: 8.0,
            stay: Duration::from_secs(3),
            publishers: 2,
            // Sessions that were lost are kept for half a minute: too long for a test.
            crashes: 0.0,
            seed: 1,
            server_pid: None,
            metrics: None,
        };
        let report = soak::run(plan, 1, &Progress::new(true)).await.expect("it runs");
        assert!(report.fine(), "{report}");
        for deeds in [&[Deed::Join][..], &[Deed::Frame], &[Deed::Move, Deed::Restart, Deed::Resize]] {
            assert!(deeds.iter().any(|deed| report.count(*deed) > 0), "{deeds:?} are missing of {report}");
        }
    });
}
