//! See `bodies/dependency_descriptor.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millrace_fuzz::dependency_descriptor::run(data));
