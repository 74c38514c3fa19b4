//! `wire` and `router`, compiled alone: whatever they use is in this manifest, and none of it can open a socket.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(unreachable_pub, unused_qualifications, unused_lifetimes)]
#![warn(
    clippy::use_self,
    clippy::manual_let_else,
    clippy::or_fun_call,
    clippy::needless_pass_by_ref_mut,
    clippy::unwrap_used,
    clippy::dbg_macro,
    clippy::todo
)]

pub mod batch;
pub mod router;
pub mod units;
pub mod wire;
