//! What the fuzz targets do with one input. Each is a function of bytes, so that tests on a stable toolchain can run
//! it, too (`tests/fuzz_smoke.rs`).

pub mod control;
pub mod demux;
pub mod dependency_descriptor;
pub mod forms;
pub mod framed;
pub mod hello;
pub mod house;
pub mod http3;
pub mod journal;
pub mod messages;
pub mod negotiate;
pub mod payload;
pub mod router;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod settings;
pub mod signalling;
pub mod srtp;
pub mod stun;
pub mod tokens;
pub mod websocket;

/// A target: its name, and what it does with one input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 21] = [
    ("control", control::run),
    ("demux", demux::run),
    ("dependency_descriptor", dependency_descriptor::run),
    ("forms", forms::run),
    ("framed", framed::run),
    ("hello", hello::run),
    ("http3", http3::run),
    ("journal", journal::run),
    ("messages", messages::run),
    ("negotiate", negotiate::run),
    ("payload", payload::run),
    ("router", router::run),
    ("rtcp", rtcp::run),
    ("rtp", rtp::run),
    ("sdp", sdp::run),
    ("settings", settings::run),
    ("signalling", signalling::run),
    ("srtp", srtp::run),
    ("stun", stun::run),
    ("tokens", tokens::run),
    ("websocket", websocket::run),
];
