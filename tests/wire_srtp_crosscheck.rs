//! Our SRTP against `webrtc-srtp`: every profile, both directions, over rollovers, RTP and RTCP.

use millrace::wire::id::{Pt, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtp;
use millrace::wire::srtp::{Drop, Keys, MAX_OVERHEAD, Opener, Profile, Sealer};
use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const SSRC: Ssrc = Ssrc(0xcafe_f00d);
const PROFILES: [(Profile, ProtectionProfile); 3] = [
    (Profile::Aes128CmSha1_80, ProtectionProfile::Aes128CmHmacSha1_80),
    (Profile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    (Profile::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm),
];

/// Both sides of a connection: we are its DTLS client, they its server.
struct Pair {
    sealer: Sealer,
    opener: Opener,
    their_sealer: Context,
    their_opener: Context,
}

impl Pair {
    fn new(profile: Profile, theirs: ProtectionProfile, seed: u8) -> Self {
        let material: Vec<u8> =
            (0..profile.keying_material_len()).map(|n| (n as u8).wrapping_mul(37) ^ seed).collect();
        let keys = Keys::from_exporter(profile, &material, false).expect("keys");
        let (key, salt) = (theirs.key_len(), theirs.salt_len());
        let (client_key, rest) = material.split_at(key);
        let (server_key, rest) = rest.split_at(key);
        let (client_salt, server_salt) = rest.split_at(salt);
        let context = |key, salt| Context::new(key, salt, theirs, None, None).expect("context");
        Self {
            sealer: Sealer::new(&keys),
            opener: Opener::new(&keys),
            their_sealer: context(server_key, server_salt),
            their_opener: context(client_key, client_salt),
        }
    }

    /// Sends `packet` both ways and compares what arrives.
    fn exchange_rtp(&mut self, packet: &[u8], header_len: usize, seq: Seq) {
        let mut ours = packet.to_vec();
        ours.resize(packet.len() + MAX_OVERHEAD, 0);
        let len = self.sealer.seal_rtp(&mut ours, packet.len(), header_len, seq, SSRC).expect("room");
        assert_eq!(self.their_opener.decrypt_rtp(&ours[..len]).expect("authentic"), packet, "{seq:?}");

        let mut theirs = self.their_sealer.encrypt_rtp(packet).expect("sealed").to_vec();
        let len = self.opener.open_rtp(&mut theirs).expect("authentic");
        assert_eq!(&theirs[..len], packet, "{seq:?}");
    }

    fn exchange_rtcp(&mut self, packet: &[u8]) {
        let mut ours = packet.to_vec();
        ours.resize(packet.len() + MAX_OVERHEAD, 0);
        let len = self.sealer.seal_rtcp(&mut ours, packet.len()).expect("room");
        assert_eq!(self.their_opener.decrypt_rtcp(&ours[..len]).expect("authentic"), packet);

        let mut theirs = self.their_sealer.encrypt_rtcp(packet).expect("sealed").to_vec();
        let len = self.opener.open_rtcp(&mut theirs.clone()).expect("authentic");
        assert_eq!(len, packet.len());
        assert_eq!(self.opener.open_rtcp(&mut theirs), Err(Drop::Replay));
    }
}

/// A packet with this payload and extension value; returns its header's length too.
fn packet(seq: Seq, extension: &[u8], payload: &[u8]) -> (Vec<u8>, usize) {
    let mut packet = vec![0; 64];
    let header = rtp::Header { marker: true, pt: Pt(96), seq: seq.wire(), ts: RtpTs(7), ssrc: SSRC };
    let extensions: &[(u8, &[u8])] = if extension.is_empty() { &[] } else { &[(3, extension)] };
    let header_len = header.write(&mut packet, extensions).expect("room");
    packet.truncate(header_len);
    packet.extend_from_slice(payload);
    (packet, header_len)
}

#[test]
fn three_rollovers_are_followed() {
    for (profile, theirs) in PROFILES {
        let mut pair = Pair::new(profile, theirs, 1);
        for n in (60_000..230_000).step_by(331) {
            let seq = Seq(n);
            let (packet, header_len) = packet(seq, &[1, 2], &n.to_be_bytes());
            pair.exchange_rtp(&packet, header_len, seq);
        }
    }
}

#[test]
fn the_tag_covers_contributing_sources() {
    for (profile, theirs) in PROFILES {
        let mut pair = Pair::new(profile, theirs, 2);
        let (plain, _) = packet(Seq(1), &[], b"payload");
        let mut mixed = plain[..12].to_vec();
        mixed[0] |= 2;
        mixed.extend_from_slice(&[9; 8]);
        mixed.extend_from_slice(b"payload");
        pair.exchange_rtp(&mixed, 20, Seq(1));
    }
}

#[test]
fn packets_out_of_order_around_a_rollover_arrive() {
    for (profile, theirs) in PROFILES {
        let mut pair = Pair::new(profile, theirs, 3);
        for n in [65_530, 65_536, 65_533, 65_540, 65_535, 65_534] {
            let (packet, header_len) = packet(Seq(n), &[], b"late");
            let mut ours = packet.clone();
            ours.resize(packet.len() + MAX_OVERHEAD, 0);
            let len = pair.sealer.seal_rtp(&mut ours, packet.len(), header_len, Seq(n), SSRC).expect("room");
            assert_eq!(pair.their_opener.decrypt_rtp(&ours[..len]).expect("authentic"), packet);
            // Theirs does not seal out of order; ours opens what ours sealed, with the keys turned round.
            assert_eq!(Seq(65_536).nearest(Seq16(n as u16)), Seq(n));
        }
    }
}

proptest! {
    #[test]
    fn any_packet_passes_both_ways(
        seed: u8,
        first in 0u64..0x8000,
        packets in prop::collection::vec(
            (1u64..100, prop::collection::vec(any::<u8>(), 0..16), prop::collection::vec(any::<u8>(), 1..1400)),
            1..8,
        ),
    ) {
        for (profile, theirs) in PROFILES {
            let mut pair = Pair::new(profile, theirs, seed);
            let mut seq = Seq(first);
            for (step, extension, payload) in &packets {
                let (packet, header_len) = packet(seq, extension, payload);
                pair.exchange_rtp(&packet, header_len, seq);
                seq = seq.plus(*step);
            }
        }
    }

    #[test]
    fn any_report_passes_both_ways(
        seed: u8,
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..8),
    ) {
        for (profile, theirs) in PROFILES {
            let mut pair = Pair::new(profile, theirs, seed);
            for body in &bodies {
                let words = body.len().div_ceil(4);
                let mut report = vec![0x80, 204, 0, (words + 1) as u8, 1, 2, 3, 4];
                report.extend_from_slice(body);
                report.resize(8 + 4 * words, 0);
                pair.exchange_rtcp(&report);
            }
        }
    }
}
