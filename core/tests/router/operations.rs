//! Whatever people and networks do, in whatever order, holds what must: the same as the fuzz target `router`.

use crate::sim::network::Rng;
use crate::sim::operations::play;

#[test]
fn in_any_order() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        // Two who publish, two who watch; then whatever comes.
        let mut bytes: Vec<u8> = vec![seed as u8, 0, 0, 2, 1, 0, 0, 0, 0, 1, 1, 0, 0];
        bytes.extend((0..360).map(|_| rng.next() as u8));
        play(&bytes);
    }
}
