//! Nothing that peers or the control plane do makes a router grow without bound, wake without need or panic.

use std::net::SocketAddr;

use millrace::router::command::Command;
use millrace::router::event::Event;
use millrace::router::id::{SessionId, TrackId};
use millrace::units::Instant;

use crate::sim::network::{Link, Rng};
use crate::sim::{World, tile};

#[test]
fn garbage_is_counted_and_dropped() {
    let mut world = World::new(1, 100);
    let (publisher, _, video) = world.publish(Link::good(), &[(320, 180)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(320, 180));
    let mut rng = Rng::new(1);
    for n in 0..20_000u64 {
        let mut garbage: Vec<u8> = (0..rng.next() % 120).map(|_| rng.next() as u8).collect();
        if let Some(first) = garbage.first_mut() {
            *first = [0, 1, 20, 63, 128, 144, 191, *first][(n % 8) as usize];
        }
        let path = if n % 2 == 0 {
            world.peers[publisher].path()
        } else {
            crate::sim::peer::path(SocketAddr::from(([127, 0, 0, 1], rng.next() as u16)))
        };
        let now = world.now;
        world.routers[0].handle_datagram(now, path, &mut garbage);
        if n % 100 == 0 {
            world.run_ms(10);
        }
    }
    world.run_ms(500);
    let drops = world.routers[0].counters().drops;
    assert!(drops.malformed > 100 && drops.stranger > 1000 && drops.auth > 1000, "{drops:?}");
    assert!(world.viewer(viewer).slot(1).frames.len() > 60, "media went on");
}

#[test]
fn dtls_that_nobody_fetches_is_bounded() {
    let mut world = World::new(1, 101);
    let peer = world.view(Link::good(), 1);
    world.run_ms(100);
    let (now, path) = (world.now, world.peers[peer].path());
    for _ in 0..100_000 {
        let mut hello = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        world.routers[0].handle_datagram(now, path, &mut hello);
    }
    let passed = std::iter::from_fn(|| world.routers[0].poll_event()).count();
    assert!(passed <= 1024 && world.routers[0].counters().drops.overflow > 90_000);
}

#[test]
fn events_of_many_changes_are_one() {
    let mut world = World::new(1, 102);
    let (_, _, video) = world.publish(Link::good(), &[(320, 180), (640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(1000);
    let (now, session) = (world.now, world.peers[viewer].id);
    for n in 0..1000 {
        let view = if n % 2 == 0 { crate::sim::hidden() } else { tile(640, 360) };
        let slot = millrace::router::id::SlotId(1);
        world.routers[0].handle_command(now, Command::SetView { session, slot, view });
    }
    let events: Vec<_> = std::iter::from_fn(|| world.routers[0].poll_event()).collect();
    assert!(events.len() <= 2, "{events:?}");
}

#[test]
fn an_idle_router_sleeps() {
    let mut world = World::new(2, 103);
    world.run_ms(10_000);
    assert!(world.routers.iter().all(|r| r.poll_timeout() == Instant::NEVER));
    let peer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.command(|| Command::RemoveSession(SessionId { index: 0, generation: 0 }));
    world.peers[peer].up.cut = true;
    world.run_ms(35_000);
    assert!(world.routers.iter().all(|r| r.poll_timeout() == Instant::NEVER));
}

#[test]
fn late_commands_are_harmless() {
    let mut world = World::new(2, 104);
    let (publisher, _, video) = world.publish(Link::good(), &[(320, 180)]);
    let viewer = world.view(Link::good(), 1);
    // A watch that comes before its track waits for it.
    let unborn = TrackId { index: 900, generation: 3 };
    world.run_ms(500);
    world.watch(viewer, 1, Some(unborn), tile(320, 180));
    world.watch(viewer, 1, Some(video), tile(320, 180));
    world.run_ms(1000);
    assert!(world.viewer(viewer).slot(1).frames.len() > 15);
    // The publisher goes; its slot falls silent.
    let gone = world.peers[publisher].id;
    world.command(|| Command::RemoveSession(gone));
    world.run_ms(100);
    let before = world.viewer(viewer).slot(1).packets.len();
    world.run_ms(1000);
    assert_eq!(world.viewer(viewer).slot(1).packets.len(), before);
    assert!(matches!(world.shown(viewer, 1), Some((None, _))));
    for session in [gone, SessionId { index: 77, generation: 0 }, SessionId { generation: 9, ..gone }] {
        world.command(|| Command::RemoveSession(session));
        world.command(|| Command::SendDtls { session, datagram: vec![20] });
        world.command(|| Command::MuteTrack { track: video, muted: true });
        world.command(|| Command::WithdrawTrack(unborn));
        world.watch(viewer, 40, Some(video), tile(1, 1));
    }
    world.run_ms(1000);
    let news = world.events.iter().filter(|(_, e)| matches!(e, Event::Stats { .. })).count();
    assert!(news < 20, "{news}");
}

#[test]
fn a_peer_on_many_addresses_is_remembered_on_few() {
    let mut world = World::new(1, 105);
    let peer = world.view(Link::good(), 1);
    world.run_ms(100);
    for port in 20_000..20_200 {
        let check = world.peers[peer].check(false);
        let path = crate::sim::peer::path(SocketAddr::from(([127, 0, 0, 1], port)));
        world.send_on(peer, path, check);
    }
    world.run_ms(100);
    let now = world.now;
    for port in 20_000..20_200 {
        let path = crate::sim::peer::path(SocketAddr::from(([127, 0, 0, 1], port)));
        world.routers[0].handle_datagram(now, path, &mut [22, 254, 253, 0]);
    }
    assert!(world.routers[0].counters().drops.stranger >= 190);
    // The selected one is not forgotten.
    let path = world.peers[peer].path();
    let before = world.routers[0].counters().drops.stranger;
    world.routers[0].handle_datagram(now, path, &mut [22, 254, 253, 0]);
    assert_eq!(world.routers[0].counters().drops.stranger, before);
}
