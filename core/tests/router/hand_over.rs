//! Sessions go over to another process: peers notice a short pause, and no index seals two plaintexts.

use millrace::router::Snapshot;
use millrace::router::command::Command;
use millrace::units::Duration;
use millrace::wire::rtcp::Writer;

use crate::sim::network::{Link, Rng};
use crate::sim::peer::Clear;
use crate::sim::{World, credentials, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn a_call_goes_on_after_one_keyframe() {
    let mut world = World::new(2, 90);
    let (publisher, audio, video) = world.publish(Link::good(), &HD);
    let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
    world.flows.extend([(10_000, 0), (10_001, 0), (10_002, 1)]);
    world.run_ms(1000);
    for viewer in viewers {
        world.watch(viewer, 0, Some(audio), tile(0, 0));
        world.watch(viewer, 1, Some(video), tile(1280, 720));
    }
    world.run_ms(3000);
    for _ in 0..3 {
        world.follow();
        world.run_ms(3000);
    }
    for router in &world.routers {
        assert_eq!(router.counters().drops.unknown_ufrag, 0, "checks are answered as before");
    }
    assert!(world.publisher(publisher).plis.len() <= 12, "{:?}", world.publisher(publisher).plis);
    for viewer in viewers {
        let slot = world.viewer(viewer).slot(1);
        slot.assert_continuous();
        assert_eq!(slot.layer(), Some(2));
        assert!(slot.frames.len() > 340, "{}", slot.frames.len());
        assert!(slot.longest_freeze() < Duration::from_millis(250), "{:?}", slot.longest_freeze());
        assert!(world.viewer(viewer).slot(0).packets.len() > 580);
        assert_eq!(world.peers[viewer].unopened, 0, "and all that comes is new");
    }
}

#[test]
fn no_index_seals_two_plaintexts() {
    for seed in 0..4 {
        let mut world = World::new(2, 100 + seed);
        let mut rng = Rng::new(seed);
        let published = [world.publish(Link::bad(), &HD), world.publish(Link::bad(), &HD[..1])];
        let viewers = [world.view(Link::bad(), 2), world.view(Link::bad(), 2)];
        world.run_ms(2000);
        for _ in 0..60 {
            let viewer = viewers[(rng.next() % 2) as usize];
            let slot = 1 + (rng.next() % 2) as u16;
            let (_, audio, video) = published[(rng.next() % 2) as usize];
            world.watch(viewer, 0, Some(audio), tile(0, 0));
            world.watch(viewer, slot, Some(video), tile(640, 360));
            world.run_ms(rng.next() % 400);
            let seqs: Vec<_> =
                world.viewer(viewer).slot(slot).packets.keys().rev().take(40).copied().collect();
            world.viewers.get_mut(&viewer).expect("is there").nack(slot, &seqs);
            world.run_ms(rng.next() % 60);
            if rng.next().is_multiple_of(3) {
                world.follow();
            }
        }
        assert!(world.seals() > 2000, "{}", world.seals());
    }
}

#[test]
fn what_was_taken_before_is_not_taken_again() {
    let mut world = World::new(1, 110);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    let ssrc = world.viewer(viewer).slot(1).ssrc;
    let mut report = [0; 64];
    let mut out = Writer::new(&mut report);
    out.pli(ssrc, ssrc);
    let len = out.len();
    let sealed = world.peers[viewer].seal(Clear::Rtcp(report[..len].to_vec())).expect("it has keys");
    world.send_from(viewer, sealed.clone());
    world.run_ms(100);
    world.follow();
    world.send_from(viewer, sealed);
    world.run_ms(100);
    assert_eq!(world.routers[0].counters().drops.replay, 1);
}

#[test]
fn a_restart_of_ice_ends_where_it_did_not_begin() {
    let mut world = World::new(2, 111);
    let (_, _, video) = world.publish(Link::good(), &HD[..1]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    let session = world.peers[viewer].id;
    world.command(|| Command::RestartIce { session, local: credentials("restarted") });
    world.follow();
    world.watch(viewer, 1, Some(video), tile(320, 180));
    world.run_ms(1000);
    world.peers[viewer].remote = credentials("restarted");
    world.peers[viewer].move_to(30_000);
    world.run_ms(500);
    let frames = world.viewer(viewer).slot(1).frames.len();
    world.run_ms(1000);
    assert!(world.viewer(viewer).slot(1).frames.len() > frames + 20, "media go on");
}

/// Values lie one after the other, without their names: a successor that expects others would read nonsense.
#[test]
fn what_goes_over_is_laid_out_as_its_number_says() {
    // As `handover::LAYOUT` says.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/handover/sessions-1");
    if std::env::var_os("MILLRACE_WRITE_LAYOUT").is_some() {
        let mut world = World::new(1, 120);
        let (_, _, video) = world.publish(Link::good(), &HD);
        let viewer = world.view(Link::good(), 1);
        world.run_ms(1000);
        world.watch(viewer, 1, Some(video), tile(1280, 720));
        world.run_ms(1000);
        let session = world.peers[viewer].id;
        world.command(|| Command::RestartIce { session, local: credentials("restarted") });
        let written = postcard::to_allocvec(&world.routers[0].snapshots()).expect("plain data");
        std::fs::write(file, written).expect("written");
    }
    let kept = std::fs::read(file).unwrap_or_default();
    let another = "sessions are laid out in another way: count handover::LAYOUT up, and the number here, run the tests of \
                   both layouts again with MILLRACE_WRITE_LAYOUT=1, and commit their files";
    let read: Vec<Snapshot> = postcard::from_bytes(&kept).expect(another);
    assert!(postcard::to_allocvec(&read).expect("plain data") == kept, "{another}");
}
