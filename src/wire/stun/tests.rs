use super::*;
use proptest::prelude::*;

/// RFC 5769: the password of all samples with short-term credentials.
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

/// RFC 5769 section 2.1.
const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\
    \x00\x24\x00\x04\x6e\x00\x01\xff\
    \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 section 2.2.
const RESPONSE_V4: &[u8] =
    b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

/// RFC 5769 section 2.3.
const RESPONSE_V6: &[u8] =
    b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
    \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
    \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

#[test]
fn the_sample_request_of_rfc_5769() {
    let request = Message::parse(REQUEST).expect("valid");
    assert!(request.is_binding_request() && request.has_integrity() && request.has_fingerprint());
    assert_eq!(request.transaction_id(), &TRANSACTION);
    assert_eq!(request.username(), Some(&b"evtj:h6vY"[..]));
    assert_eq!(request.local_ufrag(), Some(&b"evtj"[..]));
    assert_eq!(request.remote_ufrag(), Some(&b"h6vY"[..]));
    assert_eq!(request.priority(), Some(0x6e00_01ff));
    assert_eq!(request.role(), Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
    assert_eq!((request.use_candidate(), request.controlling()), (false, None));
    assert!(request.verify(&Key::new(PASSWORD)));
    assert!(!request.verify(&Key::new(b"another")));
}

#[test]
fn the_sample_responses_of_rfc_5769() {
    for (bytes, mapped) in
        [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let response = Message::parse(bytes).expect("valid");
        assert!(response.is_binding_success() && response.verify(&Key::new(PASSWORD)));
        assert_eq!(response.mapped_address(), Some(mapped.parse().expect("address")));
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    let key = Key::new(PASSWORD);
    for bit in 0..REQUEST.len() * 8 {
        let mut changed = REQUEST.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!Message::parse(&changed).is_ok_and(|m| m.has_fingerprint() && m.verify(&key)), "bit {bit}");
    }
}

#[test]
fn every_cut_is_noticed() {
    for len in 0..REQUEST.len() {
        assert!(Message::parse(&REQUEST[..len]).is_err(), "{len}");
    }
    assert!(Message::parse(&[REQUEST, &[0; 4]].concat()).is_err());
}

#[test]
fn what_follows_integrity_does_not_count() {
    // USE-CANDIDATE slipped in behind MESSAGE-INTEGRITY, where nobody vouches for it.
    let mut forged = REQUEST[..REQUEST.len() - 8].to_vec();
    forged.extend_from_slice(&[0x00, 0x25, 0, 0]);
    let mut out = Out::new(&mut forged, 0);
    out.set_u16(2, (REQUEST.len() - 8 + 4 - HEADER) as u16).expect("room");
    let message = Message::parse(&forged).expect("valid");
    assert!(message.verify(&Key::new(PASSWORD)) && !message.use_candidate());
}

#[test]
fn an_unknown_attribute_that_must_be_understood_is_named() {
    let mut buf = [0; 64];
    let mut out = begin(&mut buf, BINDING_REQUEST, &TRANSACTION).expect("room");
    put(&mut out, 0xc057, &[0; 4]).expect("room");
    put(&mut out, 0x0027, &[]).expect("room");
    let len = finish(out, None).expect("room");
    assert_eq!(Message::parse(&buf[..len]).expect("valid").unknown_required(), Some(0x0027));
    assert_eq!(Message::parse(REQUEST).expect("valid").unknown_required(), None);
}

#[test]
fn errors_carry_their_code() {
    let (mut buf, key) = ([0; 128], Key::new(PASSWORD));
    for key in [Some(&key), None] {
        let len = write_error(&mut buf, &TRANSACTION, 487, "Role Conflict", key).expect("room");
        let error = Message::parse(&buf[..len]).expect("valid");
        assert!(error.is_binding_error() && error.has_fingerprint());
        assert_eq!(error.error_code(), Some(487));
        assert_eq!(key.is_some_and(|key| error.verify(key)), key.is_some());
    }
}

#[test]
fn a_mapped_ipv4_address_travels_as_ipv4() {
    let (mut buf, key) = ([0; 128], Key::new(PASSWORD));
    let seen = "[::ffff:192.0.2.1]:32853".parse().expect("address");
    let len = write_success(&mut buf, &TRANSACTION, seen, &key).expect("room");
    let response = Message::parse(&buf[..len]).expect("valid");
    assert_eq!(response.mapped_address(), Some("192.0.2.1:32853".parse().expect("address")));
}

#[test]
fn a_buffer_too_small_is_none() {
    let (mut buf, key) = ([0; 256], Key::new(PASSWORD));
    let len = write_request(&mut buf, &TRANSACTION, "a:b", 1, true, 2, &key).expect("room");
    for room in 0..len {
        assert_eq!(write_request(&mut buf[..room], &TRANSACTION, "a:b", 1, true, 2, &key), None);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        transaction: [u8; 12],
        username in "[a-zA-Z0-9+/]{4,40}:[a-zA-Z0-9+/]{4,40}",
        priority: u32,
        nominate: bool,
        tie_breaker: u64,
        password in "[a-zA-Z0-9+/]{22,100}",
        mapped: SocketAddr,
    ) {
        let (mut buf, key) = ([0; 256], Key::new(password.as_bytes()));
        let len = write_request(&mut buf, &transaction, &username, priority, nominate, tie_breaker, &key)
            .expect("room");
        let request = Message::parse(&buf[..len]).expect("valid");
        prop_assert!(request.is_binding_request() && request.verify(&key));
        prop_assert_eq!(request.transaction_id(), &transaction);
        prop_assert_eq!(request.username(), Some(username.as_bytes()));
        prop_assert_eq!(request.priority(), Some(priority));
        prop_assert_eq!(request.controlling(), Some(tie_breaker));
        prop_assert_eq!(request.use_candidate(), nominate);

        let len = write_success(&mut buf, &transaction, mapped, &key).expect("room");
        let response = Message::parse(&buf[..len]).expect("valid");
        prop_assert!(response.is_binding_success() && response.verify(&key));
        let expected = SocketAddr::new(mapped.ip().to_canonical(), mapped.port());
        prop_assert_eq!(response.mapped_address(), Some(expected));
    }
}
