//! millrace: a media router for conferences and webinars.
//!
//! `http` and `signal` call `control`, which sends commands to the shards; a `shard` turns the loop of one core:
//! datagrams in from `net`, through `router`, datagrams out. `wire` reads and writes what travels.
//! The arrows run one way; `wire` and `router` know no socket, no clock and no runtime: with the leaves `batch` and `units`
//! they are a crate of their own, `core`, that sees to it, and that is built for speed where all else is for size.

#![deny(unsafe_code)]

pub mod acme;
pub mod admin;
mod base64;
pub mod certificate;
pub mod config;
pub mod control;
#[doc(hidden)]
pub mod fuzzing;
pub mod handover;
pub mod handshake;
pub mod hooks;
pub mod http;
mod json;
pub mod log;
pub mod mail;
pub mod net;
pub mod origin;
mod rate;
pub mod server;
pub mod shard;
pub mod signal;
pub mod sorted;
mod task;
pub mod tls;
pub mod watch;

pub use millrace_core::{batch, router, units, wire};
