//! No input panics a parser, and what parses keeps its promises.

#[path = "common/mutate.rs"]
mod mutate;

use millrace::wire::demux::{Kind, classify};
use mutate::{INPUTS, each};

#[test]
fn demux_knows_every_first_byte() {
    each(1, INPUTS, &[&[0x80, 96, 0, 1], &[0], &[]], |input| {
        let kind = classify(input);
        let expected = match input {
            [] | [4..20, ..] | [128..192] => None,
            [0..4, ..] => Some(Kind::Stun),
            [20..64, ..] => Some(Kind::Dtls),
            [128..192, 192..224, ..] => Some(Kind::Rtcp),
            [128..192, ..] => Some(Kind::Rtp),
            _ => Some(Kind::Quic),
        };
        assert_eq!(kind, expected);
    });
}
