//! Two shards beside one: what spreading one publisher's viewers over cores costs.
//!
//! Two worlds of the same viewers, served in turn, batch by batch: by one shard, and by two. Readers have a thread on each
//! core in both. What is told is processor time of the shards' threads together, per forwarded packet.

use std::time::{Duration, Instant};

use millrace::net::Choice;

use super::trace::Burst;
use super::world::World;
use crate::median;

const VIEWERS: [usize; 4] = [50, 100, 300, 1000];
/// Packets that come at once, and packets that come each by itself.
const BATCHES: [(usize, bool); 3] = [(8, false), (32, false), (8, true)];
const PAYLOAD: usize = 1150;
/// Forwarded packets in one round of one side, at least.
const ROUND: usize = 16_000;
const ROUNDS: usize = 25;
const MIN_ROUNDS: usize = 5;
/// One line has had its time.
const ENOUGH: Duration = Duration::from_secs(5);

/// Measures and prints.
pub(crate) fn run(choice: &Choice, only: Option<usize>) {
    println!(
        "packets of {PAYLOAD} bytes of payload, moved by {choice}; ns of processor time per forwarded packet"
    );
    println!(
        "{:>8} {:>9} {:>10} {:>10} {:>7} {:>10} {:>14}",
        "viewers", "batch", "1 shard", "2 shards", "ratio", "of each", "wakes a batch"
    );
    let mut json = Vec::new();
    for viewers in VIEWERS.into_iter().filter(|n| only.is_none_or(|only| only == *n)) {
        let mut one = World::new(choice, 1, viewers, &[0, 1]);
        let mut two = World::new(choice, 2, viewers, &[0, 1]);
        for (batch, apart) in BATCHES {
            json.push(measure(&mut one, &mut two, viewers, batch, apart));
        }
        one.end();
        two.end();
    }
    println!("[{}]", json.join(","));
}

fn measure(one: &mut World, two: &mut World, viewers: usize, batch: usize, apart: bool) -> String {
    let turns = (ROUND / viewers / batch).max(1);
    let packets = (turns * batch * viewers) as f64;
    let sizes = vec![PAYLOAD; batch];
    let burst = Burst { pause: Duration::ZERO, after: vec![Duration::ZERO; batch], sizes: sizes.clone() };
    one.refresh();
    two.refresh();
    let (woken, counted) = (two.wakes(), Instant::now());
    let (mut rounds, mut batches) = (Vec::new(), 0);
    let begin = Instant::now();
    // The first round warms up.
    while rounds.len() <= MIN_ROUNDS || (rounds.len() <= ROUNDS && begin.elapsed() < ENOUGH) {
        let (first, second) = (one.processor_time(), two.processor_time());
        for _ in 0..turns {
            for world in [&mut *one, &mut *two] {
                if apart {
                    world.publish_apart(&burst);
                } else {
                    world.publish(&sizes);
                }
                world.settle(batch * viewers);
            }
            batches += 1;
        }
        let of =
            |world: &World, before: Duration| (world.processor_time() - before).as_nanos() as f64 / packets;
        rounds.push((of(one, first), of(two, second)));
    }
    // Once a second, shards remind each other of what they want.
    let reminders = counted.elapsed().as_secs();
    let wakes = (two.wakes() - woken).saturating_sub(reminders) as f64 / f64::from(batches);
    rounds.remove(0);
    let first = median(rounds.iter().map(|(one, _)| *one).collect());
    let second = median(rounds.iter().map(|(_, two)| *two).collect());
    let ratio = median(rounds.iter().map(|(one, two)| two / one).collect());
    let name = if apart { format!("{batch} apart") } else { batch.to_string() };
    let owned = two.owned().iter().map(usize::to_string).collect::<Vec<_>>().join("+");
    println!("{viewers:>8} {name:>9} {first:>10.0} {second:>10.0} {ratio:>7.2} {owned:>10} {wakes:>14.2}");
    format!(
        "{{\"viewers\":{viewers},\"batch\":{batch},\"apart\":{apart},\"one_ns\":{first:.0},\"two_ns\":{second:.0},\"ratio\":{ratio:.3},\"wakes\":{wakes:.2}}}"
    )
}
