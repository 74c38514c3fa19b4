//! What is shown for a proof: tokens that apps sign, Base64, hexadecimal, certificates. None opens anything.

use std::time::Duration;

use millrace::control::directory::{Directory, Snapshot, SystemEntropy, hex, unhex};
use millrace::fuzzing;

/// One input.
pub fn run(data: &[u8]) {
    if let Some((from, until)) = fuzzing::validity(data) {
        let _ = from.checked_sub(until);
    }
    let Ok(text) = str::from_utf8(data) else { return };
    let mut directory = Directory::new(Snapshot::default(), Box::new(SystemEntropy::default()));
    assert_eq!(directory.authenticate(Duration::from_secs(1_000_000), text), None);
    // Each text has one form, so that what is revoked has no other name.
    let [_, url] = fuzzing::base64(text);
    assert!(url.is_none_or(|again| again == text));
    if let Some(bytes) = unhex(text) {
        assert!(hex(&bytes).eq_ignore_ascii_case(text));
    }
}
