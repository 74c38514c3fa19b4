//! A bad link of one client's own: the simulator's (rate, drop-tail queue, delay, jitter, loss) in real time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use millrace_sim::bottleneck::{Bottleneck, Passage};
use millrace_sim::network::Rng;

use crate::relay::Impairment;
use crate::relay::{at, instant};

/// UDP and IPv4 headers count on links.
const HEADERS: usize = 28;

/// How both ways of a client are impaired.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// From the server to the client.
    pub down: Impairment,
    /// From the client to the server.
    pub up: Impairment,
}

impl Link {
    /// The link of client number `n` of a run: the same seed, the same losses.
    pub fn client(&self, seed: u64, n: u64) -> Option<Impaired> {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (*self != Self::default()).then(|| {
            let began = Instant::now();
            let way =
                |impairment: &Impairment, seed| Way::new(impairment.link(&[], at(began, began)), began, seed);
            Impaired { down: way(&self.down, seed), up: way(&self.up, !seed) }
        })
    }
}

/// Both ways of one client. Each has a seed of its own, so that what passes in one changes nothing in the other.
pub struct Impaired {
    /// From the server.
    pub down: Way<()>,
    /// To the server.
    pub up: Way<()>,
}

impl Impaired {
    /// When the next datagram is through.
    pub fn next(&self) -> Option<Instant> {
        self.down.next().into_iter().chain(self.up.next()).min()
    }
}

/// A datagram on its way, ordered by when it arrives and then by when it came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parcel<T> {
    at: Instant,
    number: u64,
    whose: T,
    bytes: Vec<u8>,
}

/// One direction.
pub struct Way<T> {
    link: Bottleneck,
    rng: Rng,
    began: Instant,
    flying: BinaryHeap<Reverse<Parcel<T>>>,
    taken: u64,
}

impl<T: Ord> Way<T> {
    /// A way over `link`, whose time is counted from `began`.
    pub fn new(link: Bottleneck, began: Instant, seed: u64) -> Self {
        Self { link, rng: Rng::new(seed), began, flying: BinaryHeap::new(), taken: 0 }
    }

    /// Goes on over another link; what is under way arrives as it would have.
    pub fn replace(&mut self, link: Bottleneck) {
        self.link = link;
    }

    /// Puts a datagram on its way, and says what became of it.
    pub fn carry(&mut self, now: Instant, whose: T, bytes: Vec<u8>) -> Passage {
        let passage = self.link.carry(at(self.began, now), 0, bytes.len() + HEADERS, &mut self.rng);
        self.link.log.clear();
        if let Some(arrives) = passage.arrives {
            self.taken += 1;
            let at = instant(self.began, arrives);
            self.flying.push(Reverse(Parcel { at, number: self.taken, whose, bytes }));
        }
        passage
    }

    /// [`Way::carry`], whatever becomes of it.
    pub fn take(&mut self, now: Instant, whose: T, bytes: Vec<u8>) {
        self.carry(now, whose, bytes);
    }

    /// A datagram that has arrived by now.
    pub fn due(&mut self, now: Instant) -> Option<(T, Vec<u8>)> {
        self.flying.peek().filter(|parcel| parcel.0.at <= now)?;
        self.flying.pop().map(|Reverse(parcel)| (parcel.whose, parcel.bytes))
    }

    /// When the next one arrives.
    pub fn next(&self) -> Option<Instant> {
        self.flying.peek().map(|parcel| parcel.0.at)
    }
}
