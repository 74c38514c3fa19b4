//! What the headers of packets to viewers carry: the mid until it is known, transport-wide numbers for all packets of a
//! connection, the publisher's audio level, and when sound and picture were captured.

use millrace::units::{Duration, Instant};

use crate::sim::network::Link;
use crate::sim::{World, tile};

#[test]
fn mid_at_first_levels_and_transport_numbers_always() {
    let mut world = World::new(1, 110);
    let (publisher, audio, video) = world.publish(Link::good(), &[(320, 180), (640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.publishers.get_mut(&publisher).expect("is there").level = 33;
    world.run_ms(100);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(5000);
    let (sound, picture) = (world.viewer(viewer).slot(0), world.viewer(viewer).slot(1));
    for slot in [sound, picture] {
        assert!(slot.packets.values().take(10).all(|got| got.mid));
        assert!(slot.packets.values().rev().take(50).all(|got| !got.mid));
    }
    assert!(sound.packets.values().all(|got| got.level == Some(33 | 0x80)));
    assert!(picture.packets.values().all(|got| got.level.is_none()));
    let both = sound.packets.values().chain(picture.packets.values());
    let mut numbers: Vec<_> = both.map(|got| got.transport_seq.expect("negotiated")).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "one count for the whole connection");
}

#[test]
fn capture_times_are_told_against_our_clock() {
    for shards in [1, 2] {
        let mut world = World::new(shards, 111);
        let (publisher, audio, video) = world.publish(Link::good(), &[(320, 180)]);
        world.publishers.get_mut(&publisher).expect("is there").tells_capture = true;
        let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
        world.run_ms(1000);
        for viewer in viewers {
            world.watch(viewer, 0, Some(audio), tile(0, 0));
            world.watch(viewer, 1, Some(video), tile(640, 360));
        }
        world.run_ms(3000);
        for (viewer, slot) in viewers.into_iter().flat_map(|viewer| [(viewer, 0), (viewer, 1)]) {
            let got = world.viewer(viewer).slot(slot).packets.values();
            let told: Vec<_> = got.filter_map(|got| Some((got.at, got.captured?))).collect();
            assert!(told.len() > 3, "{}", told.len());
            // The first pictures are of before the viewer came.
            for (at, captured) in told.into_iter().skip(2) {
                // Captured by our clock; 20 ms lie between, and the publisher's way is taken for its clock's error.
                let ours =
                    i128::from(captured.ntp) - i128::from(captured.clock_offset.expect("the long form"));
                let late = at.as_micros() as i128 - ((ours * 1_000_000) >> 32);
                assert!((0..40_000).contains(&late), "{late} us");
            }
        }
    }
}

#[test]
fn reports_and_capture_times_go_by_the_time_of_day() {
    let mut world = World::new(1, 64);
    let unix = Duration::from_secs(1_800_000_000);
    let (now, ntp) = (world.now, unix + Duration::from_secs(2_208_988_800));
    world.routers[0].set_time(now, unix);
    let (publisher, audio, _) = world.publish(Link::good(), &[]);
    world.publishers.get_mut(&publisher).expect("is there").tells_capture = true;
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.run_ms(6000);
    let slot = world.viewer(viewer).slot(0);
    let seconds = |ntp: u64| ntp as f64 / 4_294_967_296.0;
    let true_time = |at: Instant| (ntp + at.since(now)).as_secs_f64();
    let (at, report) = slot.reports.last().expect("a report");
    assert!((true_time(*at) - seconds(report.ntp) - 0.01).abs() < 0.005, "{report:?}");
    let told = slot.packets.values().filter_map(|got| Some((got.at, got.captured?)));
    let (at, captured) = told.max_by_key(|(at, _)| *at).expect("told");
    let offset = captured.clock_offset.expect("the long form");
    // The publisher's clock here counts from another day, further from ours than an offset can tell: it goes round.
    let ours = captured.ntp.wrapping_sub(offset as u64);
    assert!((true_time(at) - seconds(ours) - 0.02).abs() < 0.02, "{captured:?}");
}
