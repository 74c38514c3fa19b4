use super::cipher::{Cm, Gcm};
use super::*;
use aes::cipher::KeyInit;
use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, LessSafeKey, UnboundKey};

const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.as_chunks::<2>().0.iter().map(|[a, b]| (a << 4 | b) as u8).collect()
}

fn pair(profile: Profile) -> (Sealer, Opener) {
    let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
    let client = Keys::from_exporter(profile, &material, false).expect("keys");
    let server = Keys::from_exporter(profile, &material, true).expect("keys");
    (Sealer::new(&client), Opener::new(&server))
}

/// An RTP packet of `ssrc` with 5 bytes of payload.
fn packet(seq: Seq, ssrc: Ssrc) -> Vec<u8> {
    let mut packet = vec![0; 17];
    let header = rtp::Header { seq: seq.wire(), ssrc, ..rtp::Header::default() };
    assert_eq!(header.write(&mut packet, &[]), Some(12));
    packet[12..].copy_from_slice(b"hello");
    packet
}

fn sealed(sealer: &Sealer, seq: Seq, ssrc: Ssrc) -> Vec<u8> {
    let mut buf = packet(seq, ssrc);
    let len = buf.len();
    buf.resize(len + MAX_OVERHEAD, 0);
    let len = sealer.seal_rtp(&mut buf, len, 12, seq, ssrc).expect("room");
    buf.truncate(len);
    buf
}

fn open(opener: &mut Opener, mut sealed: Vec<u8>) -> Result<Vec<u8>, Drop> {
    let len = opener.open_rtp(&mut sealed)?;
    sealed.truncate(len);
    Ok(sealed)
}

/// Keys whose session keys are given, as the vectors of RFC 7714 have them.
fn session_keys(profile: Profile, algorithm: &'static Algorithm, key: &[u8]) -> Keys {
    let gcm = Gcm {
        key: LessSafeKey::new(UnboundKey::new(algorithm, key).expect("length")),
        salt: 0x5175_6964_2070_726f_2071_756f,
    };
    let direction = Direction { rtp: Cipher::Gcm(gcm.clone()), rtcp: Cipher::Gcm(gcm) };
    let material = vec![0; profile.keying_material_len()];
    let keys = Keys::from_exporter(profile, &material, false).expect("keys");
    Keys { inbound: direction.clone(), outbound: direction, ..keys }
}

