//! What memory the router takes: one publisher and its viewers in simulated time, under an allocator that counts.

extern crate millrace_core as millrace;

#[path = "../../../benches/common/mod.rs"]
mod common;
mod no_allocation;
mod per_viewer;
mod server;
