//! See `bodies/websocket.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millrace_fuzz::websocket::run(data));
