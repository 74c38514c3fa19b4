//! SRTP: whatever arrives is refused without a panic; whatever we seal opens again, unless a bit changed.

use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::rtp;
use millrace::wire::srtp::{Keys, MAX_OVERHEAD, Opener, Profile, Sealer};

/// One input.
pub fn run(data: &[u8]) {
    let [choice, bit, packet @ ..] = data else { return };
    let profile = match choice % 3 {
        0 => Profile::Aes128CmSha1_80,
        1 => Profile::AeadAes128Gcm,
        _ => Profile::AeadAes256Gcm,
    };
    let material = vec![7; profile.keying_material_len()];
    let keys = |server| Keys::from_exporter(profile, &material, server).expect("keys");
    let (mut sealer, mut opener) = (Sealer::new(&keys(false)), Opener::new(&keys(true)));

    // As it comes: 80 bits of tag are not guessed.
    let fresh = packet.to_vec();
    assert!(opener.open_rtp(&mut fresh.clone()).is_err() && opener.open_rtcp(&mut fresh.clone()).is_err());

    let mut sealed = packet.to_vec();
    sealed.resize(packet.len() + MAX_OVERHEAD, 0);
    if choice & 0x80 == 0 {
        let Ok(header_len) = rtp::header_len(packet) else { return };
        let wire = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = Ssrc(u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]));
        let len =
            sealer.seal_rtp(&mut sealed, packet.len(), header_len, Seq(wire.into()), ssrc).expect("room");
        sealed.truncate(len);
        assert!(opener.open_rtp(&mut changed(&sealed, *bit)).is_err());
        assert_eq!(opener.open_rtp(&mut sealed), Ok(packet.len()));
    } else {
        let Some(len) = sealer.seal_rtcp(&mut sealed, packet.len()) else { return };
        sealed.truncate(len);
        if packet[0] >> 6 != 2 {
            return assert!(opener.open_rtcp(&mut sealed).is_err());
        }
        assert!(opener.open_rtcp(&mut changed(&sealed, *bit)).is_err());
        assert_eq!(opener.open_rtcp(&mut sealed), Ok(packet.len()));
    }
    assert_eq!(&sealed[..packet.len()], packet);
}

fn changed(sealed: &[u8], bit: u8) -> Vec<u8> {
    let mut changed = sealed.to_vec();
    let at = usize::from(bit) * 7 % (sealed.len() * 8);
    changed[at / 8] ^= 1 << (at % 8);
    changed
}
