//! Our RTCP against `rtc-rtcp`, both directions.

use bytes::Bytes;
use millrace::units::Bitrate;
use millrace::wire::id::{RtpTs, Seq16, Ssrc};
use millrace::wire::rtcp::{Delay, Feedback, Packet, ReportBlock, SenderInfo, Writer, packets};
use proptest::prelude::*;
use rtc_rtcp::extended_report::{DLRRReport, DLRRReportBlock, ReceiverReferenceTimeReportBlock};
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

const ME: u32 = 0x0102_0304;
const MEDIA: u32 = 0xa0b0_c0d0;

type Theirs = Box<dyn rtc_rtcp::packet::Packet>;

/// Everything in one compound, as both sides say it.
#[derive(Debug, Clone)]
struct Content {
    info: SenderInfo,
    blocks: Vec<ReportBlock>,
    cname: String,
    seqs: Vec<u16>,
    fir: u8,
    bitrate: u32,
    ssrcs: Vec<u32>,
    reason: String,
}

prop_compose! {
    fn any_block()(
        (ssrc, fraction_lost, lost) in (any::<u32>(), any::<u8>(), 0..0x80_0000),
        (highest_seq, jitter, last_sr, delay_since_sr) in any::<(u32, u32, u32, u32)>(),
    ) -> ReportBlock {
        ReportBlock { ssrc: Ssrc(ssrc), fraction_lost, lost, highest_seq, jitter, last_sr, delay_since_sr }
    }
}

prop_compose! {
    fn any_content()(
        (ntp, ts, sent, octets) in any::<(u64, u32, u32, u32)>(),
        blocks in prop::collection::vec(any_block(), 0..32),
        cname in "[ -~]{1,255}",
        seqs in prop::collection::btree_set(any::<u16>(), 1..60),
        fir: u8,
        // What 18 bits and a float of 24 both say exactly.
        bitrate in 0u32..0x4_0000,
        shift in 0u32..14,
        ssrcs in prop::collection::vec(any::<u32>(), 0..32),
        reason in "[ -~]{0,255}",
    ) -> Content {
        Content {
            info: SenderInfo { ntp, ts: RtpTs(ts), packets: sent, bytes: octets },
            blocks,
            cname,
            seqs: seqs.into_iter().collect(),
            fir,
            bitrate: bitrate << shift,
            ssrcs,
            reason,
        }
    }
}

impl Content {
    fn ours(&self) -> Vec<u8> {
        let mut buf = vec![0; 8192];
        let mut w = Writer::new(&mut buf);
        let ssrcs: Vec<_> = self.ssrcs.iter().copied().map(Ssrc).collect();
        assert!(w.sender_report(Ssrc(ME), &self.info, &self.blocks));
        assert!(w.receiver_report(Ssrc(ME), &self.blocks));
        assert!(w.cname(Ssrc(ME), self.cname.as_bytes()));
        assert!(w.nack(Ssrc(ME), Ssrc(MEDIA), self.seqs.iter().copied().map(Seq16)));
        assert!(w.pli(Ssrc(ME), Ssrc(MEDIA)) && w.fir(Ssrc(ME), Ssrc(MEDIA), self.fir));
        assert!(w.remb(Ssrc(ME), Bitrate::from_bps(self.bitrate.into()), &ssrcs));
        assert!(w.bye(&ssrcs, &self.reason));
        let len = w.len();
        buf.truncate(len);
        buf
    }

    fn theirs(&self) -> Vec<Theirs> {
        let reports: Vec<_> = self
            .blocks
            .iter()
            .map(|b| ReceptionReport {
                ssrc: b.ssrc.0,
                fraction_lost: b.fraction_lost,
                total_lost: b.lost as u32,
                last_sequence_number: b.highest_seq,
                jitter: b.jitter,
                last_sender_report: b.last_sr,
                delay: b.delay_since_sr,
            })
            .collect();
        vec![
            Box::new(SenderReport {
                ssrc: ME,
                ntp_time: self.info.ntp,
                rtp_time: self.info.ts.0,
                packet_count: self.info.packets,
                octet_count: self.info.bytes,
                reports: reports.clone(),
                ..Default::default()
            }),
            Box::new(ReceiverReport { ssrc: ME, reports, ..Default::default() }),
            Box::new(SourceDescription {
                chunks: vec![SourceDescriptionChunk {
                    source: ME,
                    items: vec![SourceDescriptionItem {
                        sdes_type: SdesType::SdesCname,
                        text: Bytes::from(self.cname.clone()),
                    }],
                }],
            }),
            Box::new(TransportLayerNack {
                sender_ssrc: ME,
                media_ssrc: MEDIA,
                nacks: nack_pairs_from_sequence_numbers(&self.seqs),
            }),
            Box::new(PictureLossIndication { sender_ssrc: ME, media_ssrc: MEDIA }),
            Box::new(FullIntraRequest {
                sender_ssrc: ME,
                media_ssrc: 0,
                fir: vec![FirEntry { ssrc: MEDIA, sequence_number: self.fir }],
            }),
            Box::new(ReceiverEstimatedMaximumBitrate {
                sender_ssrc: ME,
                bitrate: self.bitrate as f32,
                ssrcs: self.ssrcs.clone(),
            }),
            Box::new(Goodbye { sources: self.ssrcs.clone(), reason: Bytes::from(self.reason.clone()) }),
        ]
    }
}

