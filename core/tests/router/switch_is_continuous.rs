//! Whatever fills a slot, the viewer sees one stream: sequence numbers without a hole, timestamps and picture numbers that
//! only grow, and timestamps in step with time.

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn up_and_down_between_layers() {
    let mut world = World::new(1, 20);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(320, 180));
    world.run_ms(2000);
    for round in 0..20 {
        let (width, height) = HD[[2, 0, 1, 2, 1, 0][round % 6]];
        world.set_view(viewer, 1, tile(width, height));
        world.run_ms(900);
        assert_eq!(world.viewer(viewer).slot(1).layer(), Some([2, 0, 1, 2, 1, 0][round % 6]));
    }
    let slot = world.viewer(viewer).slot(1);
    slot.assert_continuous();
    // The publisher's reports align the layers: frames keep their distance within a few ticks.
    for pair in slot.frames.windows(2) {
        let passed = (pair[1].number as i64 - pair[0].number as i64) * 3000;
        let step = i64::from(pair[1].ts.wrapping_sub(pair[0].ts));
        assert!((step - passed).abs() <= 20 || passed == 0, "{pair:?}");
    }
}

#[test]
fn between_publishers() {
    let mut world = World::new(1, 21);
    let (_, _, first) = world.publish(Link::good(), &HD);
    let (_, _, second) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    let (mut time, mut ts) = (None, None);
    for round in 0..10 {
        let track = if round % 2 == 0 { first } else { second };
        world.watch(viewer, 1, Some(track), tile(640, 360));
        world.run_ms(1500);
        let last = world.viewer(viewer).slot(1).frames.last().expect("decoded").to_owned();
        if let (Some(time), Some(ts)) = (time.replace(last.at), ts.replace(last.ts)) {
            let passed = last.at.since(time).as_micros() as i64 * 9 / 100;
            let counted = i64::from(last.ts.wrapping_sub(ts));
            assert!((passed - counted).abs() < 90 * 40, "{passed} {counted}");
        }
    }
    world.viewer(viewer).slot(1).assert_continuous();
}

#[test]
fn a_publisher_that_begins_anew() {
    let mut world = World::new(1, 22);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(2000);
    world.publishers.get_mut(&publisher).expect("is there").change_ssrcs();
    world.run_ms(2000);
    let slot = world.viewer(viewer).slot(1);
    slot.assert_continuous();
    assert!(slot.frames.len() > 110, "{}", slot.frames.len());
}

#[test]
fn sound_and_picture_keep_their_relation() {
    let mut world = World::new(1, 23);
    let (_, audio, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(320, 180));
    world.run_ms(2000);
    world.set_view(viewer, 1, tile(1280, 720));
    world.run_ms(4000);
    // By our reports, sound and picture that were captured together have the same time.
    let captured = |slot: u16, rate: i64| {
        let slot = world.viewer(viewer).slot(slot);
        let (_, info) = slot.reports.last().expect("reports");
        let (_, got) = slot.packets.iter().next_back().expect("packets");
        let ticks = i64::from(got.ts.wrapping_sub(info.ts.0) as i32);
        let said = ((u128::from(info.ntp) * 1_000_000) >> 32) as i64 + ticks * 1_000_000 / rate;
        said - got.at.as_micros() as i64
    };
    let (sound, picture) = (captured(0, 48_000), captured(1, 90_000));
    assert!((sound - picture).abs() < 3_000, "{sound} {picture}");
}
