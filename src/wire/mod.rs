//! Zero-copy codecs, one module per RFC: no state, no I/O, no `unsafe`, and no input that panics.

pub mod id;
pub mod payload;
pub mod srtp;

/// The bytes are not what they claim to be. All parsers say no more: what comes from the network is dropped and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Malformed;
