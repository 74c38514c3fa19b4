//! Who sends no valid check for 30 s is lost, and is sent nothing; who comes back is found (RFC 7675).

use millrace::router::event::Event;

use crate::sim::network::Link;
use crate::sim::{World, tile};

#[test]
fn lost_after_thirty_seconds_and_found_again() {
    let mut world = World::new(1, 40);
    let (_, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(2000);
    let since = world.now;
    world.peers[viewer].up.cut = true;
    world.run_ms(29_000);
    assert!(!world.events.iter().any(|(_, e)| matches!(e, Event::Lost(_))));
    world.run_ms(2000);
    let lost = world.events.iter().find(|(_, e)| matches!(e, Event::Lost(s) if *s == world.peers[viewer].id));
    let silence = lost.expect("lost").0.since(since).as_secs_f64();
    assert!((29.0..=30.5).contains(&silence), "{silence}");
    let before = world.viewer(viewer).slot(1).packets.len();
    world.run_ms(3000);
    assert!(world.viewer(viewer).slot(1).packets.len() <= before + 2, "nothing is sent without consent");
    world.peers[viewer].up.cut = false;
    world.run_ms(2000);
    assert!(world.events.iter().any(|(_, e)| matches!(e, Event::Found(s) if *s == world.peers[viewer].id)));
    assert!(world.viewer(viewer).slot(1).packets.len() > before + 50);
}
