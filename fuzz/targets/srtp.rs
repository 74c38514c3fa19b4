//! See `bodies/srtp.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millrace_fuzz::srtp::run(data));
