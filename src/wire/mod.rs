//! Zero-copy codecs, one module per RFC: no state, no I/O, no `unsafe`, and no input that panics.

pub mod id;
pub mod payload;
pub mod srtp;
