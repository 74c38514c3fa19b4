//! Seeded mutations: millions of inputs near valid ones, the same in every run.
//!
//! Include it with `#[path = "common/mutate.rs"] mod mutate;` and call [`each`].

/// Inputs per parser: enough to meet every branch near the seeds, few enough for every run of the tests.
pub(crate) const INPUTS: u32 = if cfg!(debug_assertions) { 100_000 } else { 3_000_000 };

/// A small, fast, seeded source of numbers (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
}

/// Calls `check` with `count` inputs: each is one of `seeds`, changed in one to four places. When `check` panics, the
/// input is printed.
pub(crate) fn each(seed: u64, count: u32, seeds: &[&[u8]], mut check: impl FnMut(&mut [u8])) {
    let mut random = Random::new(seed);
    let (mut input, mut scratch) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    for n in 0..count {
        input.clear();
        input.extend_from_slice(seeds[random.below(seeds.len())]);
        for _ in 0..=random.below(4) {
            mutate(&mut random, &mut input, seeds);
        }
        // `check` may work in place: the witness keeps what it was given.
        let witness = Witness { n, before: random.clone(), input: &input };
        scratch.clear();
        scratch.extend_from_slice(&input);
        check(&mut scratch);
        std::mem::forget(witness);
    }
}

/// Prints the input when the stack unwinds through it.
struct Witness<'a> {
    n: u32,
    before: Random,
    input: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        let hex: String = self.input.iter().map(|b| format!("{b:02x}")).collect();
        eprintln!("input {} (state {:x?}) of {} bytes: {hex}", self.n, self.before, self.input.len());
    }
}

/// Values at the borders of fields.
const BORDERS: [u8; 12] = [0, 1, 2, 3, 4, 0x0f, 0x10, 0x7f, 0x80, 0xbe, 0xfe, 0xff];
/// Inputs do not grow beyond this.
const LONGEST: usize = 2048;

fn mutate(random: &mut Random, input: &mut Vec<u8>, seeds: &[&[u8]]) {
    let at = random.below(input.len() + 1);
    match random.below(10) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 | 3 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = BORDERS[random.below(BORDERS.len())];
            }
        }
        // Lengths and counts are mostly in the first bytes.
        4 => {
            let front = random.below(input.len().min(24));
            if let Some(byte) = input.get_mut(front) {
                *byte = random.next() as u8;
            }
        }
        5 => input.truncate(at),
        6 => {
            let to = at + random.below((input.len() - at).min(16) + 1);
            input.drain(at..to);
        }
        7 if input.len() < LONGEST => {
            let more = random.below(9);
            let fill = random.next().to_le_bytes();
            input.splice(at..at, fill.into_iter().take(more));
        }
        8 if input.len() < LONGEST => {
            let from = at + random.below((input.len() - at).min(64) + 1);
            let copy = input[at..from].to_vec();
            input.splice(at..at, copy);
        }
        // The front of one seed with the end of another.
        _ => {
            let other = seeds[random.below(seeds.len())];
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            input.truncate(LONGEST);
        }
    }
}
