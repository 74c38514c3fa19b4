//! Publishers are asked for keyframes seldom, however many viewers need one; and who joins soon after another needs none.

use millrace::router::id::TrackId;
use millrace::units::{Duration, Instant};

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
fn viewers_that_ask_all_the_time_get_a_small_share() {
    for factor in [3, 8, 20] {
        let mut world = World::new(1, 61);
        let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
        world.publishers.get_mut(&publisher).expect("is there").keyframe_factor = factor;
        let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
        world.run_ms(1000);
        viewers.iter().for_each(|v| world.watch(*v, 1, Some(video), tile(640, 360)));
        world.run_ms(3000);
        let seen = world.publisher(publisher);
        let (before, asked) = (seen.video_bytes, seen.plis.len());
        for n in 0..1200 {
            world.viewers.get_mut(&viewers[n % 2]).expect("is there").pli(1);
            world.run_ms(25);
        }
        let seen = world.publisher(publisher);
        let (all, keyframes) = (seen.video_bytes.0 - before.0, seen.video_bytes.1 - before.1);
        let (share, asked) = (keyframes * 100 / all, seen.plis.len() - asked);
        // One may have been saved up before.
        assert!(share <= 17, "{share} % at {factor} times");
        assert!(asked >= 6, "{asked} in 30 s at {factor} times");
    }
}

