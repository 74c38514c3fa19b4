//! What happened to a session of late can always be told, and the headers of its packets while somebody asked for them.

use std::sync::Arc;

use millrace::router::command::Command;
use millrace::router::event::{Event, Why};
use millrace::router::id::{LayerId, SlotId};
use millrace::router::recorder::{Front, KEPT, Note, PACKETS, Recording, SNAP, Way, What};
use millrace::units::{Bitrate, Duration};
use millrace::wire::rtp;

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

fn recalled(world: &mut World, place: usize) -> Arc<Recording> {
    let session = world.peers[place].id;
    let before = world.events.len();
    world.command(|| Command::Recall(session));
    let mut told = world.events.drain(before..).filter_map(|(_, event)| match event {
        Event::Recalled { session: of, recording } if of == session => Some(recording),
        _ => None,
    });
    let recording = told.next().expect("an answer");
    assert!(told.next().is_none(), "one answer");
    recording
}

fn record(world: &mut World, place: usize, lasts: Duration) {
    let (session, until) = (world.peers[place].id, world.now + lasts);
    world.command(|| Command::Record { session, until });
}

#[test]
fn what_happened_is_told_in_its_order() {
    let mut world = World::new(1, 91);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 2);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(3000);
    world.peers[viewer].move_to(7777);
    let remote = world.peers[viewer].address;
    world.run_ms(3000);
    world.watch(viewer, 1, None, tile(640, 360));
    world.run_ms(100);

    let recording = recalled(&mut world, viewer);
    assert!(recording.notes.is_sorted_by_key(|note| note.at));
    let whats: Vec<_> = recording.notes.iter().map(|note| &note.what).collect();
    let slot = SlotId(1);
    let story: [&dyn Fn(&What) -> bool; 7] = [
        &|what| matches!(what, What::Path(path) if path.remote != remote),
        &|what| *what == What::Secured,
        &|what| *what == What::Watches { slot, track: Some(video) },
        &|what| *what == What::Sends { slot, layer: Some(LayerId(1)), why: Why::Tile },
        &|what| matches!(what, What::Path(path) if path.remote == remote),
        &|what| *what == What::Watches { slot, track: None },
        &|what| *what == What::Sends { slot, layer: None, why: Why::Inactive },
    ];
    let mut rest = whats.iter();
    for (chapter, is) in story.iter().enumerate() {
        assert!(rest.any(|what| is(what)), "chapter {chapter} of {whats:?}");
    }
    assert!(recording.packets.is_empty() && recording.until.is_none(), "nobody asked for headers");

    let recording = recalled(&mut world, publisher);
    let has = |is: &dyn Fn(&What) -> bool| recording.notes.iter().any(|note| is(&note.what));
    assert!(has(&|what| *what == What::Arrives { track: video, layers: 0b111 }), "{:?}", recording.notes);
    assert!(has(&|what| *what == What::KeyframeAsked { track: video, layer: LayerId(1) }));
}

#[test]
fn a_way_that_gets_narrow_is_noted_and_notes_are_bounded() {
    let mut world = World::new(1, 92);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.browse(Link::good(), 2);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(8000);
    world.peers[viewer].down.rate = Some(Bitrate::from_kbps(500));
    world.run_ms(8000);
    let rates = |recording: &Recording| {
        let estimates = recording.notes.iter().filter_map(|note| match note.what {
            What::Estimate(rate) => Some(rate),
            _ => None,
        });
        estimates.collect::<Vec<_>>()
    };
    let recording = recalled(&mut world, viewer);
    let rates = rates(&recording);
    let (most, last) = (rates.iter().max().expect("known"), rates.last().expect("known"));
    assert!(*last < Bitrate::from_kbps(700) && *most > Bitrate::from_kbps(1000), "{rates:?}");
    let narrow = |note: &Note| matches!(note.what, What::Sends { why: Why::Bandwidth | Why::Paused, .. });
    assert!(recording.notes.iter().any(narrow), "{:?}", recording.notes);

    for turn in 0..100 {
        world.watch(viewer, 1, (turn % 2 == 0).then_some(video), tile(1280, 720));
        world.run_ms(20);
    }
    let notes = recalled(&mut world, viewer).notes.len();
    assert!((40..=48).contains(&notes), "{notes}");
}

#[test]
fn headers_are_kept_while_somebody_wants_them() {
    let mut world = World::new(1, 93);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 2);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(3000);
    let asked = world.now;
    record(&mut world, viewer, Duration::from_secs(4));
    record(&mut world, publisher, Duration::from_secs(4));
    world.run_ms(6000);

    let recording = recalled(&mut world, viewer);
    assert_eq!(recording.until, Some(asked + Duration::from_secs(4)));
    assert_eq!(
        recording.paths.iter().map(|path| path.remote).collect::<Vec<_>>(),
        [world.peers[viewer].address]
    );
    let packets = &recording.packets;
    assert!(packets.is_sorted_by_key(|packet| packet.at));
    assert!(packets.iter().all(|packet| (0.0..4.0).contains(&packet.at.since(asked).as_secs_f64())));
    // The numbers that left are those that the viewer saw, one after the other.
    let slot = world.viewer(viewer).slot(1);
    let media: Vec<_> = packets
        .iter()
        .filter(|packet| packet.way == Way::Out)
        .filter_map(|packet| rtp::peek(packet.bytes()).filter(|header| header.ssrc == slot.ssrc))
        .collect();
    assert!(media.len() > 100, "{}", media.len());
    for pair in media.windows(2) {
        assert_eq!(pair[0].seq.0.wrapping_add(1), pair[1].seq.0);
    }
    assert!(packets.iter().any(|packet| packet.way == Way::In), "its reports");

    let recording = recalled(&mut world, publisher);
    let (came, left): (Vec<Front>, Vec<Front>) =
        recording.packets.iter().copied().partition(|packet| packet.way == Way::In);
    assert!(came.len() > 300 && left.len() > 3, "{} {}", came.len(), left.len());
    // Nothing of what is said and shown: a header, and no byte after it.
    for packet in &came {
        let bytes = packet.bytes();
        let is_media = !(192..224).contains(&bytes[1]);
        if is_media && bytes.len() < SNAP {
            assert_eq!(rtp::header_len(bytes).expect("a header"), bytes.len());
        }
        assert!(usize::from(packet.len) > bytes.len() || !is_media);
    }
    assert!(recalled(&mut world, viewer).packets.len() == packets.len(), "to be told again");
    world.run_ms(KEPT.as_millis() as u64);
    let recording = recalled(&mut world, viewer);
    assert!(recording.packets.is_empty() && recording.until.is_none(), "forgotten after a while");
}

#[test]
fn only_the_latest_headers_are_kept_and_none_when_they_are_not_wanted_any_more() {
    let mut world = World::new(1, 94);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 2);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    record(&mut world, publisher, Duration::from_secs(600));
    world.run_ms(30_000);
    let recording = recalled(&mut world, publisher);
    assert_eq!(recording.packets.len(), PACKETS);
    let last = recording.packets.last().expect("some").at;
    assert!(world.now.since(last) < Duration::from_millis(100), "the latest");

    record(&mut world, publisher, Duration::ZERO);
    world.run_ms(100);
    assert!(recalled(&mut world, publisher).packets.is_empty());
}
