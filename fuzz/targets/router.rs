//! A whole call: whatever people and their networks do, in any order. See `millrace_sim::operations`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| millrace_sim::operations::play(data));
