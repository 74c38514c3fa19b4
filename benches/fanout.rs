//! The fan-out of a whole shard beside its floor, on the loopback, to viewers that read what they are sent.
//!
//! The real shard with the real router gets batches of a publisher's packets and forwards them to every viewer. Beside it,
//! in turn and to the same sockets, the floor: the same packets copied and sealed for every viewer and sent with one
//! `sendmsg` and UDP_SEGMENT each, with nothing decided and nothing received. What is told is processor time of the
//! thread that sends, in nanoseconds per forwarded packet; the kernel delivers on the loopback on the sender's account.
//!
//! `cargo bench --bench fanout`; `-- --io mmsg` takes the portable driver, `-- --viewers 1000` one row of the table.
//! `-- --scaling` puts two shards beside one instead of the floor.
//! The last line is JSON. Absolute figures move with what else the machine does: the two sides alternate, batch
//! by batch, and the ratio is the median of the rounds' ratios.

mod common;
mod fan;

use std::time::{Duration, Instant};

use fan::floor::Floor;
use fan::world::World;
use millrace::net::{self, Choice, Io};

const VIEWERS: [usize; 4] = [50, 200, 1000, 4000];
const BATCHES: [usize; 4] = [1, 4, 10, 40];
/// Media packets of this size are what browsers send.
const PAYLOAD: usize = 1150;
/// Forwarded packets in one round of one side, at least.
const ROUND: usize = 16_000;
const ROUNDS: usize = 25;
const MIN_ROUNDS: usize = 5;
/// One line has had its time.
const ENOUGH: Duration = Duration::from_millis(2500);

/// One line of the table.
struct Row {
    viewers: usize,
    batch: String,
    floor_ns: f64,
    router_ns: f64,
    ratio: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.iter().skip_while(|a| *a != name).nth(1).cloned();
    let io = match option("--io").as_deref() {
        Some("mmsg") => Io::Mmsg,
        Some("uring") => Io::Uring,
        _ => Io::Auto,
    };
    let choice = Choice::probe(io).unwrap_or_else(|refused| panic!("{refused}"));
    let only: Option<usize> = option("--viewers").and_then(|n| n.parse().ok());
    fan::raise_descriptors();
    if arguments.iter().any(|argument| argument == "--scaling") {
        return fan::scaling::run(&choice, only);
    }
    // The floor runs where the shard runs, so that waking the reader costs both the same.
    net::pin(0).expect("a core");

    println!(
        "packets of {PAYLOAD} bytes of payload, moved by {choice}; ns of processor time per forwarded packet"
    );
    println!("{:>8} {:>7} {:>10} {:>10} {:>7}", "viewers", "batch", "floor ns", "router ns", "ratio");
    let mut rows = Vec::new();
    for viewers in VIEWERS.into_iter().filter(|n| only.is_none_or(|only| only == *n)) {
        let mut world = World::new(&choice, 1, viewers, &[1]);
        let mut floor = Floor::new(world.addresses());
        for batch in BATCHES {
            rows.push(measure(&mut world, &mut floor, batch));
        }
        rows.push(replay(&mut world, &mut floor));
        world.end();
    }
    let json: Vec<String> = rows.iter().map(Row::json).collect();
    println!("[{}]", json.join(","));
}

/// Batches of one size, floor and router in turn.
fn measure(world: &mut World, floor: &mut Floor, batch: usize) -> Row {
    let viewers = floor.viewers();
    let turns = (ROUND / viewers / batch).max(1);
    let packets = (turns * batch * viewers) as f64;
    let sizes = vec![PAYLOAD; batch];
    let mut rounds = Vec::new();
    world.refresh();
    let begin = Instant::now();
    // The first round warms up.
    while rounds.len() <= MIN_ROUNDS || (rounds.len() <= ROUNDS && begin.elapsed() < ENOUGH) {
        let before = world.processor_time();
        let mut spent = Duration::ZERO;
        for _ in 0..turns {
            spent += floor.send(&sizes);
            world.settle(batch * viewers);
            world.publish(&sizes);
            world.settle(batch * viewers);
        }
        let router = world.processor_time() - before;
        rounds.push((nanos(spent) / packets, nanos(router) / packets));
    }
    rounds.remove(0);
    row(viewers, batch.to_string(), &rounds)
}

/// Chromium's camera as it was recorded: packet by packet, when they came. The floor sends as one batch what came
/// within the same half a millisecond.
fn replay(world: &mut World, floor: &mut Floor) -> Row {
    let viewers = floor.viewers();
    let bursts = fan::trace::bursts();
    let sent: usize = bursts.iter().map(|burst| burst.sizes.len()).sum();
    let packets = (sent * viewers) as f64;
    world.refresh();
    let before = world.processor_time();
    let mut spent = Duration::ZERO;
    for burst in &bursts {
        std::thread::sleep(burst.pause / 2);
        spent += floor.send(&burst.sizes);
        world.settle(burst.sizes.len() * viewers);
        std::thread::sleep(burst.pause / 2);
        world.publish_apart(burst);
        world.settle(burst.sizes.len() * viewers);
    }
    let router = world.processor_time() - before;
    row(viewers, "trace".into(), &[(nanos(spent) / packets, nanos(router) / packets)])
}

fn row(viewers: usize, batch: String, rounds: &[(f64, f64)]) -> Row {
    let floor_ns = median(rounds.iter().map(|(floor, _)| *floor).collect());
    let router_ns = median(rounds.iter().map(|(_, router)| *router).collect());
    let ratio = median(rounds.iter().map(|(floor, router)| router / floor).collect());
    println!("{viewers:>8} {batch:>7} {floor_ns:>10.0} {router_ns:>10.0} {ratio:>7.2}");
    Row { viewers, batch, floor_ns, router_ns, ratio }
}

impl Row {
    fn json(&self) -> String {
        let Self { viewers, batch, floor_ns, router_ns, ratio } = self;
        let batch = batch.parse::<usize>().map_or_else(|_| format!("\"{batch}\""), |n| n.to_string());
        format!(
            "{{\"viewers\":{viewers},\"batch\":{batch},\"floor_ns\":{floor_ns:.0},\"router_ns\":{router_ns:.0},\"ratio\":{ratio:.3}}}"
        )
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
