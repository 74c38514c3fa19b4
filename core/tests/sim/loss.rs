//! How packets get lost on the wire: each by itself, or in bursts.

use super::network::Rng;

/// See the module.
#[derive(Clone, Debug)]
pub enum Loss {
    None,
    /// Each with this probability.
    Random(f64),
    /// Gilbert and Elliott: a good state that loses nothing and a bad one that loses this share, with the probability of
    /// changing from one to the other at each packet.
    Bursts {
        to_bad: f64,
        to_good: f64,
        share: f64,
        bad: bool,
    },
}

impl Loss {
    /// Bursts of 8 packets on average, of which three in four are lost: 5 % in all.
    pub const fn bursts() -> Self {
        Self::Bursts { to_bad: 0.009, to_good: 0.125, share: 0.75, bad: false }
    }

    /// Whether it takes the next packet.
    pub fn strikes(&mut self, rng: &mut Rng) -> bool {
        match self {
            Self::None => false,
            Self::Random(share) => rng.chance(*share),
            Self::Bursts { to_bad, to_good, share, bad } => {
                *bad = if *bad { !rng.chance(*to_good) } else { rng.chance(*to_bad) };
                *bad && rng.chance(*share)
            }
        }
    }
}
