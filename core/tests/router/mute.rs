//! A muted track is dropped where it comes in, whatever the client sends, and comes back without a seam. And who is
//! talking is told.

use millrace::router::command::Command;
use millrace::router::event::{Event, Why};
use millrace::units::Duration;

use crate::sim::network::Link;
use crate::sim::{World, tile};

#[test]
fn nothing_of_a_muted_track_gets_through() {
    let mut world = World::new(2, 90);
    let (_, audio, video) = world.publish(Link::good(), &[(320, 180), (640, 360)]);
    let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
    world.run_ms(1000);
    for viewer in viewers {
        world.watch(viewer, 0, Some(audio), tile(0, 0));
        world.watch(viewer, 1, Some(video), tile(640, 360));
    }
    world.run_ms(2000);
    for track in [audio, video] {
        world.command(|| Command::MuteTrack { track, muted: true });
    }
    world.run_ms(100);
    let count = |world: &World| {
        let slots = viewers.iter().flat_map(|v| [0, 1].map(|s| world.viewer(*v).slot(s).packets.len()));
        slots.collect::<Vec<_>>()
    };
    let before = count(&world);
    world.run_ms(3000);
    assert_eq!(count(&world), before);
    assert_eq!(world.shown(viewers[0], 1), Some((None, Why::Silent)));
    for track in [audio, video] {
        world.command(|| Command::MuteTrack { track, muted: false });
    }
    world.run_ms(1500);
    for viewer in viewers {
        let slot = world.viewer(viewer).slot(1);
        slot.assert_continuous();
        assert!(world.now.since(slot.frames.last().expect("decoded").at) < Duration::from_millis(100));
        assert_eq!(world.viewer(viewer).slot(0).holes(), 0);
        assert!(world.viewer(viewer).slot(0).packets.len() > 140);
    }
}

#[test]
fn who_is_talking_is_told_soon_and_not_often() {
    let mut world = World::new(1, 91);
    let (publisher, audio, _) = world.publish(Link::good(), &[(320, 180)]);
    world.run_ms(3000);
    world.publishers.get_mut(&publisher).expect("is there").level = 25;
    let began = world.now;
    world.run_ms(3000);
    world.publishers.get_mut(&publisher).expect("is there").level = 127;
    world.run_ms(3000);
    let told: Vec<_> = world
        .events
        .iter()
        .filter_map(|(at, e)| match e {
            Event::Talking(who) => Some((*at, who.iter().map(|talker| talker.track).collect::<Vec<_>>())),
            _ => None,
        })
        .collect();
    let [(at, first), (_, second)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&first[..], second.len()), (&[audio][..], 0));
    assert!(at.since(began) < Duration::from_millis(600));
}
