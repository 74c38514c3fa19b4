//! RTCP: no panic, and packet by packet the same as `rtc-rtcp` wherever both accept.

use millrace::wire::id::Seq16;
use millrace::wire::rtcp::{Feedback, Packet, ReportBlock, packets};
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(all) = packets(data) else { return };
    let mut rest = data;
    for packet in all {
        let words = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (bytes, after) = rest.split_at(4 + 4 * words);
        rest = after;
        walk(&packet);
        // Padding is stripped by us alone.
        if bytes[0] & 0x20 == 0
            && let Ok(theirs) = rtc_rtcp::packet::unmarshal(&mut &bytes[..])
            && let [theirs] = &theirs[..]
        {
            compare(&packet, &**theirs);
        }
    }
    assert!(rest.is_empty());
}

/// Every iterator ends.
fn walk(packet: &Packet<'_>) {
    match packet {
        Packet::SenderReport(sr) => _ = sr.blocks().count(),
        Packet::ReceiverReport(rr) => _ = rr.blocks().count(),
        Packet::Sdes(sdes) => {
            for chunk in sdes.chunks() {
                assert!(chunk.items().all(|(kind, _)| kind != 0));
            }
        }
        Packet::Twcc(twcc) => assert_eq!(twcc.statuses().count(), usize::from(twcc.len())),
        Packet::Remb(remb) => _ = remb.ssrcs().count(),
        Packet::Extended(extended) => _ = (extended.receiver_time(), extended.delays().count()),
        _ => {}
    }
}

fn compare(ours: &Packet<'_>, theirs: &dyn rtc_rtcp::packet::Packet) {
    let theirs = theirs.as_any();
    if let (Packet::SenderReport(a), Some(b)) = (ours, theirs.downcast_ref::<SenderReport>()) {
        assert_eq!((a.ssrc.0, a.info.ntp, a.info.ts.0), (b.ssrc, b.ntp_time, b.rtp_time));
        assert_eq!((a.info.packets, a.info.bytes), (b.packet_count, b.octet_count));
        assert!(a.blocks().map(report).eq(b.reports.iter().cloned()));
    }
    if let (Packet::ReceiverReport(a), Some(b)) = (ours, theirs.downcast_ref::<ReceiverReport>()) {
        assert_eq!(a.ssrc.0, b.ssrc);
        assert!(a.blocks().map(report).eq(b.reports.iter().cloned()));
    }
    if let (Packet::Bye(a), Some(b)) = (ours, theirs.downcast_ref::<Goodbye>()) {
        assert!(a.ssrcs().map(|s| s.0).eq(b.sources.iter().copied()));
        assert_eq!(a.reason(), &b.reason[..]);
    }
    if let (Packet::Nack(a), Some(b)) = (ours, theirs.downcast_ref::<TransportLayerNack>()) {
        assert_eq!((a.sender.0, a.media.0), (b.sender_ssrc, b.media_ssrc));
        assert!(a.seqs().eq(b.nacks.iter().flat_map(|pair| pair.packet_list()).map(Seq16)));
    }
    if let (Packet::Pli(a), Some(b)) = (ours, theirs.downcast_ref::<PictureLossIndication>()) {
        assert_eq!((a.sender.0, a.media.0), (b.sender_ssrc, b.media_ssrc));
    }
    if let (Packet::Fir(a), Some(b)) = (ours, theirs.downcast_ref::<FullIntraRequest>()) {
        assert!(a.entries().map(|(s, n)| (s.0, n)).eq(b.fir.iter().map(|e| (e.ssrc, e.sequence_number))));
    }
    if let (Packet::Remb(a), Some(b)) = (ours, theirs.downcast_ref::<ReceiverEstimatedMaximumBitrate>()) {
        assert!(a.ssrcs().map(|s| s.0).eq(b.ssrcs.iter().copied()));
        // Theirs builds a float bit by bit, and zero does not come out as zero.
        let bps = a.bitrate.as_bps() as f64;
        assert!(
            (bps - f64::from(b.bitrate)).abs() <= bps / 1e5 || bps == 0.0 || bps > 1e18,
            "{bps} {}",
            b.bitrate
        );
    }
    if let (Packet::Twcc(a), Some(b)) = (ours, theirs.downcast_ref::<TransportLayerCc>()) {
        assert_eq!((a.feedback.sender.0, a.feedback.media.0), (b.sender_ssrc, b.media_ssrc));
        assert_eq!((a.feedback.base.0, a.len()), (b.base_sequence_number, b.packet_status_count));
        assert_eq!(a.feedback.reference as u32 & 0xff_ffff, b.reference_time);
        // Theirs also takes deltas for symbols after the last packet.
        let deltas = a.statuses().filter_map(|s| s.1).map(|d| i64::from(d) * Feedback::DELTA_MICROS);
        assert!(deltas.zip(&b.recv_deltas).all(|(a, b)| a == b.delta));
    }
}

fn report(block: ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc.0,
        fraction_lost: block.fraction_lost,
        total_lost: block.lost as u32 & 0xff_ffff,
        last_sequence_number: block.highest_seq,
        jitter: block.jitter,
        last_sender_report: block.last_sr,
        delay: block.delay_since_sr,
    }
}
