//! STUN: no panic; what is read of a message stays what it is when our own writer says it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace::wire::stun::{Key, Message, write_request, write_success};

fuzz_target!(|data: &[u8]| {
    let key = Key::new(b"VOkJxbRl1RmTxUk/WvJxBt");
    // With the length made right a fuzzer gets further.
    let mut data = data.to_vec();
    if let (Ok(len), Some(field)) = (u16::try_from(data.len().saturating_sub(20)), data.get_mut(2..4)) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    let Ok(message) = Message::parse(&data) else { return };
    assert!(!message.verify(&key) || message.has_integrity());

    let (tid, mut buf) = (message.transaction_id(), vec![0; 70_000]);
    if let Some(mapped) = message.mapped_address() {
        let len = write_success(&mut buf, tid, mapped, &key).expect("room");
        let written = Message::parse(&buf[..len]).expect("valid");
        assert!(written.is_binding_success() && written.verify(&key));
        assert_eq!(written.mapped_address().map(|a| a.ip()), Some(mapped.ip().to_canonical()));
    }
    if let (Some(name), Some(tie_breaker)) = (message.username(), message.controlling())
        && let Ok(name) = std::str::from_utf8(name)
    {
        let nominate = message.use_candidate();
        if let Some(len) = write_request(&mut buf, tid, name, 1, nominate, tie_breaker, &key) {
            let written = Message::parse(&buf[..len]).expect("valid");
            assert!(written.is_binding_request() && written.verify(&key));
            assert_eq!(written.username(), message.username());
            assert_eq!(written.use_candidate(), nominate);
        }
    }
});
