//! Our STUN against the `stun` crate, both directions.

use std::net::SocketAddr;

use millrace::wire::stun::{Key, Message, write_error, write_request, write_success};
use proptest::prelude::*;
use stun::agent::TransactionId;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::error_code::ErrorCodeAttribute;
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Setter};
use stun::textattrs::TextAttribute;
use stun::xoraddr::XorMappedAddress;

/// Decodes with theirs, and lets theirs check fingerprint and integrity.
fn theirs(bytes: &[u8], password: &str) -> stun::message::Message {
    let mut message = stun::message::Message::new();
    message.unmarshal_binary(bytes).expect("valid");
    FINGERPRINT.check(&message).expect("fingerprint");
    MessageIntegrity::new_short_term_integrity(password.to_owned()).check(&mut message).expect("integrity");
    message
}

proptest! {
    #[test]
    fn they_read_what_we_write(
        transaction: [u8; 12],
        username in "[a-z]{4,20}:[a-z]{4,20}",
        (priority, nominate, tie_breaker) in any::<(u32, bool, u64)>(),
        password in "[a-zA-Z0-9+/]{22,80}",
        address: SocketAddr,
        code in 300u16..700,
    ) {
        let (mut buf, key) = ([0; 256], Key::new(password.as_bytes()));

        let len = write_request(&mut buf, &transaction, &username, priority, nominate, tie_breaker, &key);
        let request = theirs(&buf[..len.expect("room")], &password);
        prop_assert_eq!(request.typ, BINDING_REQUEST);
        prop_assert_eq!(request.transaction_id.0, transaction);
        prop_assert_eq!(request.get(ATTR_USERNAME).expect("username"), username.as_bytes());
        prop_assert_eq!(request.get(ATTR_PRIORITY).expect("priority"), priority.to_be_bytes());
        prop_assert_eq!(request.get(ATTR_ICE_CONTROLLING).expect("role"), tie_breaker.to_be_bytes());
        prop_assert_eq!(request.contains(ATTR_USE_CANDIDATE), nominate);

        let len = write_success(&mut buf, &transaction, address, &key);
        let response = theirs(&buf[..len.expect("room")], &password);
        prop_assert_eq!(response.typ, BINDING_SUCCESS);
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&response).expect("address");
        prop_assert_eq!((mapped.ip, mapped.port), (address.ip().to_canonical(), address.port()));

        let len = write_error(&mut buf, &transaction, code, "because", Some(&key));
        let error = theirs(&buf[..len.expect("room")], &password);
        let mut attribute = ErrorCodeAttribute::default();
        attribute.get_from(&error).expect("code");
        prop_assert_eq!((attribute.code.0, &attribute.reason[..]), (code, &b"because"[..]));
    }

    #[test]
    fn we_read_what_they_write(
        transaction: [u8; 12],
        username in "[a-z]{4,20}:[a-z]{4,20}",
        (priority, tie_breaker) in any::<(u32, u64)>(),
        password in "[a-zA-Z0-9+/]{22,80}",
        address: SocketAddr,
    ) {
        let key = Key::new(password.as_bytes());
        let integrity = || Box::new(MessageIntegrity::new_short_term_integrity(password.clone()));

        let mut request = stun::message::Message::new();
        let setters: [Box<dyn Setter>; 3] = [
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId(transaction)),
            Box::new(TextAttribute::new(ATTR_USERNAME, username.clone())),
        ];
        request.build(&setters).expect("built");
        request.add(ATTR_PRIORITY, &priority.to_be_bytes());
        request.add(ATTR_ICE_CONTROLLING, &tie_breaker.to_be_bytes());
        request.add(ATTR_USE_CANDIDATE, &[]);
        integrity().add_to(&mut request).expect("integrity");
        FINGERPRINT.add_to(&mut request).expect("fingerprint");
        let ours = Message::parse(&request.raw).expect("valid");
        prop_assert!(ours.is_binding_request() && ours.has_fingerprint() && ours.verify(&key));
        prop_assert_eq!(ours.transaction_id(), &transaction);
        prop_assert_eq!(ours.username(), Some(username.as_bytes()));
        prop_assert_eq!((ours.priority(), ours.controlling()), (Some(priority), Some(tie_breaker)));
        prop_assert!(ours.use_candidate());

        let mut response = stun::message::Message::new();
        let setters: [Box<dyn Setter>; 5] = [
            Box::new(BINDING_SUCCESS),
            Box::new(TransactionId(transaction)),
            Box::new(XorMappedAddress { ip: address.ip(), port: address.port() }),
            integrity(),
            Box::new(FINGERPRINT),
        ];
        response.build(&setters).expect("built");
        let ours = Message::parse(&response.raw).expect("valid");
        prop_assert!(ours.is_binding_success() && ours.verify(&key));
        let mapped = ours.mapped_address().expect("address");
        prop_assert_eq!((mapped.ip(), mapped.port()), (address.ip(), address.port()));
    }
}