#[test]
fn a_wish_that_crossed_the_keyframe_is_no_wish() {
    let mut world = World::new(1, 64);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let mut far = Link::good();
    far.delay = Duration::from_millis(100);
    let viewer = world.view(far, 1);
    world.run_ms(3000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    // Its report tells the round trip.
    world.run_ms(3000);
    let before = world.publisher(publisher).plis.len();
    // Lost for so long that it asks; asking goes on until the keyframe is there.
    for _ in 0..10 {
        world.viewers.get_mut(&viewer).expect("is there").pli(1);
        world.run_ms(30);
    }
    world.run_ms(2000);
    assert_eq!(world.publisher(publisher).plis.len() - before, 1);
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

/// When each viewer was told to watch, and how long it then took until it could decode.
fn waits(world: &World, joined: &[(usize, Instant)]) -> Vec<Duration> {
    let first = |viewer: usize| world.viewer(viewer).slot(1).frames.first().map(|frame| frame.at);
    joined.iter().map(|(viewer, at)| first(*viewer).expect("decoded").since(*at)).collect()
}

fn a_hundred_join_within_a_second(shards: u8, view: impl Fn(&mut World, usize, TrackId)) {
    let mut world = World::new(shards, 65);
    let mut near = Link::good();
    near.delay = Duration::from_micros(200);
    let (publisher, _, video) = world.publish(near.clone(), &[(320, 180), (640, 360), (1280, 720)]);
    let viewers: Vec<_> = (0..100).map(|_| world.view(near.clone(), 1)).collect();
    world.run_ms(5000);
    let before = world.publisher(publisher).keyframes.len();
    let mut joined = vec![];
    for viewer in viewers {
        view(&mut world, viewer, video);
        joined.push((viewer, world.now));
        world.run_ms(10);
    }
    world.run_ms(1000);
    let made = world.publisher(publisher).keyframes.len() - before;
    assert!(made <= 2, "{made} keyframes");
    let longest = waits(&world, &joined).into_iter().max().unwrap_or_default();
    assert!(longest < Duration::from_millis(300), "{longest:?}");
    for (viewer, _) in joined {
        let slot = world.viewer(viewer).slot(1);
        slot.assert_continuous();
        // It catches up with what is live, and never stands still.
        assert!(slot.longest_freeze() < Duration::from_millis(60), "{:?}", slot.longest_freeze());
        let last = slot.frames.last().expect("decoded");
        assert!(world.now.since(last.at) < Duration::from_millis(40));
    }
}

#[test]
fn a_hundred_joiners_in_a_second_cost_a_keyframe_or_two() {
    a_hundred_join_within_a_second(1, |world, viewer, video| {
        world.watch(viewer, 1, Some(video), tile(1280, 720));
    });
}

#[test]
fn on_another_shard_too() {
    a_hundred_join_within_a_second(2, |world, viewer, video| {
        world.watch(viewer, 1, Some(video), tile(640, 360));
    });
}

#[test]
fn who_joins_long_after_a_keyframe_gets_a_new_one_and_not_the_past() {
    let mut world = World::new(1, 66);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
    world.run_ms(3000);
    world.watch(viewers[0], 1, Some(video), tile(640, 360));
    world.run_ms(1700);
    let before = world.publisher(publisher).keyframes.len();
    world.watch(viewers[1], 1, Some(video), tile(640, 360));
    world.run_ms(100);
    assert_eq!(world.publisher(publisher).keyframes.len(), before + 1);
    let slot = world.viewer(viewers[1]).slot(1);
    assert!((1..4).contains(&slot.frames.len()), "{}", slot.frames.len());
}

#[test]
fn a_first_watcher_on_another_shard_begins_with_the_keyframe_at_hand() {
    let mut world = World::new(2, 67);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
    world.flows.extend([(10_000, 0), (10_001, 0), (10_002, 1)]);
    world.run_ms(3000);
    world.watch(viewers[0], 1, Some(video), tile(640, 360));
    world.run_ms(700);
    let before = world.publisher(publisher).plis.len();
    world.watch(viewers[1], 1, Some(video), tile(640, 360));
    world.run_ms(50);
    assert_eq!(world.owner(viewers[1]), Some(1));
    assert!(world.viewer(viewers[1]).slot(1).frames.len() > 15, "the backlog comes at once");
    world.run_ms(3000);
    assert_eq!(world.publisher(publisher).plis.len(), before);
    world.viewer(viewers[1]).slot(1).assert_continuous();
}

#[test]
fn what_comes_while_hands_are_shaken_is_still_there_afterwards() {
    let mut world = World::new(1, 68);
    let (publisher, sound, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
    world.peers[viewers[1]].secures = false;
    world.run_ms(3000);
    world.watch(viewers[0], 1, Some(video), tile(640, 360));
    world.run_ms(200);
    let before = world.publisher(publisher).plis.len();
    world.watch(viewers[1], 0, Some(sound), tile(0, 0));
    world.watch(viewers[1], 1, Some(video), tile(640, 360));
    world.run_ms(300);
    world.secure(viewers[1]);
    world.run_ms(50);
    let viewer = world.viewer(viewers[1]);
    assert!(viewer.slot(1).frames.len() > 12, "{} frames", viewer.slot(1).frames.len());
    viewer.slot(1).assert_continuous();
    // Sound of the past would only delay what is said now.
    assert!((2..8).contains(&viewer.slot(0).packets.len()), "{}", viewer.slot(0).packets.len());
    assert_eq!(world.publisher(publisher).plis.len(), before);
}

#[test]
fn a_keyframe_is_asked_for_while_hands_are_shaken_and_only_once() {
    let mut world = World::new(1, 69);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.peers[viewer].secures = false;
    world.run_ms(3000);
    let before = world.publisher(publisher).plis.len();
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(300);
    world.secure(viewer);
    // No longer than the packets take to the viewer.
    world.run_ms(25);
    assert!(!world.viewer(viewer).slot(1).frames.is_empty());
    assert_eq!(world.publisher(publisher).plis.len() - before, 1);

    let silent = world.view(Link::good(), 1);
    world.peers[silent].secures = false;
    world.run_ms(1000);
    let before = world.publisher(publisher).plis.len();
    world.watch(silent, 1, Some(video), tile(640, 360));
    world.run_ms(10_000);
    assert!(world.publisher(publisher).plis.len() - before <= 1, "it may never come");
}

#[test]
fn a_publisher_may_have_its_keys_before_we_have_ours() {
    let mut world = World::new(1, 70);
    let (publisher, _, video) = world.publish(Link::good(), &[(640, 360)]);
    world.peers[publisher].secures = false;
    while world.owner(publisher).is_none() {
        world.run_ms(1);
    }
    // In DTLS 1.3 the client is done first, and what it sends at once overtakes our worker.
    world.peers[publisher].secured = true;
    world.publishers.get_mut(&publisher).expect("is there").send_layer(0, true);
    world.run_ms(60);
    world.secure(publisher);
    assert_eq!(world.routers[0].counters().drops.no_keys, 0);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(100);
    let before = world.publisher(publisher).plis.len();
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(50);
    assert!(!world.viewer(viewer).slot(1).frames.is_empty());
    assert_eq!(world.publisher(publisher).plis.len(), before);
}
