//! What a packet costs in our codecs and in the libraries that they stand in for: `cargo bench --bench wire`.
//!
//! One thread. Ratios hold from machine to machine, nanoseconds do not.

use std::hint::black_box;
use std::time::Instant;

use millrace::wire::demux::classify;
use millrace::wire::id::{Pt, RtpTs, Seq, Ssrc};
use millrace::wire::rtcp::{Feedback, Packet, Writer, packets};
use millrace::wire::rtp::{Header, View};
use millrace::wire::srtp::{Keys, MAX_OVERHEAD, Opener, Profile, Sealer};
use millrace::wire::stun::{Key, Message, write_request};
use rtc_shared::marshal::{Marshal as _, Unmarshal as _};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const PACKET: usize = 1200;
/// Many short rounds: the best of them was not interrupted.
const ROUNDS: usize = 200;
const SSRC: Ssrc = Ssrc(0xcafe_f00d);

/// Nanoseconds of one call, in the best round; `work` gets the number of the call, which never repeats.
fn measure(calls: u64, mut work: impl FnMut(u64)) -> f64 {
    let mut best = f64::MAX;
    for round in 0..ROUNDS as u64 {
        let start = Instant::now();
        for call in 0..calls {
            work(round * calls + call);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / calls as f64);
    }
    best
}

fn show(what: &str, library: &str, ours: f64, theirs: f64) {
    println!(
        "{what:<34} ours {ours:>7.0} ns   {library:<12} {theirs:>7.0} ns   {:>5.1} times",
        theirs / ours
    );
}

/// A packet as a forwarder sends it, with three extension elements; returns its header's length.
fn write_packet(buf: &mut [u8], seq: Seq) -> usize {
    let header = Header { marker: false, pt: Pt(96), seq: seq.wire(), ts: RtpTs(90_000), ssrc: SSRC };
    header.write(buf, &[(1, b"0"), (2, &[1, 2, 3]), (3, &[4, 5])]).expect("room")
}

fn srtp(profile: Profile, theirs: ProtectionProfile) {
    let material = vec![7; profile.keying_material_len()];
    let keys = |server| Keys::from_exporter(profile, &material, server).expect("keys");
    let context = || {
        let (key, salt) = (theirs.key_len(), theirs.salt_len());
        Context::new(&material[..key], &material[..salt], theirs, None, None).expect("context")
    };
    let plain = vec![0x55; PACKET];
    let mut buf = vec![0; PACKET + MAX_OVERHEAD];

    // A fan-out writes each receiver's header, copies the payload behind it and seals in place.
    let sealer = Sealer::new(&keys(false));
    let ours = measure(200, |n| {
        let header_len = write_packet(&mut buf, Seq(n));
        buf[header_len..PACKET].copy_from_slice(&plain[header_len..]);
        black_box(sealer.seal_rtp(&mut buf, PACKET, header_len, Seq(n), SSRC));
    });
    let mut their_sealer = context();
    let mut packet = plain.clone();
    let library = measure(100, |n| {
        write_packet(&mut packet, Seq(n));
        black_box(their_sealer.encrypt_rtp(&packet).expect("sealed"));
    });
    show(&format!("seal {profile:?}"), "webrtc-srtp", ours, library);

    let wire: Vec<Vec<u8>> = (0..200 * ROUNDS as u64)
        .map(|n| {
            let mut buf = plain.clone();
            buf.resize(PACKET + MAX_OVERHEAD, 0);
            let header_len = write_packet(&mut buf, Seq(n));
            let len = sealer.seal_rtp(&mut buf, PACKET, header_len, Seq(n), SSRC).expect("room");
            buf.truncate(len);
            buf
        })
        .collect();
    let mut opener = Opener::new(&keys(true));
    let ours = measure(200, |n| {
        let wire = &wire[n as usize];
        buf[..wire.len()].copy_from_slice(wire);
        assert!(black_box(opener.open_rtp(&mut buf[..wire.len()])).is_ok());
    });
    let mut their_opener = context();
    let library = measure(100, |n| {
        black_box(their_opener.decrypt_rtp(&wire[n as usize]).expect("authentic"));
    });
    show(&format!("open {profile:?}"), "webrtc-srtp", ours, library);
}

fn rtp() {
    let mut packet = vec![0x55; PACKET];
    write_packet(&mut packet, Seq(1));
    let ours = measure(2_000, |_| {
        let view = View::parse(black_box(&packet)).expect("valid");
        black_box((view.header(), view.payload().len(), view.extension(3)));
    });
    let shared = packet.clone();
    let library = measure(500, |_| {
        let packet = rtc_rtp::packet::Packet::unmarshal(&mut black_box(&shared[..])).expect("valid");
        black_box((packet.header.sequence_number, packet.payload.len(), packet.header.get_extension(3)));
    });
    show("parse RTP", "rtc-rtp", ours, library);
}

