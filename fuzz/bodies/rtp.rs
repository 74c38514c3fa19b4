//! RTP: no panic, and the same as `rtc-rtp` wherever both accept.

use millrace::wire::rtp::View;
use rtc_rtp::packet::Packet;
use rtc_shared::marshal::Unmarshal;

/// One input.
pub fn run(data: &[u8]) {
    let ours = View::parse(data);
    let theirs = Packet::unmarshal(&mut &data[..]);
    let Ok(ours) = ours else { return };
    assert_eq!(ours.header_len() + ours.payload().len() + ours.padding_len(), data.len());
    let elements: Vec<_> = ours.extensions().map(|(id, value)| (id, value.to_vec())).collect();

    let Ok(theirs) = theirs else { return };
    let h = &theirs.header;
    assert_eq!((ours.marker(), ours.pt().0, ours.seq().0), (h.marker, h.payload_type, h.sequence_number));
    assert_eq!((ours.ts().0, ours.ssrc().0), (h.timestamp, h.ssrc));
    assert!(ours.csrcs().map(|s| s.0).eq(h.csrc.iter().copied()));
    // Theirs lets an element reach over the end of the block into the payload, and reads the rest of a block that
    // id 15 ends as payload; so one of both payloads is the end of the other, and our elements begin theirs.
    assert!(theirs.payload.ends_with(ours.payload()) || ours.payload().ends_with(&theirs.payload));
    if matches!(h.extension_profile, 0xbede | 0x1000) {
        let theirs: Vec<_> = h.extensions.iter().map(|e| (e.id, e.payload.to_vec())).collect();
        assert!(theirs.starts_with(&elements), "{elements:?} {theirs:?}");
    }
}
