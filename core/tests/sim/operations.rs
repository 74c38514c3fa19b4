//! Any sequence of what people and their networks may do, read from bytes: for fuzzing, and for tests with seeds.
//!
//! What must hold whatever happens: no index seals twice and no packet comes with two contents (the world watches for
//! both), who sees well sees one stream without a hole, nothing new reaches who watches nothing, and when all have left
//! nothing is left of them.

use millrace::router::command::Command;
use millrace::router::id::TrackId;
use millrace::units::Instant;

use super::network::Link;
use super::{World, hidden, tile};

const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const MOST_PUBLISHERS: usize = 3;
const MOST_VIEWERS: usize = 4;
const SLOTS: u16 = 2;
/// Longer than anything is under way.
const UNDER_WAY_MS: u64 = 300;

struct Published {
    place: usize,
    audio: TrackId,
    video: TrackId,
    gone: bool,
}

struct Watching {
    place: usize,
    /// Its way lost something.
    lossy: bool,
    gone: bool,
}

/// Who is there.
#[derive(Default)]
struct Call {
    published: Vec<Published>,
    watching: Vec<Watching>,
}

impl Call {
    fn published(&self, which: u8) -> Option<&Published> {
        self.published.get(usize::from(which) % self.published.len().max(1))
    }

    fn watching(&mut self, which: u8) -> Option<&mut Watching> {
        let n = usize::from(which) % self.watching.len().max(1);
        self.watching.get_mut(n).filter(|viewer| !viewer.gone)
    }
}

/// Plays what the bytes say: the first is the seed, then three for each operation.
pub fn play(bytes: &[u8]) {
    let Some((&seed, operations)) = bytes.split_first() else { return };
    let mut world = World::new(1 + seed % 2, seed.into());
    let mut call = Call::default();
    for operation in operations.chunks_exact(3) {
        let [what, who, how] = operation else { return };
        operate(&mut world, &mut call, *what, *who, *how);
    }
    end(&mut world, &call);
}

fn operate(world: &mut World, call: &mut Call, what: u8, who: u8, how: u8) {
    let slot = 1 + u16::from(how) % SLOTS;
    let (width, height) = SIZES[usize::from(how) % SIZES.len()];
    match what % 16 {
        0 if call.published.len() < MOST_PUBLISHERS => {
            let layers = 1 + usize::from(how) % SIZES.len();
            let (place, audio, video) = world.publish(Link::good(), &SIZES[..layers]);
            call.published.push(Published { place, audio, video, gone: false });
        }
        1 if call.watching.len() < MOST_VIEWERS => {
            let place = world.view(Link::good(), SLOTS);
            call.watching.push(Watching { place, lossy: false, gone: false });
        }
        2 => {
            let count = call.published.len().max(1);
            if let Some(published) = call.published.get_mut(usize::from(who) % count) {
                published.gone = true;
                withdraw(world, published);
                leave(world, published.place);
            }
        }
        3 => {
            if let Some(viewer) = call.watching(who) {
                viewer.gone = true;
                leave(world, viewer.place);
            }
        }
        4 => {
            let Some(place) = call.watching(who).map(|viewer| viewer.place) else { return };
            world.watch(place, slot, None, hidden());
            nothing_new(world, place, slot);
        }
        5 => {
            if let Some(viewer) = call.watching(who) {
                world.set_view(viewer.place, slot, hidden());
            }
        }
        6 => {
            if let Some(viewer) = call.watching(who) {
                world.set_view(viewer.place, slot, tile(width, height));
            }
        }
        7 => {
            if let Some(published) = call.published(who) {
                let (track, muted) = (published.video, how.is_multiple_of(2));
                world.command(|| Command::MuteTrack { track, muted });
            }
        }
        8 => {
            if let Some(place) = call.published(who).map(|published| published.place) {
                world.publishers.get_mut(&place).expect("is there").change_ssrcs();
            }
        }
        9 => {
            if let Some(viewer) = call.watching(who) {
                viewer.lossy = true;
                world.peers[viewer.place].down =
                    if how.is_multiple_of(2) { Link::bad() } else { Link::good() };
            }
        }
        10 => {
            if let Some(viewer) = call.watching(who) {
                // What is on the way to where it was is lost.
                viewer.lossy = true;
                let port = 20_000 + viewer.place as u16 * 256 + u16::from(how);
                world.peers[viewer.place].move_to(port);
            }
        }
        11 => {
            if let Some(place) = call.watching(who).map(|viewer| viewer.place) {
                let seqs: Vec<_> =
                    world.viewer(place).slot(slot).packets.keys().rev().take(40).copied().collect();
                let viewer = world.viewers.get_mut(&place).expect("is there");
                viewer.nack(slot, &seqs);
                viewer.pli(slot);
            }
        }
        12 => {
            let count = call.published.len().max(1);
            if let Some(published) = call.published.get_mut(usize::from(who) % count) {
                published.gone = true;
                withdraw(world, published);
            }
        }
        13 => {
            let Some(place) = call.published(who).map(|published| published.place) else { return };
            let mut garbage = [how; 60];
            garbage[0] = [0, 20, 128, 144, 200, 255][usize::from(how) % 6];
            let (now, path) = (world.now, world.peers[place].path());
            world.routers[0].handle_datagram(now, path, &mut garbage);
        }
        14 => {
            // The control plane names what there is, and takes back what it named.
            let Some(published) = call.published(how / 4).filter(|published| !published.gone) else { return };
            let (audio, video) = (published.audio, published.video);
            if let Some(viewer) = call.watching(who) {
                let place = viewer.place;
                world.watch(place, 0, Some(audio), tile(0, 0));
                world.watch(place, slot, Some(video), tile(width, height));
            }
        }
        _ => world.run_ms(u64::from(how) * 4),
    }
}

fn withdraw(world: &mut World, published: &Published) {
    for track in [published.audio, published.video] {
        world.command(|| Command::WithdrawTrack(track));
    }
}

fn leave(world: &mut World, place: usize) {
    let session = world.peers[place].id;
    world.command(|| Command::RemoveSession(session));
    world.peers[place].up.cut = true;
}

/// Whoever watches nothing gets nothing new, once what was under way has arrived.
fn nothing_new(world: &mut World, place: usize, slot: u16) {
    let newest = |world: &World| world.viewer(place).slot(slot).packets.keys().next_back().copied();
    world.run_ms(UNDER_WAY_MS);
    let before = newest(world);
    world.run_ms(UNDER_WAY_MS);
    assert_eq!(newest(world), before, "slot {slot} of {place} is empty");
}

/// All leave: what was whole stayed whole, and nothing is left.
fn end(world: &mut World, call: &Call) {
    world.run_ms(1000);
    for viewer in call.watching.iter().filter(|viewer| !viewer.lossy && !viewer.gone) {
        for slot in &world.viewer(viewer.place).slots {
            assert_eq!(slot.holes(), 0, "viewer {}", viewer.place);
        }
    }
    for published in &call.published {
        withdraw(world, published);
    }
    let everyone = call.published.iter().map(|p| p.place).chain(call.watching.iter().map(|w| w.place));
    for place in everyone.collect::<Vec<_>>() {
        leave(world, place);
    }
    world.run_ms(40_000);
    assert!(world.routers.iter().all(|router| router.poll_timeout() == Instant::NEVER), "nothing is left");
}
