use super::*;
use crate::units::Bitrate;
use crate::wire::id::{RtpTs, Seq16};
use proptest::prelude::*;

const ME: Ssrc = Ssrc(0x0102_0304);
const MEDIA: Ssrc = Ssrc(0xa0b0_c0d0);

/// Writes one compound and returns its bytes.
fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = vec![0xee; 4096];
    let mut writer = Writer::new(&mut buf);
    write(&mut writer);
    let len = writer.len();
    buf.truncate(len);
    buf
}

fn parsed(compound: &[u8]) -> Vec<Packet<'_>> {
    packets(compound).expect("valid").collect()
}

fn twcc_of(compound: &[u8]) -> Twcc<'_> {
    match parsed(compound)[..] {
        [Packet::Twcc(twcc)] => twcc,
        ref other => panic!("{other:?}"),
    }
}

/// Transport-wide feedback on `count` packets from 65534 on, with what follows the fixed part.
fn twcc_bytes(count: u16, first: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes =
        vec![first, 205, 0, (4 + rest.len() / 4) as u8, 1, 2, 3, 4, 0xa0, 0xb0, 0xc0, 0xd0, 0xff, 0xfe];
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&[0xff, 0xff, 0xfe, 9]);
    bytes.extend_from_slice(rest);
    bytes
}

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: MEDIA,
        fraction_lost: 3,
        lost: -5,
        highest_seq: 0x1_0007,
        jitter: 90,
        last_sr: 0xdead_beef,
        delay_since_sr: 65536,
    }
}

#[test]
fn a_compound_of_everything_survives_the_wire() {
    let info = SenderInfo { ntp: 0x0102_0304_0506_0708, ts: RtpTs(9), packets: 10, bytes: 11 };
    let bytes = written(|w| {
        assert!(w.is_empty());
        assert!(w.sender_report(ME, &info, &[block(), ReportBlock::default()]));
        assert!(w.receiver_report(ME, &[block()]));
        assert!(w.cname(ME, b"someone"));
        assert!(w.nack(ME, MEDIA, [65_535, 0, 15, 16, 40].map(Seq16)));
        assert!(w.pli(ME, MEDIA) && w.fir(ME, MEDIA, 7));
        assert!(w.remb(ME, Bitrate::from_kbps(2500), &[MEDIA, ME]));
        assert!(w.bye(&[ME, MEDIA], "done"));
    });
    let all = parsed(&bytes);
    let [
        Packet::SenderReport(sr),
        Packet::ReceiverReport(rr),
        Packet::Sdes(sdes),
        Packet::Nack(nack),
        Packet::Pli(pli),
        Packet::Fir(fir),
        Packet::Remb(remb),
        Packet::Bye(bye),
    ] = all[..]
    else {
        panic!("{all:?}")
    };
    assert_eq!((sr.ssrc, sr.info), (ME, info));
    assert_eq!(sr.blocks().collect::<Vec<_>>(), [block(), ReportBlock::default()]);
    assert_eq!((rr.ssrc, rr.blocks().collect::<Vec<_>>()), (ME, vec![block()]));
    let names: Vec<_> = sdes.chunks().map(|c| (c.ssrc, c.cname())).collect();
    assert_eq!(names, [(ME, Some(&b"someone"[..]))]);
    assert_eq!(nack.seqs().map(|s| s.0).collect::<Vec<_>>(), [65_535, 0, 15, 16, 40]);
    assert_eq!((nack.sender, nack.media, pli.sender, pli.media), (ME, MEDIA, ME, MEDIA));
    assert_eq!((fir.sender, fir.entries().collect::<Vec<_>>()), (ME, vec![(MEDIA, 7)]));
    assert_eq!((remb.bitrate, remb.ssrcs().collect::<Vec<_>>()), (Bitrate::from_kbps(2500), vec![MEDIA, ME]));
    assert_eq!((bye.ssrcs().collect::<Vec<_>>(), bye.reason()), (vec![ME, MEDIA], &b"done"[..]));
}

#[test]
fn whatever_is_cut_short_is_malformed() {
    let bytes = written(|w| assert!(w.receiver_report(ME, &[block()]) && w.pli(ME, MEDIA)));
    for len in 0..bytes.len() {
        assert_eq!(packets(&bytes[..len]).is_ok(), len == 32, "{len}");
    }
    // A count that promises more than the length holds.
    let mut bytes = bytes;
    bytes[0] = 0x82;
    assert!(packets(&bytes).is_err());
    // Version 1.
    bytes[0] = 0x41;
    assert!(packets(&bytes).is_err());
}

