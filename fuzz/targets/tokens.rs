//! See `bodies/tokens.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millrace_fuzz::tokens::run(data));
