//! Publishers are asked for keyframes seldom, however many viewers need one.

use crate::sim::network::Link;
use crate::sim::{World, tile};

#[test]
fn many_viewers_one_request() {
    let mut world = World::new(2, 60);
    let (publisher, _, video) = world.publish(Link::good(), &[(320, 180), (640, 360), (1280, 720)]);
    let viewers: Vec<_> = (0..20).map(|_| world.view(Link::good(), 1)).collect();
    world.run_ms(3000);
    let before = world.publisher(publisher).plis.len();
    viewers.iter().for_each(|v| world.watch(*v, 1, Some(video), tile(1280, 720)));
    world.run_ms(1000);
    assert_eq!(world.publisher(publisher).plis.len() - before, 1);
    for viewer in &viewers {
        assert_eq!(world.viewer(*viewer).slot(1).layer(), Some(2));
    }
}

#[test]
fn a_viewer_that_asks_all_the_time_gets_two_a_second() {
    let mut world = World::new(1, 61);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(1000);
    let before = world.publisher(publisher).plis.len();
    for _ in 0..200 {
        world.viewers.get_mut(&viewer).expect("is there").pli(1);
        world.run_ms(25);
    }
    let asked = world.publisher(publisher).plis.len() - before;
    assert!((8..=11).contains(&asked), "{asked} in 5 s");
}

#[test]
fn a_lost_request_is_repeated() {
    let mut world = World::new(1, 62);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(3000);
    world.peers[publisher].down.cut = true;
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(300);
    world.peers[publisher].down.cut = false;
    world.run_ms(1000);
    assert!(world.viewer(viewer).slot(1).frames.len() > 10);
}

#[test]
fn a_joiner_begins_with_a_keyframe_at_hand() {
    let mut world = World::new(1, 63);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let first = world.view(Link::good(), 1);
    let second = world.view(Link::good(), 1);
    world.run_ms(3000);
    world.watch(first, 1, Some(video), tile(640, 360));
    world.run_ms(400);
    let before = world.publisher(publisher).plis.len();
    world.watch(second, 1, Some(video), tile(640, 360));
    world.run_ms(100);
    assert_eq!(world.publisher(publisher).plis.len(), before);
    let slot = world.viewer(second).slot(1);
    assert!(slot.frames.len() > 8, "the backlog comes at once: {}", slot.frames.len());
    slot.assert_continuous();
}
