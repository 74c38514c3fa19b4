//! A publisher and its viewers, as benches of the router and of the whole data plane have them.

use millrace::router::command::{
    Claim, Command, ExtensionIds, IceCredentials, Kind, PayloadParams, SessionParams, SlotParams,
    TrackLimits, TrackParams, View,
};
use millrace::router::id::{SessionId, SlotId, TrackId};
use millrace::units::PictureSize;
use millrace::wire::id::{Mid, Pt, RtpTs, Seq, Ssrc};
use millrace::wire::payload::Codec;
use millrace::wire::srtp::{Keys, Profile, Sealer};
use millrace::wire::{rtp, stun};

pub(crate) const IDS: ExtensionIds = ExtensionIds {
    mid: 1,
    rid: 0,
    repaired_rid: 0,
    audio_level: 2,
    twcc: 3,
    abs_send_time: 4,
    video_orientation: 5,
    playout_delay: 6,
    capture_time: 0,
    dependency_descriptor: 7,
};
const VP8: PayloadParams = PayloadParams { codec: Codec::Vp8, pt: Pt(96), rtx: Some(Pt(97)) };
const TRACK: TrackId = TrackId { index: 0, generation: 0 };
const WHOLE: PictureSize = PictureSize::new(u16::MAX, u16::MAX);

/// Keys of session `n`.
pub(crate) fn keys(n: u64, server: bool) -> Keys {
    let profile = Profile::AeadAes128Gcm;
    let material: Vec<u8> = (0..profile.keying_material_len()).map(|i| (n as usize * 31 + i) as u8).collect();
    Keys::from_exporter(profile, &material, server).expect("of the right length")
}

/// Session 0 publishes, the others watch.
pub(crate) fn session(n: u32) -> SessionParams {
    let mid = Mid::new(b"0").expect("a mid");
    let track = || TrackParams {
        id: TRACK,
        kind: Kind::Video,
        mid,
        payloads: vec![VP8],
        layers: vec![],
        ssrcs: vec![(Ssrc(7), None)],
        clock_rate: 90_000,
        muted: false,
        limits: TrackLimits::NONE,
    };
    let slot = || SlotParams {
        slot: SlotId(0),
        kind: Kind::Video,
        mid,
        ssrc: Ssrc(1000 + 2 * n),
        rtx_ssrc: Some(Ssrc(1001 + 2 * n)),
        payloads: vec![VP8],
    };
    SessionParams {
        id: SessionId { index: n, generation: 0 },
        local: credentials(n),
        claim: Claim::default(),
        extensions: IDS,
        tracks: if n == 0 { vec![track()] } else { vec![] },
        slots: if n == 0 { vec![] } else { vec![slot()] },
        rtcp_ssrc: Ssrc(1),
        seed: n.into(),
    }
}

fn credentials(n: u32) -> IceCredentials {
    IceCredentials { ufrag: format!("user{n}"), pwd: "a password of 22 letters".to_owned() }
}

/// A connectivity check that nominates its path.
pub(crate) fn check(n: u32) -> Vec<u8> {
    let mut check = vec![0; 200];
    let key = stun::Key::new(credentials(n).pwd.as_bytes());
    let id = [n as u8, (n >> 8) as u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let len = stun::write_request(&mut check, &id, &format!("user{n}:x"), 1, true, 1, &key);
    check.truncate(len.expect("fits"));
    check
}

/// Its keys, as a handshake would bring them.
pub(crate) fn install(n: u32) -> Command {
    let session = SessionId { index: n, generation: 0 };
    Command::InstallKeys { session, keys: Box::new(keys(n.into(), true)) }
}

/// Viewer `n` wants to see what session 0 publishes.
pub(crate) fn watch(n: u32) -> Command {
    let view = View { tile: PictureSize::new(1280, 720), active: true, cap: WHOLE, priority: 1 };
    let session = SessionId { index: n, generation: 0 };
    Command::Watch { session, slot: SlotId(0), track: Some(TRACK), view }
}

/// A packet of the publisher with a payload of so many bytes.
pub(crate) fn sealed(sealer: &Sealer, seq: u64, keyframe: bool, payload_len: usize) -> Vec<u8> {
    let header = rtp::Header {
        marker: false,
        pt: VP8.pt,
        seq: Seq(seq).wire(),
        ts: RtpTs(seq as u32 * 3000),
        ssrc: Ssrc(7),
    };
    let mut packet = vec![0; 40 + payload_len + 20];
    let len = header.write(&mut packet, &[(IDS.twcc, &(seq as u16).to_be_bytes())]).expect("fits");
    let mut payload = vec![0x90, 0xe0];
    payload.extend((seq as u16 | 0x8000).to_be_bytes());
    payload.extend([seq as u8, 0, u8::from(!keyframe) | 0x10, 0, 0, 0x9d, 1, 0x2a, 0, 5, 0xd0, 2]);
    payload.resize(payload_len, 7);
    packet.get_mut(len..len + payload_len).expect("room").copy_from_slice(&payload);
    let len = sealer.seal_rtp(&mut packet, len + payload_len, len, Seq(seq), Ssrc(7)).expect("room");
    packet.truncate(len);
    packet
}
