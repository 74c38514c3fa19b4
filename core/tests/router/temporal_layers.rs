//! Who has little bandwidth gets fewer pictures a second of the same stream, in numbers without a hole; and all of them
//! again when there is more.

use millrace::router::command::Command;
use millrace::units::Bitrate;
use millrace::wire::payload::Codec;

use crate::sim::layered::decode;
use crate::sim::network::{Link, Rng};
use crate::sim::{World, tile};

const VP9: Codec = Codec::Vp9 { profile: 0 };

fn limit(world: &mut World, viewer: usize, kbps: u64) {
    let session = world.peers[viewer].id;
    world.command(|| Command::LimitSession { session, max_bitrate: Bitrate::from_kbps(kbps), max_voices: 8 });
}

#[test]
fn pictures_are_left_out_and_come_back_where_the_stream_allows_it() {
    let mut world = World::new(1, 140);
    let (publisher, video) = world.publish_layered(Link::good(), Codec::Vp8);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(3000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(3000);
    let asked = world.layered[&publisher].plis.len();
    let whole = Bitrate::of(world.bytes_to_peers, millrace::units::Duration::from_secs(3)).as_bps() / 1000;
    for (share, per_second) in [(40, 7..10), (200, 28..32), (70, 14..17), (300, 28..32)] {
        limit(&mut world, viewer, whole * share / 100);
        world.run_ms(12_000);
        let now = world.now;
        let pictures = decode(Codec::Vp8, &world.viewer(viewer).slot(1).packets);
        let of_late = pictures.iter().filter(|p| now.since(p.at).as_secs() < 4).count() / 4;
        assert!(per_second.contains(&of_late), "{of_late} pictures a second at {share} % of {whole} kbit/s");
    }
    assert_eq!(world.viewer(viewer).slot(1).holes(), 0);
    assert_eq!(world.layered[&publisher].plis.len(), asked, "no keyframe was asked for");
}

#[test]
fn what_was_lost_behind_us_is_found_by_its_closed_number() {
    for (seed, codec) in [(150, Codec::Vp8), (151, VP9), (152, Codec::Av1 { profile: 0 })] {
        let mut world = World::new(1, seed);
        let (_, video) = world.publish_layered(Link::good(), codec);
        let viewer = world.view(Link::good(), 1);
        world.peers[viewer].down.loss = 0.05;
        world.run_ms(3000);
        world.watch(viewer, 1, Some(video), tile(320, 180));
        for kbps in [60, 1000, 100, 1000] {
            limit(&mut world, viewer, kbps);
            world.run_ms(3000);
        }
        world.peers[viewer].down.loss = 0.0;
        world.run_ms(2000);
        let slot = world.viewer(viewer).slot(1);
        assert!(slot.resent > 2, "{codec:?}: {} resent", slot.resent);
        // What the viewer has asserts it: no number came with two contents, and what can be decoded is whole.
        assert_eq!(slot.holes(), 0, "{codec:?}");
        decode(codec, &slot.packets);
    }
}

/// The world asserts that no SRTP index seals two plaintexts.
#[test]
fn no_index_is_used_twice_whatever_is_left_out_lost_and_asked_for() {
    for seed in 0..6 {
        let mut world = World::new(2, 160 + seed);
        let mut rng = Rng::new(seed);
        let codecs = [Codec::Vp8, VP9, Codec::Av1 { profile: 0 }];
        let videos = codecs.map(|codec| world.publish_layered(Link::bad(), codec).1);
        let viewers = [world.view(Link::bad(), 3), world.view(Link::bad(), 3)];
        world.run_ms(2000);
        for _ in 0..100 {
            let viewer = viewers[(rng.next() % 2) as usize];
            let slot = 1 + (rng.next() % 3) as u16;
            let video = videos[usize::from(slot) - 1];
            let (width, height) = [(320, 180), (640, 360), (1280, 720)][(rng.next() % 3) as usize];
            match rng.next() % 4 {
                0 => world.watch(viewer, slot, Some(video), tile(width, height)),
                1 => world.set_view(viewer, slot, tile(width, height)),
                _ => limit(&mut world, viewer, [30, 80, 150, 400, 3000][(rng.next() % 5) as usize]),
            }
            let seqs: Vec<_> =
                world.viewer(viewer).slot(slot).packets.keys().rev().take(40).copied().collect();
            world.viewers.get_mut(&viewer).expect("is there").nack(slot, &seqs);
            world.run_ms(rng.next() % 400);
        }
        assert!(world.seals() > 1000, "{}", world.seals());
    }
}
