//! What passes in each slot and layer is told when it is asked for, and at no other time.

use millrace::router::command::Command;
use millrace::router::event::{Event, LayerMeasure, SlotMeasure};
use millrace::router::id::{LayerId, SlotId};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

fn measured(world: &mut World, place: usize) -> (Vec<SlotMeasure>, Vec<LayerMeasure>) {
    let session = world.peers[place].id;
    let before = world.events.len();
    world.command(|| Command::Measure(session));
    let mut told = world.events.drain(before..).filter_map(|(_, event)| match event {
        Event::Measured { session: of, slots, layers } if of == session => Some((slots, layers)),
        _ => None,
    });
    let answer = told.next().expect("an answer");
    assert!(told.next().is_none(), "one answer");
    answer
}

#[test]
fn slots_and_layers_are_measured_when_asked() {
    let mut world = World::new(1, 7);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 2);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(4000);
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::Measured { .. })), "nobody asked");

    let (before, none) = measured(&mut world, viewer);
    assert!(none.is_empty());
    world.run_ms(1000);
    let (after, _) = measured(&mut world, viewer);
    let [before, after] = [&before[..], &after[..]].map(|slots| match slots {
        [one] => *one,
        other => panic!("one slot sends: {other:?}"),
    });
    assert_eq!((after.slot, after.layer), (SlotId(1), Some(LayerId(1))));
    let kbps = u64::from(after.bytes - before.bytes) * 8 / 1000;
    assert!((300..550).contains(&kbps), "{kbps} kbit/s of a layer with 420");
    assert!((20..200).contains(&(after.packets - before.packets)));

    let (none, layers) = measured(&mut world, publisher);
    assert!(none.is_empty());
    let video: Vec<_> = layers.iter().filter(|layer| layer.track == video).collect();
    let arrives = |layer: u8, rate: std::ops::Range<u64>| {
        let found = video.iter().find(|l| l.layer == LayerId(layer)).expect("it arrives");
        assert!(rate.contains(&(found.rate.as_bps() / 1000)), "{found:?}");
        assert!((25..35).contains(&found.fps), "{found:?}");
    };
    arrives(0, 120..240);
    arrives(1, 320..520);
}
