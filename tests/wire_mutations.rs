//! No input panics a parser, and what parses keeps its promises.

#[path = "common/mutate.rs"]
mod mutate;

use millrace::wire::demux::{Kind, classify};
use millrace::wire::id::{Pt, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{self, Feedback, Packet, ReportBlock, SenderInfo, Writer};
use millrace::wire::rtp::{Header, View};
use millrace::wire::srtp::{Keys, MAX_OVERHEAD, Opener, Profile, Sealer};
use millrace::wire::stun::{self, Key, Message};
use mutate::{INPUTS, each};

/// A header for packets and reports.
const HEADER: Header =
    Header { marker: true, pt: Pt(96), seq: Seq16(7), ts: RtpTs(9), ssrc: Ssrc(0xcafe_f00d) };

#[test]
fn demux_knows_every_first_byte() {
    each(1, INPUTS, &[&[0x80, 96, 0, 1], &[0], &[]], |input| {
        let kind = classify(input);
        let expected = match input {
            [] | [4..20, ..] | [128..192] => None,
            [0..4, ..] => Some(Kind::Stun),
            [20..64, ..] => Some(Kind::Dtls),
            [128..192, 192..224, ..] => Some(Kind::Rtcp),
            [128..192, ..] => Some(Kind::Rtp),
            _ => Some(Kind::Quic),
        };
        assert_eq!(kind, expected);
    });
}

#[test]
fn stun_reads_what_it_would_write() {
    let key = Key::new(b"VOkJxbRl1RmTxUk/WvJxBt");
    let tid = b"abcdefghijkl";
    let mut buf = [0; 256];
    let mut seed = |write: &dyn Fn(&mut [u8]) -> Option<usize>, keep: usize| {
        let len = write(&mut buf).expect("room") - keep;
        buf[2..4].copy_from_slice(&(len as u16 - 20).to_be_bytes());
        buf[..len].to_vec()
    };
    // Also without the fingerprint (8 bytes), which would catch nearly every change ...
    let seeds = [0, 8].map(|cut| {
        [
            seed(&|buf| stun::write_request(buf, tid, "evtj:h6vY", 0x6e00_01ff, true, 77, &key), cut),
            seed(&|buf| stun::write_success(buf, tid, "192.0.2.1:32853".parse().expect("ip"), &key), cut),
            seed(&|buf| stun::write_success(buf, tid, "[2001:db8::1]:32853".parse().expect("ip"), &key), cut),
            seed(&|buf| stun::write_error(buf, tid, 487, "Role Conflict", None), cut),
        ]
    });
    let seeds: Vec<&[u8]> = seeds.iter().flatten().map(|s| &s[..]).collect();

    let (mut parsed, mut again) = (0, [0; 4096]);
    each(2, INPUTS, &seeds, |input| {
        // ... and with the length made right, without which hardly anything would be read at all.
        if input.len() >= 20 && input[0] & 1 == 0 {
            let len = (input.len() as u16 - 20).to_be_bytes();
            input[2..4].copy_from_slice(&len);
        }
        let Ok(message) = Message::parse(input) else { return };
        parsed += 1;
        assert!(!message.verify(&key) || message.has_integrity());
        assert!(message.error_code().is_none_or(|code| (300..700).contains(&code)));
        if let (Some(local), Some(remote)) = (message.local_ufrag(), message.remote_ufrag()) {
            assert_eq!(message.username().map(<[u8]>::len), Some(local.len() + remote.len() + 1));
        }
        if let Some(mapped) = message.mapped_address() {
            let tid = message.transaction_id();
            let len = stun::write_success(&mut again, tid, mapped, &key).expect("room");
            let written = Message::parse(&again[..len]).expect("valid");
            let canonical = std::net::SocketAddr::new(mapped.ip().to_canonical(), mapped.port());
            assert!(written.verify(&key) && written.mapped_address() == Some(canonical));
        }
    });
    assert!(parsed > INPUTS / 100, "only {parsed} inputs were read: the mutations miss their aim");
}

#[test]
fn rtp_reads_what_it_would_write() {
    let payload = *b"some payload of some length";
    let seed = |extensions: &[(u8, &[u8])], first: u8| {
        let mut packet = vec![0; 256];
        let len = HEADER.write(&mut packet, extensions).expect("room");
        packet.truncate(len);
        packet[0] |= first;
        packet.extend_from_slice(&payload);
        packet.extend_from_slice(&[0, 0, 3]);
        packet
    };
    let seeds = [
        seed(&[], 0),
        seed(&[], 0x23),
        seed(&[(1, b"0"), (2, b"hi"), (3, &[1, 2, 3]), (4, &[0x85]), (14, &[7; 16])], 0),
        seed(&[(1, b"0"), (200, &[9; 40]), (3, &[])], 0x20),
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(|s| &s[..]).collect();

    let (mut parsed, mut again) = (0, vec![0; 80_000]);
    each(3, INPUTS, &seeds, |input| {
        let Ok(view) = View::parse(input) else { return };
        parsed += 1;
        assert_eq!(view.header_len() + view.payload().len() + view.padding_len(), input.len());
        assert!(view.csrcs().count() <= 15 && view.header_len() >= 12);

        let mut elements: [(u8, &[u8]); 64] = [(0, &[]); 64];
        let (mut count, mut bytes) = (0, 0);
        for (id, value) in view.extensions() {
            assert!(id != 0 && value.as_ptr_range().end <= view.payload().as_ptr());
            bytes += value.len() + 1;
            if let Some(element) = elements.get_mut(count) {
                *element = (id, value);
                count += 1;
            }
        }
        assert!(12 + bytes <= view.header_len());

        let elements = &elements[..count];
        let len = view.header().write(&mut again, elements).expect("room");
        again[len..len + view.payload().len()].copy_from_slice(view.payload());
        let written = View::parse(&again[..len + view.payload().len()]).expect("valid");
        assert_eq!((written.header(), written.payload()), (view.header(), view.payload()));
        assert!(written.extensions().eq(elements.iter().copied()));
    });
    assert!(parsed > INPUTS / 10, "only {parsed} inputs were read: the mutations miss their aim");
}

#[test]
fn rtcp_reads_what_it_would_write() {
    let (me, media) = (Ssrc(0x0102_0304), Ssrc(0xa0b0_c0d0));
    let seed = |write: &dyn Fn(&mut Writer<'_>) -> bool| {
        let mut buf = [0; 1024];
        let mut writer = Writer::new(&mut buf);
        assert!(write(&mut writer));
        let len = writer.len();
        buf[..len].to_vec()
    };
    let block = ReportBlock { ssrc: media, lost: -5, highest_seq: 0x1_0007, ..ReportBlock::default() };
    let feedback = Feedback { sender: me, media, base: Seq16(65_530), reference: -3, count: 9 };
    let statuses = (0..60i16).map(|n| (n % 7 != 0).then_some(if n % 13 == 0 { -n } else { n }));
    let seeds = [
        seed(&|w| w.sender_report(me, &SenderInfo::default(), &[block; 2]) && w.cname(me, b"someone")),
        seed(&|w| w.receiver_report(me, &[block]) && w.nack(me, media, [1, 2, 9, 40, 41].map(Seq16))),
        seed(&|w| w.pli(me, media) && w.fir(me, media, 7) && w.bye(&[me, media], "done")),
        seed(&|w| w.remb(me, millrace::units::Bitrate::from_kbps(2500), &[media, me])),
        seed(&|w| w.twcc(&feedback, statuses.clone())),
        seed(&|w| w.twcc(&feedback, std::iter::repeat_n(None, 300))),
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(|s| &s[..]).collect();

    let (mut parsed, mut again) = (0, vec![0; 200_000]);
    each(4, INPUTS, &seeds, |input| {
        let Ok(packets) = rtcp::packets(input) else { return };
        parsed += 1;
        let mut bytes = 0;
        for packet in packets {
            bytes += 4;
            check_packet(&packet, input.len(), &mut again);
        }
        assert!((4..=input.len()).contains(&bytes));
    });
    assert!(parsed > INPUTS / 20, "only {parsed} inputs were read: the mutations miss their aim");
}

/// Writes `packet` again and reads the same of it; iterators end within what `len` bytes can hold.
fn check_packet(packet: &Packet<'_>, len: usize, buf: &mut [u8]) {
    let mut blocks = [ReportBlock::default(); 31];
    let mut keep = |from: &mut dyn Iterator<Item = ReportBlock>| {
        let mut count = 0;
        for block in from {
            blocks[count] = block;
            count += 1;
        }
        (blocks, count)
    };
    let mut writer = Writer::new(buf);
    match packet {
        Packet::SenderReport(sr) => {
            let (blocks, count) = keep(&mut sr.blocks());
            assert!(writer.sender_report(sr.ssrc, &sr.info, &blocks[..count]));
        }
        Packet::ReceiverReport(rr) => {
            let (blocks, count) = keep(&mut rr.blocks());
            assert!(writer.receiver_report(rr.ssrc, &blocks[..count]));
        }
        Packet::Sdes(sdes) => {
            let text: usize = sdes.chunks().flat_map(|c| c.items()).map(|item| item.1.len() + 2).sum();
            return assert!(text <= len);
        }
        Packet::Bye(bye) => return assert!(bye.ssrcs().count() * 4 + bye.reason().len() <= len),
        Packet::Nack(nack) => {
            assert!(nack.seqs().count() * 4 <= len * 17);
            assert!(writer.nack(nack.sender, nack.media, nack.seqs()));
        }
        Packet::Pli(pli) => assert!(writer.pli(pli.sender, pli.media)),
        Packet::Fir(fir) => return assert!(fir.entries().count() * 8 <= len),
        Packet::Remb(remb) => {
            assert!(remb.ssrcs().count() * 4 <= len);
            assert!(writer.remb(remb.sender, remb.bitrate, &[]));
        }
        Packet::Twcc(twcc) => {
            assert_eq!(twcc.statuses().count(), usize::from(twcc.len()));
            // What takes long is checked where it can be short.
            if twcc.len() > 1000 {
                return;
            }
            assert!(writer.twcc(&twcc.feedback, twcc.statuses().map(|s| s.1)));
        }
        Packet::Extended(extended) => {
            assert!(extended.delays().count() * 12 <= len);
            let Some(time) = extended.receiver_time() else { return };
            assert!(writer.receiver_time(extended.sender, time));
        }
        Packet::Unknown { body, .. } => return assert!(body.len() + 4 <= len),
    }
    let len = writer.len();
    if len == 0 {
        // Only a NACK of nothing is not written.
        return assert!(matches!(packet, Packet::Nack(nack) if nack.seqs().next().is_none()));
    }
    let written = rtcp::packets(&buf[..len]).expect("valid").next().expect("one");
    match (packet, written) {
        (Packet::SenderReport(a), Packet::SenderReport(b)) => {
            assert!(a.ssrc == b.ssrc && a.info == b.info && a.blocks().eq(b.blocks()));
        }
        (Packet::ReceiverReport(a), Packet::ReceiverReport(b)) => {
            assert!(a.ssrc == b.ssrc && a.blocks().eq(b.blocks()));
        }
        (Packet::Nack(a), Packet::Nack(b)) => {
            assert!(a.seqs().all(|seq| b.seqs().any(|other| other == seq)));
        }
        (Packet::Pli(a), Packet::Pli(b)) => assert!(a.sender == b.sender && a.media == b.media),
        (Packet::Remb(a), Packet::Remb(b)) => assert!(b.bitrate <= a.bitrate),
        (Packet::Twcc(a), Packet::Twcc(b)) => {
            assert!(a.feedback == b.feedback && a.statuses().eq(b.statuses()));
        }
        (Packet::Extended(a), Packet::Extended(b)) => {
            assert!(a.sender == b.sender && a.receiver_time() == b.receiver_time());
        }
        (a, b) => panic!("{a:?} became {b:?}"),
    }
}

#[test]
fn srtp_opens_only_what_was_sealed() {
    let profiles = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];
    let (mut sealed, mut openers) = (Vec::new(), Vec::new());
    for profile in profiles {
        let material = vec![7; profile.keying_material_len()];
        let keys = Keys::from_exporter(profile, &material, true).expect("keys");
        let mut sealer = Sealer::new(&keys);
        for extensions in [&[][..], &[(1, &b"0"[..]), (3, &[1, 2, 3])]] {
            let mut packet = vec![b'p'; 120];
            let header_len = HEADER.write(&mut packet, extensions).expect("room");
            let len = sealer.seal_rtp(&mut packet, 90, header_len, Seq(7), HEADER.ssrc).expect("room");
            sealed.push(packet[..len].to_vec());

            let mut report = vec![0; 64 + MAX_OVERHEAD];
            let mut writer = Writer::new(&mut report);
            assert!(writer.pli(Ssrc(1), Ssrc(2)) && writer.cname(Ssrc(1), b"someone"));
            let len = writer.len();
            let len = sealer.seal_rtcp(&mut report, len).expect("room");
            sealed.push(report[..len].to_vec());
        }
        openers.push(Opener::new(&Keys::from_exporter(profile, &material, false).expect("keys")));
    }
    let seeds: Vec<&[u8]> = sealed.iter().map(|s| &s[..]).collect();

    let mut copy = Vec::with_capacity(4096);
    each(5, INPUTS, &seeds, |input| {
        let rtcp = classify(input) == Some(Kind::Rtcp);
        for opener in &mut openers {
            copy.clear();
            copy.extend_from_slice(input);
            let opened = if rtcp { opener.open_rtcp(&mut copy) } else { opener.open_rtp(&mut copy) };
            if let Ok(len) = opened {
                assert!(len < input.len() && sealed.iter().any(|s| s == input));
            }
        }
    });
}