/// The header of a packet that goes on: other numbers and elements before the same payload.
fn rewrite() {
    let mut packet = vec![0x55; PACKET];
    let header_len = write_packet(&mut packet, Seq(1));
    let mut room = vec![0; PACKET + MAX_OVERHEAD];
    let payload = &packet[header_len..];
    let ours = measure(2_000, |n| {
        let len = write_packet(&mut room, Seq(n));
        room[len..len + payload.len()].copy_from_slice(black_box(payload));
        black_box(&room);
    });
    let mut forwarded = rtc_rtp::packet::Packet::unmarshal(&mut &packet[..]).expect("valid");
    let library = measure(500, |n| {
        forwarded.header.sequence_number = n as u16;
        forwarded.header.set_extension(3, bytes::Bytes::copy_from_slice(&[n as u8, 5])).expect("set");
        black_box(forwarded.marshal_to(&mut room).expect("room"));
    });
    show("rewrite a header, copy the payload", "rtc-rtp", ours, library);
}

/// What comes in on the one port is told apart by its first bytes (RFC 7983); no library here does that alone.
fn demux() {
    let mut packet = vec![0x55; PACKET];
    write_packet(&mut packet, Seq(1));
    let datagrams =
        [packet, vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], vec![22, 254, 253, 0], vec![0x80, 200, 0, 6]];
    let ours = measure(2_000, |n| {
        black_box(classify(black_box(&datagrams[n as usize % datagrams.len()])));
    });
    println!("{:<34} ours {ours:>7.1} ns", "demultiplex a datagram");
}

fn rtcp() {
    let mut compound = vec![0; 1500];
    let mut writer = Writer::new(&mut compound);
    let feedback =
        Feedback { sender: Ssrc(1), media: Ssrc(2), base: Default::default(), reference: 1, count: 1 };
    let statuses = (0..50).map(|n| (n % 9 != 0).then_some(n * 3));
    assert!(writer.receiver_report(Ssrc(1), &[Default::default()]) && writer.cname(Ssrc(1), b"someone"));
    assert!(writer.nack(Ssrc(1), Ssrc(2), [3, 4, 30].map(millrace::wire::id::Seq16)));
    assert!(writer.twcc(&feedback, statuses));
    let len = writer.len();
    let compound = &compound[..len];
    let ours = measure(500, |_| {
        for packet in packets(black_box(compound)).expect("valid") {
            match packet {
                Packet::Twcc(twcc) => twcc.statuses().for_each(|status| _ = black_box(status)),
                Packet::Nack(nack) => nack.seqs().for_each(|seq| _ = black_box(seq)),
                Packet::ReceiverReport(rr) => rr.blocks().for_each(|block| _ = black_box(block)),
                other => _ = black_box(other),
            }
        }
    });
    let library = measure(200, |_| {
        black_box(rtc_rtcp::packet::unmarshal(&mut black_box(compound)).expect("valid"));
    });
    show("parse RR + SDES + NACK + TWCC", "rtc-rtcp", ours, library);
}

fn stun() {
    use ::stun::integrity::MessageIntegrity;
    let password = "VOkJxbRl1RmTxUk/WvJxBt";
    let key = Key::new(password.as_bytes());
    let mut buf = [0; 256];
    let len = write_request(&mut buf, b"abcdefghijkl", "evtj:h6vY", 1, true, 2, &key).expect("room");
    let request = &buf[..len];
    let ours = measure(500, |_| {
        let message = Message::parse(black_box(request)).expect("valid");
        assert!(message.verify(&key));
    });
    let library = measure(100, |_| {
        let mut message = ::stun::message::Message::new();
        message.unmarshal_binary(black_box(request)).expect("valid");
        ::stun::fingerprint::FINGERPRINT.check(&message).expect("fingerprint");
        let integrity = MessageIntegrity::new_short_term_integrity(password.to_owned());
        integrity.check(&mut message).expect("integrity");
    });
    show("check a STUN request", "stun", ours, library);
}

fn main() {
    println!("{PACKET}-byte packets, with the copy that a fan-out makes");
    srtp(Profile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm);
    srtp(Profile::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm);
    srtp(Profile::Aes128CmSha1_80, ProtectionProfile::Aes128CmHmacSha1_80);
    demux();
    rtp();
    rewrite();
    rtcp();
    stun();
}
