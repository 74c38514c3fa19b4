//! Instructions of the router for each packet that it forwards, and those of copying and sealing alone.
//! `tools/instructions` runs this; it fails when the router's own share grows by one in twenty.

#[path = "../common/audience.rs"]
mod audience;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/floor.rs"]
mod floor;

use audience::Audience;
use floor::Floor;
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig};

const VIEWERS: u64 = 100;
const PACKETS: u64 = 80;

/// What was counted for a packet and viewer (docs/benchmarks.md): copied and sealed, ...
const SEALED: u64 = 3837;
/// ... forwarded when packets come one by one, ...
const IN_BATCHES_OF_1: u64 = 5030;
/// ... and eight at once.
const IN_BATCHES_OF_8: u64 = 4687;

fn recorded(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = instructions + (instructions - SEALED) / 20;
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, limit * PACKETS * VIEWERS)]));
    config
}

/// The audience, the packets, and how many of these come at once.
fn audience(batch: usize) -> (Audience, Vec<Vec<u8>>, usize) {
    let mut audience = Audience::new(VIEWERS as usize);
    let packets = audience.packets(PACKETS as usize, false);
    (audience, packets, batch)
}

#[library_benchmark(setup = audience)]
#[bench::batches_of_1(args = (1), config = recorded(IN_BATCHES_OF_1))]
#[bench::batches_of_8(args = (8), config = recorded(IN_BATCHES_OF_8))]
fn forward((mut audience, packets, batch): (Audience, Vec<Vec<u8>>, usize)) -> Audience {
    audience.turns(packets, batch);
    audience
}

#[library_benchmark(setup = Floor::new)]
#[bench::batches_of_8(VIEWERS as usize)]
fn copy_and_seal(mut floor: Floor) -> Floor {
    floor.turns(8, PACKETS as usize / 8);
    floor
}

library_benchmark_group!(name = router, benchmarks = [copy_and_seal, forward]);
main!(library_benchmark_groups = router);
