//! How often one may guess wrong: token buckets per address and per token.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::rate::{Bucket, Rate};

/// Guessers remembered at once, of each sort; beyond that, strangers share one bucket until others are forgotten.
const REMEMBERED: usize = 10_000;

/// What wrong guesses are still held against whom.
#[derive(Debug)]
pub(super) struct Guesses<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
    /// The bucket of all who found no place.
    others: Bucket,
}

impl<K: Eq + Hash> Guesses<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new(), others: Bucket::default() }
    }

    /// Whether `who` must wait before the next guess, right or wrong.
    pub(super) fn exhausted(&self, who: &K, now: Duration) -> bool {
        let full = self.buckets.len() >= REMEMBERED;
        let bucket = match self.buckets.get(who) {
            Some(bucket) => *bucket,
            None if full => self.others,
            None => return false,
        };
        !bucket.may(now, self.rate)
    }

    /// Notes a wrong guess.
    pub(super) fn wrong(&mut self, who: K, now: Duration) {
        if self.buckets.len() >= REMEMBERED && !self.buckets.contains_key(&who) {
            self.buckets.retain(|_, bucket| !bucket.is_clean(now));
            if self.buckets.len() >= REMEMBERED {
                self.others.pay(now, self.rate);
                return;
            }
        }
        self.buckets.entry(who).or_default().pay(now, self.rate);
    }
}

/// Whoever holds an IPv6 address holds its /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(10) };

    #[test]
    fn a_burst_is_allowed_and_forgiven_one_by_one() {
        let mut guesses = Guesses::new(RATE);
        let now = Duration::from_secs(1_000);
        for _ in 0..3 {
            assert!(!guesses.exhausted(&"a", now));
            guesses.wrong("a", now);
        }
        assert!(guesses.exhausted(&"a", now));
        assert!(!guesses.exhausted(&"b", now));
        assert!(guesses.exhausted(&"a", now + Duration::from_secs(9)));
        assert!(!guesses.exhausted(&"a", now + Duration::from_secs(10)));
    }

    #[test]
    fn a_flood_of_guessers_neither_grows_without_end_nor_frees_anybody() {
        let mut guesses = Guesses::new(RATE);
        let now = Duration::from_secs(1_000);
        for _ in 0..3 {
            guesses.wrong(0, now);
        }
        for who in 1..20_000_u32 {
            guesses.wrong(who, now);
        }
        assert_eq!(guesses.buckets.len(), REMEMBERED);
        assert!(guesses.exhausted(&0, now));
        assert!(guesses.exhausted(&1_000_000, now), "strangers share one bucket while the table is full");
        let later = now + Duration::from_secs(100_000);
        guesses.wrong(1_000_000, later);
        assert!(!guesses.exhausted(&1_000_000, later));
        assert_eq!(guesses.buckets.len(), 1);
    }

    #[test]
    fn an_ipv6_guesser_is_its_network() {
        let parse = |text: &str| text.parse::<IpAddr>().ok();
        let net = |text: &str| parse(text).map(network);
        assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:1"));
        assert_ne!(net("2001:db8::1"), net("2001:db8:0:1::1"));
        assert_eq!(net("::ffff:192.0.2.1"), parse("192.0.2.1"));
    }
}