#[test]
fn key_derivation_of_rfc_3711_b3() {
    let key = bytes("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = bytes("0EC675AD498AFEEBB6960B3AABE6");
    let material = [&key[..], &key, &salt, &salt].concat();
    let keys = Keys::from_exporter(Profile::Aes128CmSha1_80, &material, true).expect("keys");
    let Cipher::Cm(derived) = keys.inbound.rtp else { panic!("wrong cipher") };

    // Expanded keys do not show; they must act as those of the RFC do.
    let expected = Cm {
        aes: aes::Aes128::new_from_slice(&bytes("C61E7A93744F39EE10734AFE3FF7A087")).expect("length"),
        mac: hmac::Hmac::new_from_slice(&bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")).expect("length"),
        salt: 0x30CB_BC08_863D_8C85_D49D_B34A_9AE1,
    };
    assert_eq!(derived.salt, expected.salt);
    let (mut ours, mut theirs) = ([0; 40], [0; 40]);
    derived.crypt(Ssrc(1), 2, &mut ours);
    expected.crypt(Ssrc(1), 2, &mut theirs);
    assert_eq!(ours, theirs);
    let (mut ours, mut theirs) = ([0; 20], [0; 20]);
    derived.tag(b"covered", b"trailer", &mut ours);
    expected.tag(b"covered", b"trailer", &mut theirs);
    assert_eq!(ours, theirs);
}

#[test]
fn key_stream_of_rfc_3711_b2() {
    let cm = Cm {
        aes: aes::Aes128::new_from_slice(&bytes("2B7E151628AED2A6ABF7158809CF4F3C")).expect("length"),
        mac: hmac::Hmac::new_from_slice(&[]).expect("length"),
        salt: 0xF0F1_F2F3_F4F5_F6F7_F8F9_FAFB_FCFD,
    };
    let mut stream = [0; 48];
    cm.crypt(Ssrc(0), 0, &mut stream);
    let expected = bytes(
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0",
    );
    assert_eq!(stream[..], expected);
}

#[test]
fn rtp_vectors_of_rfc_7714() {
    let key: Vec<u8> = (0..32).collect();
    let clear = [&bytes("8040f17b8041f8d35501a0b2")[..], b"Gallia est omnis divisa in partes tres"].concat();
    let cases = [
        (
            Profile::AeadAes128Gcm,
            session_keys(Profile::AeadAes128Gcm, &AES_128_GCM, &key[..16]),
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            Profile::AeadAes256Gcm,
            session_keys(Profile::AeadAes256Gcm, &AES_256_GCM, &key),
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (profile, keys, expected) in cases {
        let mut buf = clear.clone();
        buf.resize(clear.len() + 16, 0);
        let len = Sealer::new(&keys).seal_rtp(&mut buf, clear.len(), 12, Seq(0xf17b), Ssrc(0x5501_a0b2));
        assert_eq!((len, &buf), (Some(buf.len()), &bytes(expected)), "{profile:?}");
        assert_eq!(Opener::new(&keys).open_rtp(&mut buf), Ok(clear.len()));
        assert_eq!(buf[..clear.len()], clear);
    }
}

#[test]
fn rtcp_vectors_of_rfc_7714() {
    let key: Vec<u8> = (0..32).collect();
    let clear = bytes(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 \
         deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    let cases = [
        (
            session_keys(Profile::AeadAes128Gcm, &AES_128_GCM, &key[..16]),
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 \
             86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
        ),
        (
            session_keys(Profile::AeadAes256Gcm, &AES_256_GCM, &key),
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658 \
             c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
        ),
    ];
    for (keys, expected) in cases {
        let mut buf = clear.clone();
        buf.resize(clear.len() + MAX_OVERHEAD, 0);
        let mut sealer = Sealer::new(&keys);
        sealer.next_rtcp = 0x5d4;
        assert_eq!(sealer.seal_rtcp(&mut buf, clear.len()), Some(buf.len()));
        assert_eq!(buf, bytes(expected));
        assert_eq!(Opener::new(&keys).open_rtcp(&mut buf), Ok(clear.len()));
        assert_eq!(buf[..clear.len()], clear);
    }
}

#[test]
fn exported_material_has_one_length() {
    for (profile, len) in PROFILES.into_iter().zip([60, 56, 88]) {
        assert_eq!(profile.keying_material_len(), len);
        assert_eq!(Profile::from_iana(profile.iana()), Some(profile));
        assert!(Keys::from_exporter(profile, &vec![0; len], true).is_some());
        assert!(Keys::from_exporter(profile, &vec![0; len - 1], true).is_none());
        assert!(Keys::from_exporter(profile, &vec![0; len + 1], true).is_none());
    }
    assert_eq!(Profile::from_iana(2), None);
}

#[test]
fn packets_arrive_late_and_over_rollovers_but_never_twice() {
    for profile in PROFILES {
        let (sealer, mut opener) = pair(profile);
        let ssrc = Ssrc(7);
        for seq in (65_000..200_000u64).step_by(100).flat_map(|n| [n + 50, n, n + 99]).map(Seq) {
            let wire = sealed(&sealer, seq, ssrc);
            assert_eq!(open(&mut opener, wire.clone()), Ok(packet(seq, ssrc)), "{seq:?}");
            assert_eq!(open(&mut opener, wire), Err(Drop::Replay), "{seq:?}");
        }
        assert_eq!(open(&mut opener, sealed(&sealer, Seq(199_000), ssrc)), Err(Drop::Replay), "too old");
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let wire = sealed(&sealer, Seq(1), Ssrc(7));
        let mut rtcp = packet(Seq(0), Ssrc(7));
        rtcp.resize(17 + MAX_OVERHEAD, 0);
        let len = sealer.seal_rtcp(&mut rtcp, 17).expect("room");
        rtcp.truncate(len);
        for bit in 0..wire.len() * 8 {
            let mut changed = wire.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.open_rtp(&mut changed).is_err(), "{profile:?} bit {bit}");
        }
        for bit in 0..rtcp.len() * 8 {
            let mut changed = rtcp.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(opener.open_rtcp(&mut changed).is_err(), "{profile:?} rtcp bit {bit}");
        }
        assert_eq!(open(&mut opener, wire), Ok(packet(Seq(1), Ssrc(7))), "forgeries left no trace");
        assert_eq!(opener.open_rtcp(&mut rtcp.clone()), Ok(17));
        assert_eq!(opener.open_rtcp(&mut rtcp), Err(Drop::Replay));
    }
}

#[test]
fn sources_are_bounded_and_only_authentic_ones_count() {
    let (sealer, mut opener) = pair(Profile::AeadAes128Gcm);
    for ssrc in 1000..2000 {
        let mut forged = packet(Seq(1), Ssrc(ssrc));
        forged.extend_from_slice(&[0; 16]);
        assert_eq!(opener.open_rtp(&mut forged), Err(Drop::Auth));
    }
    for ssrc in 0..64 {
        assert!(open(&mut opener, sealed(&sealer, Seq(1), Ssrc(ssrc))).is_ok());
    }
    assert_eq!(open(&mut opener, sealed(&sealer, Seq(1), Ssrc(64))), Err(Drop::TooManySsrcs));
    assert!(open(&mut opener, sealed(&sealer, Seq(2), Ssrc(63))).is_ok());
}

#[test]
fn used_up_indices_and_small_buffers_are_refused() {
    for profile in PROFILES {
        let (mut sealer, _) = pair(profile);
        let mut buf = packet(Seq(1), Ssrc(7));
        buf.resize(64, 0);
        assert_eq!(sealer.seal_rtp(&mut buf, 17, 12, Seq(1 << 48), Ssrc(7)), None);
        assert_eq!(sealer.seal_rtp(&mut buf, 17, 18, Seq(1), Ssrc(7)), None);
        assert_eq!(sealer.seal_rtp(&mut buf[..17 + profile.tag_len() - 1], 17, 12, Seq(1), Ssrc(7)), None);
        assert_eq!(sealer.seal_rtcp(&mut buf[..20 + profile.tag_len()], 17), None);
        assert_eq!(sealer.seal_rtcp(&mut buf, 7), None);
        sealer.next_rtcp = (1 << 31) - 1;
        assert!(sealer.seal_rtcp(&mut buf, 17).is_some());
        assert_eq!(sealer.seal_rtcp(&mut buf, 17), None);
    }
}

#[test]
fn unencrypted_rtcp_is_refused() {
    let (mut sealer, mut opener) = pair(Profile::Aes128CmSha1_80);
    let mut buf = packet(Seq(0), Ssrc(7));
    buf.resize(31, 0);
    assert_eq!(sealer.seal_rtcp(&mut buf, 17), Some(31));
    buf[17] &= 0x7f;
    assert_eq!(opener.open_rtcp(&mut buf), Err(Drop::Malformed));
}
