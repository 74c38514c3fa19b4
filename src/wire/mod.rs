//! Zero-copy codecs, one module per RFC: no I/O, no `unsafe`, no input that panics, and no
//! state but what finds the packets in a stream.

pub mod demux;
pub mod ext;
pub mod framed;
pub mod id;
pub mod payload;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod stun;
pub mod websocket;

mod bits;
mod bytes;

use std::fmt;

/// The input is not what its parser reads. It is dropped and counted, so there is nothing more to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed")
    }
}

impl std::error::Error for Malformed {}
