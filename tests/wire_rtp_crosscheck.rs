//! Our RTP views and headers against `rtp` and `rtc-rtp`, on valid packets.

use bytes::Bytes;
use millrace::wire::id::{Pt, RtpTs, Seq16, Ssrc};
use millrace::wire::rtp::{Header, View};
use proptest::prelude::*;
use rtc_shared::marshal::{Marshal as _, Unmarshal as _};
use webrtc_util::marshal::Unmarshal as _;

prop_compose! {
    fn any_header()(
        (marker, pt) in (any::<bool>(), 0u8..128),
        (seq, ts, ssrc) in any::<(u16, u32, u32)>(),
    ) -> Header {
        Header { marker, pt: Pt(pt), seq: Seq16(seq), ts: RtpTs(ts), ssrc: Ssrc(ssrc) }
    }
}

fn any_bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), len)
}

/// Extension elements with distinct ids: those of the one-byte form, or some that need the two-byte form.
fn any_extensions() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let short = prop::collection::btree_map(1u8..15, any_bytes(1..17), 0..6);
    let long = prop::collection::btree_map(1u8..=255, any_bytes(1..40), 0..6);
    prop_oneof![short, long].prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn they_read_what_we_write(
        header in any_header(),
        extensions in any_extensions(),
        payload in any_bytes(1..200),
    ) {
        let borrowed: Vec<_> = extensions.iter().map(|(id, value)| (*id, &value[..])).collect();
        let mut packet = vec![0; 512];
        let len = header.write(&mut packet, &borrowed).expect("room");
        packet.truncate(len);
        packet.extend_from_slice(&payload);

        let rtc = rtc_rtp::packet::Packet::unmarshal(&mut &packet[..]).expect("valid");
        let h = &rtc.header;
        prop_assert_eq!((h.marker, h.payload_type, h.sequence_number), (header.marker, header.pt.0, header.seq.0));
        prop_assert_eq!((h.timestamp, h.ssrc), (header.ts.0, header.ssrc.0));
        prop_assert_eq!(&rtc.payload[..], &payload[..]);
        let theirs: Vec<_> = h.extensions.iter().map(|e| (e.id, e.payload.to_vec())).collect();
        prop_assert_eq!(&theirs, &extensions);

        let other = rtp::packet::Packet::unmarshal(&mut &packet[..]).expect("valid");
        prop_assert_eq!(&other.payload[..], &payload[..]);
        let theirs: Vec<_> = other.header.extensions.iter().map(|e| (e.id, e.payload.to_vec())).collect();
        prop_assert_eq!(theirs, extensions);
    }

    #[test]
    fn we_read_what_they_write(
        header in any_header(),
        extensions in any_extensions(),
        csrc in prop::collection::vec(any::<u32>(), 0..16),
        payload in any_bytes(1..200),
        padding: bool,
    ) {
        let mut theirs = rtc_rtp::packet::Packet {
            header: rtc_rtp::header::Header {
                version: 2,
                padding,
                marker: header.marker,
                payload_type: header.pt.0,
                sequence_number: header.seq.0,
                timestamp: header.ts.0,
                ssrc: header.ssrc.0,
                csrc: csrc.clone(),
                ..Default::default()
            },
            payload: Bytes::from(payload.clone()),
        };
        let short = extensions.iter().all(|(id, value)| *id < 15 && value.len() <= 16);
        if !extensions.is_empty() {
            theirs.header.extension = true;
            theirs.header.extension_profile = if short { 0xbede } else { 0x1000 };
        }
        for (id, value) in &extensions {
            theirs.header.set_extension(*id, Bytes::from(value.clone())).expect("fits");
        }
        let packet = theirs.marshal().expect("valid");
        let view = View::parse(&packet).expect("valid");
        prop_assert_eq!(view.header(), header);
        prop_assert_eq!(view.csrcs().map(|s| s.0).collect::<Vec<_>>(), csrc);
        prop_assert_eq!(view.payload(), &payload[..]);
        prop_assert_eq!(view.padding_len() > 0, padding && packet.len() > view.header_len() + payload.len());
        let ours: Vec<_> = view.extensions().map(|(id, value)| (id, value.to_vec())).collect();
        prop_assert_eq!(ours, extensions);
    }
}