#[test]
fn unknown_packets_are_passed_over() {
    // Kind 208 is Receiver Summary Information (RFC 5760), which nobody here sends.
    let summary = [0x85, 208, 0, 1, 1, 2, 3, 4];
    let tmmbr = [0x83, 205, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
    let goog = [0x8f, 206, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, b'G', b'O', b'O', b'G'];
    let bytes = [&summary[..], &tmmbr, &goog, &written(|w| assert!(w.pli(ME, MEDIA)))].concat();
    let kinds: Vec<_> = parsed(&bytes)
        .iter()
        .map(|p| match p {
            Packet::Unknown { kind, format, body } => (*kind, *format, body.len()),
            Packet::Pli(_) => (0, 0, 0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [(208, 5, 4), (205, 3, 8), (206, 15, 12), (0, 0, 0)]);
}

#[test]
fn padding_is_not_content() {
    let mut nack = written(|w| assert!(w.nack(ME, MEDIA, [Seq16(5)])));
    nack.extend_from_slice(&[0, 0, 0, 4]);
    (nack[0], nack[3]) = (nack[0] | 0x20, nack[3] + 1);
    assert!(matches!(parsed(&nack)[..], [Packet::Nack(nack)] if nack.seqs().count() == 1));
    *nack.last_mut().expect("bytes") = 17;
    assert!(packets(&nack).is_err(), "more padding than packet");
    *nack.last_mut().expect("bytes") = 0;
    assert!(packets(&nack).is_err(), "no padding after all");
}

#[test]
fn transport_feedback_of_libwebrtc_ends_in_one_to_three_bytes_of_padding() {
    // A run of one small delta, and one byte of padding that counts itself.
    let bytes = twcc_bytes(1, 0xaf, &[0x20, 0x01, 40, 1]);
    let statuses: Vec<_> = twcc_of(&bytes).statuses().collect();
    assert_eq!(statuses, [(Seq16(65_534), Some(40))]);
}

#[test]
fn every_kind_of_chunk_is_read() {
    let rest = [
        0x00, 0x02, // a run of 2 that were lost
        0xb8, 0x00, // one bit each: 1 1 1 0 ... (14)
        0xe5, 0x00, // two bits each: 2 1 1 0 0 0 0, of which 4 count
        10, 20, 30, // of the one-bit vector
        0xff, 0x00, 40, 50, // of the two-bit vector
        0, 0, 0,
    ];
    let twcc_bytes = twcc_bytes(20, 0x8f, &rest);
    let twcc = twcc_of(&twcc_bytes);
    assert_eq!((twcc.feedback.base, twcc.feedback.reference, twcc.feedback.count), (Seq16(65_534), -2, 9));
    let statuses: Vec<_> = twcc.statuses().collect();
    assert_eq!((statuses.len(), twcc.len()), (20, 20));
    let received: Vec<_> = statuses.iter().filter_map(|(seq, delta)| Some((seq.0, (*delta)?))).collect();
    assert_eq!(received, [(0, 10), (1, 20), (2, 30), (14, -256), (15, 40), (16, 50)]);
}

#[test]
fn deltas_that_are_missing_are_malformed() {
    assert!(packets(&twcc_bytes(5, 0x8f, &[0x20, 0x05, 1, 2])).is_err());
    assert!(
        packets(&twcc_bytes(5, 0x8f, &[0x00, 0x04, 0x00, 0x00])).is_err(),
        "chunks that cover too little"
    );
    assert!(packets(&twcc_bytes(5, 0x8f, &[0x00, 0x05, 0x00, 0x00])).is_ok());
}

#[test]
fn long_runs_take_few_bytes() {
    let feedback = Feedback { sender: ME, media: MEDIA, base: Seq16(1), reference: 0, count: 0 };
    let bytes = written(|w| assert!(w.twcc(&feedback, std::iter::repeat_n(None, 10_000))));
    assert_eq!(bytes.len(), 20 + 4);
    assert_eq!(twcc_of(&bytes).statuses().filter(|s| s.1.is_none()).count(), 10_000);
    assert!(twcc_of(&written(|w| assert!(w.twcc(&feedback, [])))).is_empty());
}

#[test]
fn what_does_not_fit_leaves_the_compound_as_it_was() {
    let mut buf = [0; 40];
    let mut writer = Writer::new(&mut buf);
    assert!(writer.receiver_report(ME, &[block()]) && writer.len() == 32);
    assert!(!writer.pli(ME, MEDIA) && writer.len() == 32);
    assert!(writer.bye(&[ME], "") && writer.len() == 40);
    assert_eq!(parsed(&buf).len(), 2);

    let mut buf = [0; 4096];
    let mut writer = Writer::new(&mut buf);
    assert!(!writer.receiver_report(ME, &[block(); 32]) && !writer.bye(&[ME; 32], ""));
    assert!(!writer.cname(ME, &[b'x'; 256]) && !writer.remb(ME, Bitrate::ZERO, &[ME; 256]));
    assert!(writer.nack(ME, MEDIA, []) && writer.is_empty());
}

#[test]
fn a_bitrate_beyond_everything_is_no_limit() {
    let mut bytes = written(|w| assert!(w.remb(ME, Bitrate::MAX, &[])));
    assert!(matches!(parsed(&bytes)[..], [Packet::Remb(r)] if r.bitrate.as_bps() >= u64::MAX << 46));
    bytes[17..20].fill(0xff);
    assert!(matches!(parsed(&bytes)[..], [Packet::Remb(r)] if r.bitrate == Bitrate::MAX));
}

prop_compose! {
    fn any_block()(
        (ssrc, fraction_lost, lost) in (any::<u32>(), any::<u8>(), -0x80_0000..0x80_0000),
        (highest_seq, jitter, last_sr, delay_since_sr) in any::<(u32, u32, u32, u32)>(),
    ) -> ReportBlock {
        ReportBlock { ssrc: Ssrc(ssrc), fraction_lost, lost, highest_seq, jitter, last_sr, delay_since_sr }
    }
}

proptest! {
    #[test]
    fn reports_are_read_as_written(
        (ntp, ts, sent, octets) in any::<(u64, u32, u32, u32)>(),
        blocks in prop::collection::vec(any_block(), 0..32),
    ) {
        let info = SenderInfo { ntp, ts: RtpTs(ts), packets: sent, bytes: octets };
        let bytes = written(|w| assert!(w.sender_report(ME, &info, &blocks) && w.receiver_report(ME, &blocks)));
        let all = parsed(&bytes);
        let [Packet::SenderReport(sr), Packet::ReceiverReport(rr)] = all[..] else { panic!("{all:?}") };
        prop_assert_eq!(sr.info, info);
        prop_assert_eq!(sr.blocks().collect::<Vec<_>>(), &blocks[..]);
        prop_assert_eq!(rr.blocks().collect::<Vec<_>>(), blocks);
    }

    #[test]
    fn nacks_are_read_as_written(first: u16, steps in prop::collection::vec(1u16..40, 0..200)) {
        let mut seqs = vec![first];
        for step in steps {
            seqs.push(seqs.last().expect("one").wrapping_add(step));
        }
        let bytes = written(|w| assert!(w.nack(ME, MEDIA, seqs.iter().copied().map(Seq16))));
        let all = parsed(&bytes);
        let [Packet::Nack(nack)] = all[..] else { panic!("{all:?}") };
        prop_assert_eq!(nack.seqs().map(|s| s.0).collect::<Vec<_>>(), seqs);
    }

    #[test]
    fn names_and_goodbyes_are_read_as_written(
        name in prop::collection::vec(1u8.., 0..256),
        ssrcs in prop::collection::vec(any::<u32>().prop_map(Ssrc), 0..32),
        reason in "[a-z]{0,255}",
    ) {
        let bytes = written(|w| assert!(w.cname(ME, &name) && w.bye(&ssrcs, &reason)));
        let all = parsed(&bytes);
        let [Packet::Sdes(sdes), Packet::Bye(bye)] = all[..] else { panic!("{all:?}") };
        prop_assert_eq!(sdes.chunks().map(|c| c.cname().map(<[u8]>::to_vec)).collect::<Vec<_>>(), [Some(name)]);
        prop_assert_eq!(bye.ssrcs().collect::<Vec<_>>(), ssrcs);
        prop_assert_eq!(bye.reason(), reason.as_bytes());
    }

    #[test]
    fn transport_feedback_is_read_as_written(
        base: u16,
        reference in -0x80_0000..0x80_0000,
        count: u8,
        statuses in prop::collection::vec(
            prop_oneof![
                3 => Just(vec![Some(4); 9]),
                3 => Just(vec![None; 20]),
                1 => any::<i16>().prop_map(|d| vec![Some(d)]),
                2 => (0i16..256).prop_map(|d| vec![Some(d), None]),
            ],
            0..60,
        ),
    ) {
        let statuses = statuses.concat();
        let feedback = Feedback { sender: ME, media: MEDIA, base: Seq16(base), reference, count };
        let bytes = written(|w| assert!(w.twcc(&feedback, statuses.iter().copied())));
        let twcc = twcc_of(&bytes);
        prop_assert_eq!(twcc.feedback, feedback);
        let expected: Vec<_> =
            (base..=u16::MAX).chain(0..=u16::MAX).map(Seq16).zip(statuses.iter().copied()).collect();
        prop_assert_eq!(twcc.statuses().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn bitrates_lose_at_most_what_18_bits_cannot_say(bps: u64, ssrcs in prop::collection::vec(any::<u32>(), 0..8)) {
        let ssrcs: Vec<_> = ssrcs.into_iter().map(Ssrc).collect();
        let bytes = written(|w| assert!(w.remb(ME, Bitrate::from_bps(bps), &ssrcs)));
        let all = parsed(&bytes);
        let [Packet::Remb(remb)] = all[..] else { panic!("{all:?}") };
        let told = remb.bitrate.as_bps();
        prop_assert!(told <= bps && bps - told <= bps >> 17, "{} of {}", told, bps);
        prop_assert_eq!(remb.ssrcs().collect::<Vec<_>>(), ssrcs);
    }
}
