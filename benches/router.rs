//! What the router costs for each forwarded packet, sealing included and the kernel not, beside copying and sealing alone.
//!
//! One publisher sends VP8 in batches, every viewer watches it; all in this process, in simulated time.
//! `cargo bench --bench router`. CPU time of this thread, the best of several rounds: other load hardly disturbs it.

#[path = "common/audience.rs"]
mod audience;
mod common;
#[path = "common/floor.rs"]
mod floor;

use audience::Audience;
use floor::Floor;

const ROUNDS: usize = 7;
fn main() {
    println!(
        "{:>8} {:>6} {:>12} {:>12} {:>7} {:>12}",
        "viewers", "batch", "router ns", "sealing ns", "ratio", "ingest ns"
    );
    for (viewers, batch) in [(200, 1), (200, 8), (200, 32), (1000, 8)] {
        let mut best = [f64::MAX; 3];
        let (mut bench, mut alone, mut floor) =
            (Audience::new(viewers), Audience::new(0), Floor::new(viewers));
        for _ in 0..ROUNDS {
            let turns = 400_000 / viewers / batch;
            let packets = (turns * batch) as f64;
            let ingest = timed(&mut alone, batch, 20_000 / batch) / (20_000 / batch * batch) as f64;
            let router = timed(&mut bench, batch, turns) / packets - ingest;
            let sealing = sealing(&mut floor, batch, turns) / packets;
            let figures = [router / viewers as f64, sealing / viewers as f64, ingest];
            best.iter_mut().zip(figures).for_each(|(best, new)| *best = best.min(new));
        }
        let [router, sealing, ingest] = best;
        let ratio = router / sealing;
        println!("{viewers:>8} {batch:>6} {router:>12.1} {sealing:>12.1} {ratio:>7.2} {ingest:>12.1}");
    }
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

/// The same of sealing alone.
fn sealing(floor: &mut Floor, batch: usize, turns: usize) -> f64 {
    let start = cpu();
    floor.turns(batch, turns);
    cpu() - start
}

/// Nanoseconds for so many turns of the loop, packets sealed beforehand.
fn timed(audience: &mut Audience, batch: usize, turns: usize) -> f64 {
    let packets = audience.packets(batch * turns, false);
    let start = cpu();
    audience.turns(packets, batch);
    cpu() - start
}
