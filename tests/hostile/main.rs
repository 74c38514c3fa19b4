//! Hostile peers beside an honest call, with the real server. What must hold is asserted; rates, latencies and memory are printed, one
//! line of JSON an attack (`cargo test --release --test hostile -- --nocapture`), and stand in `docs/security.md`.

#[path = "../common/program.rs"]
mod program;

mod feedback;
mod flood;
mod fragments;
mod ground;
mod guesses;
mod half_open;
mod hello;
mod intruder;
mod media;
mod requests;
mod signalling;
mod slow;
mod streams;
mod stun;
