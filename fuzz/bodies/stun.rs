//! STUN: no panic; what is read of a message stays what it is when our own writer says it, and is what the `stun` crate
//! reads wherever both accept.

use ::stun::attributes::{
    ATTR_FINGERPRINT, ATTR_ICE_CONTROLLING, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_USE_CANDIDATE,
    ATTR_USERNAME, ATTR_XORMAPPED_ADDRESS, AttrType,
};
use ::stun::integrity::MessageIntegrity;
use ::stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter, Message as Theirs};
use ::stun::xoraddr::XorMappedAddress;
use millrace::wire::stun::{Key, Message, write_request, write_success};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// One input.
pub fn run(data: &[u8]) {
    let key = Key::new(PASSWORD.as_bytes());
    // With the length made right a fuzzer gets further.
    let mut data = data.to_vec();
    if let (Ok(len), Some(field)) = (u16::try_from(data.len().saturating_sub(20)), data.get_mut(2..4)) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    let Ok(message) = Message::parse(&data) else { return };
    assert!(!message.verify(&key) || message.has_integrity());
    let mut theirs = Theirs::new();
    if theirs.unmarshal_binary(&data).is_ok() {
        compare(&message, &mut theirs, &key);
    }

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
}

fn compare(ours: &Message<'_>, theirs: &mut Theirs, key: &Key) {
    assert_eq!(*ours.transaction_id(), theirs.transaction_id.0);
    assert_eq!(ours.is_binding_request(), theirs.typ == BINDING_REQUEST);
    assert_eq!(ours.is_binding_success(), theirs.typ == BINDING_SUCCESS);
    assert_eq!(ours.is_binding_error(), theirs.typ == BINDING_ERROR);
    assert_eq!(ours.has_integrity(), theirs.contains(ATTR_MESSAGE_INTEGRITY));

    // Theirs also believes what comes after the integrity, and reads the last of its check's bytes from there.
    let order: Vec<AttrType> = theirs.attributes.0.iter().map(|attribute| attribute.typ).collect();
    let end = order.iter().position(|kind| *kind == ATTR_MESSAGE_INTEGRITY).unwrap_or(order.len());
    if !order.iter().skip(end + 1).all(|kind| *kind == ATTR_FINGERPRINT) {
        return;
    }
    let value = |kind: AttrType| theirs.get(kind).ok();
    if let Some(name) = ours.username() {
        assert_eq!(value(ATTR_USERNAME).as_deref(), Some(name));
    }
    if let Some(priority) = ours.priority() {
        assert_eq!(value(ATTR_PRIORITY), Some(priority.to_be_bytes().to_vec()));
    }
    if let Some(tie_breaker) = ours.controlling() {
        assert_eq!(value(ATTR_ICE_CONTROLLING), Some(tie_breaker.to_be_bytes().to_vec()));
    }
    assert!(!ours.use_candidate() || theirs.contains(ATTR_USE_CANDIDATE));
    // Theirs takes 0x8020, which an early draft had, for the attribute, too.
    let addresses = order.iter().filter(|kind| **kind == ATTR_XORMAPPED_ADDRESS).count();
    let mut mapped = XorMappedAddress::default();
    if let (Some(address), 1, Ok(())) = (ours.mapped_address(), addresses, mapped.get_from(theirs)) {
        assert_eq!((address.ip(), address.port()), (mapped.ip, mapped.port));
    }
    if ours.has_integrity() {
        let check = MessageIntegrity::new_short_term_integrity(PASSWORD.to_owned());
        assert_eq!(ours.verify(key), check.check(theirs).is_ok());
    }
}
