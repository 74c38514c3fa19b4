//! Compiles `wire` and `router` alone: whatever they use is in this manifest, and none of it can open a socket.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "documented where they live")]

#[path = "../../../src/batch.rs"]
pub mod batch;
#[path = "../../../src/router/mod.rs"]
pub mod router;
#[path = "../../../src/units.rs"]
pub mod units;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;
