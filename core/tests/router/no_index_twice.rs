//! No SRTP index ever seals two plaintexts. Every test watches for it; this one tries hard to make it happen.

use millrace::router::command::Command;

use crate::sim::network::{Link, Rng};
use crate::sim::{World, hidden, tile};

#[test]
fn under_every_switch_loss_and_repetition() {
    for seed in 0..6 {
        let mut world = World::new(2, 70 + seed);
        let mut rng = Rng::new(seed);
        let sizes = [(320, 180), (640, 360), (1280, 720)];
        let published = [world.publish(Link::bad(), &sizes), world.publish(Link::bad(), &sizes[..1])];
        let viewers = [world.view(Link::bad(), 2), world.view(Link::bad(), 2)];
        world.run_ms(2000);
        for _ in 0..150 {
            let viewer = viewers[(rng.next() % 2) as usize];
            let slot = 1 + (rng.next() % 2) as u16;
            let (publisher, audio, video) = published[(rng.next() % 2) as usize];
            let (width, height) = sizes[(rng.next() % 3) as usize];
            match rng.next() % 10 {
                0 => world.watch(viewer, slot, None, hidden()),
                1 => world.set_view(viewer, slot, hidden()),
                2 => world.watch(viewer, 0, Some(audio), tile(0, 0)),
                3 => world.command(|| Command::MuteTrack { track: video, muted: true }),
                4 => world.command(|| Command::MuteTrack { track: video, muted: false }),
                5 => world.publishers.get_mut(&publisher).expect("is there").change_ssrcs(),
                6 | 7 => world.set_view(viewer, slot, tile(width, height)),
                _ => world.watch(viewer, slot, Some(video), tile(width, height)),
            }
            let seqs: Vec<_> =
                world.viewer(viewer).slot(slot).packets.keys().rev().take(40).copied().collect();
            world.viewers.get_mut(&viewer).expect("is there").nack(slot, &seqs);
            world.run_ms(rng.next() % 400);
        }
        assert!(world.seals() > 3000, "{}", world.seals());
        for peer in &world.peers {
            // Duplicates do not open twice; everything else does.
            assert!(peer.unopened < 800, "{}", peer.unopened);
        }
    }
}