/// Reads a compound of everything with ours.
fn read(bytes: &[u8]) -> Content {
    let all: Vec<_> = packets(bytes).expect("valid").collect();
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
    assert!([sr.ssrc, rr.ssrc, nack.sender, pli.sender, fir.sender, remb.sender].iter().all(|s| s.0 == ME));
    assert_eq!((nack.media.0, pli.media.0), (MEDIA, MEDIA));
    assert_eq!(sr.blocks().collect::<Vec<_>>(), rr.blocks().collect::<Vec<_>>());
    assert_eq!(remb.ssrcs().collect::<Vec<_>>(), bye.ssrcs().collect::<Vec<_>>());
    let chunk = sdes.chunks().next().expect("one");
    let (asked, number) = fir.entries().next().expect("one");
    assert_eq!((chunk.ssrc.0, asked.0), (ME, MEDIA));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    Content {
        info: sr.info,
        blocks: sr.blocks().collect(),
        cname: text(chunk.cname().expect("name")),
        seqs: nack.seqs().map(|s| s.0).collect(),
        fir: number,
        bitrate: remb.bitrate.as_bps() as u32,
        ssrcs: bye.ssrcs().map(|s| s.0).collect(),
        reason: text(bye.reason()),
    }
}

fn same(a: &Content, b: &Content) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// An extended report of theirs with these blocks.
fn extended(reports: Vec<Box<dyn rtc_rtcp::packet::Packet>>) -> Theirs {
    Box::new(rtc_rtcp::extended_report::ExtendedReport { sender_ssrc: ME, reports })
}

proptest! {
    #[test]
    fn extended_reports_are_the_same_to_both(ntp: u64, ssrc: u32, last_rr: u32, since: u32) {
        let delay = Delay { ssrc: Ssrc(ssrc), last_rr, since };
        let mut buf = [0; 64];
        let mut writer = Writer::new(&mut buf);
        prop_assert!(writer.receiver_time(Ssrc(ME), ntp) && writer.delay(Ssrc(ME), &delay));
        let len = writer.len();
        let time = ReceiverReferenceTimeReportBlock { ntp_timestamp: ntp };
        let report = DLRRReport { ssrc, last_rr, dlrr: since };
        let delays = || DLRRReportBlock { reports: vec![report.clone()] };
        let theirs = rtc_rtcp::packet::unmarshal(&mut &buf[..len]).expect("valid");
        prop_assert!(theirs == [extended(vec![Box::new(time.clone())]), extended(vec![Box::new(delays())])]);
        // And both in one report, as theirs writes it.
        let bytes = extended(vec![Box::new(delays()), Box::new(time)]).marshal().expect("valid");
        let all: Vec<_> = packets(&bytes).expect("valid").collect();
        let [Packet::Extended(read)] = all[..] else { panic!("{all:?}") };
        prop_assert_eq!((read.sender, read.receiver_time()), (Ssrc(ME), Some(ntp)));
        prop_assert_eq!(read.delays().collect::<Vec<_>>(), [delay]);
    }

    #[test]
    fn they_read_what_we_write(content in any_content()) {
        let theirs = rtc_rtcp::packet::unmarshal(&mut &content.ours()[..]).expect("valid");
        let expected = content.theirs();
        prop_assert_eq!(theirs.len(), expected.len());
        for (a, b) in theirs.iter().zip(&expected) {
            prop_assert!(a == b, "{:?} is not {:?}", a, b);
        }
    }

    #[test]
    fn we_read_what_they_write(content in any_content()) {
        let bytes = rtc_rtcp::packet::marshal(&content.theirs()).expect("valid");
        let read = read(&bytes);
        prop_assert!(same(&read, &content), "{:?} is not {:?}", read, content);
    }

    #[test]
    fn transport_feedback_is_the_same_to_both(
        base: u16,
        reference in 0..0x80_0000,
        count: u8,
        statuses in prop::collection::vec(
            prop_oneof![
                3 => Just(vec![Some(4); 9]),
                3 => Just(vec![None; 20]),
                1 => any::<i16>().prop_map(|d| vec![Some(d)]),
                2 => (0i16..256).prop_map(|d| vec![Some(d), None]),
            ],
            1..40,
        ),
    ) {
        // Theirs refuses feedback that ends in a chunk: the last packet arrived, as always in life.
        let mut statuses = statuses.concat();
        statuses.push(Some(8));
        let feedback = Feedback { sender: Ssrc(ME), media: Ssrc(MEDIA), base: Seq16(base), reference, count };
        let mut buf = vec![0; 8192];
        let mut writer = Writer::new(&mut buf);
        prop_assert!(writer.twcc(&feedback, statuses.iter().copied()));
        let len = writer.len();

        let theirs = rtc_rtcp::packet::unmarshal(&mut &buf[..len]).expect("valid");
        let theirs = theirs[0].as_any().downcast_ref::<TransportLayerCc>().expect("kind");
        prop_assert_eq!((theirs.sender_ssrc, theirs.media_ssrc), (ME, MEDIA));
        prop_assert_eq!((theirs.base_sequence_number, theirs.fb_pkt_count), (base, count));
        prop_assert_eq!(theirs.reference_time, reference as u32);
        prop_assert_eq!(usize::from(theirs.packet_status_count), statuses.len());
        let deltas: Vec<_> = theirs.recv_deltas.iter().map(|d| d.delta / Feedback::DELTA_MICROS).collect();
        let expected: Vec<_> = statuses.iter().flatten().map(|d| i64::from(*d)).collect();
        prop_assert_eq!(deltas, expected);

        // And what they write of it again, we read again.
        let again = rtc_rtcp::packet::marshal(&[Box::new(theirs.clone())]).expect("valid");
        let all: Vec<_> = packets(&again).expect("valid").collect();
        let [Packet::Twcc(twcc)] = all[..] else { panic!("{all:?}") };
        prop_assert_eq!(twcc.feedback, feedback);
        prop_assert_eq!(twcc.statuses().map(|s| s.1).collect::<Vec<_>>(), statuses);
    }
}
