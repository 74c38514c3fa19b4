//! The codecs that are forwarded, and how SDP names them. What publishers may send is what viewers are offered.

use crate::router::command::{Kind, PayloadParams};
use crate::wire::id::Pt;
use crate::wire::payload::Codec;
use crate::wire::sdp::{Fmtp, Media, RtpMap};

/// Clock rate of all video codecs.
pub(super) const VIDEO_CLOCK: u32 = 90_000;
/// Clock rate of Opus.
pub(super) const AUDIO_CLOCK: u32 = 48_000;

/// What we ask for as feedback, where the other side has it too.
pub(super) const VIDEO_FEEDBACK: [&str; 5] = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];
/// The same for audio.
pub(super) const AUDIO_FEEDBACK: [&str; 1] = ["transport-cc"];

/// One codec of our offers.
pub(super) struct Offered {
    pub(super) codec: Codec,
    pub(super) pt: u8,
    pub(super) rtx: Option<u8>,
    /// As in `a=rtpmap`.
    pub(super) encoding: &'static str,
    /// As in `a=fmtp`; empty for none.
    pub(super) fmtp: &'static str,
}

const CONSTRAINED_BASELINE: u16 = 0x42e0;
const BASELINE: u16 = 0x4200;
const MAIN: u16 = 0x4d00;
const HIGH: u16 = 0x6400;

const fn video(codec: Codec, pt: u8, rtx: u8, encoding: &'static str, fmtp: &'static str) -> Offered {
    Offered { codec, pt, rtx: Some(rtx), encoding, fmtp }
}

const fn h264(profile: u16, packetization_mode: u8) -> Codec {
    Codec::H264 { profile, packetization_mode }
}

/// Redundant audio in our offers.
pub(super) const RED_PT: u8 = 63;

/// What viewers are offered for audio.
pub(super) const AUDIO: [Offered; 2] = [
    Offered {
        codec: Codec::Opus,
        pt: 111,
        rtx: None,
        encoding: "opus/48000/2",
        fmtp: "minptime=10;useinbandfec=1",
    },
    Offered { codec: Codec::Red, pt: RED_PT, rtx: None, encoding: "red/48000/2", fmtp: "111/111" },
];

/// What viewers are offered for video. The level says nothing of what is sent: it may differ per direction
/// (`level-asymmetry-allowed`), and publishers' encoders set their own.
pub(super) const VIDEO: [Offered; 8] = [
    video(Codec::Vp8, 96, 97, "VP8/90000", ""),
    video(Codec::Vp9 { profile: 0 }, 98, 99, "VP9/90000", "profile-id=0"),
    video(
        h264(CONSTRAINED_BASELINE, 1),
        108,
        109,
        "H264/90000",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    video(
        h264(BASELINE, 1),
        102,
        103,
        "H264/90000",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
    ),
    video(
        h264(CONSTRAINED_BASELINE, 0),
        114,
        115,
        "H264/90000",
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ),
    video(
        h264(MAIN, 1),
        116,
        117,
        "H264/90000",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
    ),
    video(
        h264(HIGH, 1),
        112,
        113,
        "H264/90000",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
    ),
    video(Codec::Av1 { profile: 0 }, 45, 46, "AV1/90000", "profile=0"),
];

/// What we offer for a kind.
pub(super) const fn offered(kind: Kind) -> &'static [Offered] {
    match kind {
        Kind::Audio => &AUDIO,
        Kind::Video => &VIDEO,
    }
}

/// The codecs of an m-line that we know, in its order of preference, each with its retransmissions.
pub(super) fn payloads(kind: Kind, media: &Media<'_>) -> Vec<PayloadParams> {
    let mut payloads: Vec<PayloadParams> = vec![];
    let mut rtx: Vec<(Pt, Pt)> = vec![];
    for map in media.rtp_maps() {
        let fmtp = media.fmtp(map.pt);
        if map.name.eq_ignore_ascii_case("rtx") {
            // RFC 4588 section 8.1.
            if let Some(apt) = fmtp.get("apt").and_then(|pt| pt.parse().ok()) {
                rtx.push((Pt(apt), map.pt));
            }
        } else if let Some(codec) = recognise(kind, map, fmtp)
            && payloads.iter().all(|p| p.codec != codec && p.pt != map.pt)
        {
            payloads.push(PayloadParams { codec, pt: map.pt, rtx: None });
        }
    }
    for payload in &mut payloads {
        payload.rtx = rtx.iter().find(|(apt, _)| *apt == payload.pt).map(|(_, pt)| *pt);
    }
    // Redundancy is redundancy of Opus; alone it is nothing.
    if payloads.iter().all(|p| p.codec == Codec::Red) {
        payloads.clear();
    }
    payloads
}

/// The codec that a payload type stands for, if we forward it.
fn recognise(kind: Kind, map: RtpMap<'_>, fmtp: Fmtp<'_>) -> Option<Codec> {
    let number = |name: &str| fmtp.get(name).map_or(Some(0), |value| value.parse().ok());
    let is = |name: &str, clock| map.name.eq_ignore_ascii_case(name) && map.clock_rate == clock;
    let codec = match kind {
        Kind::Audio if is("opus", AUDIO_CLOCK) && map.channels == 2 => Codec::Opus,
        Kind::Audio if is("red", AUDIO_CLOCK) && map.channels == 2 => Codec::Red,
        Kind::Video if is("VP8", VIDEO_CLOCK) => Codec::Vp8,
        // RFC 9628 section 7.2: profile 0 if absent.
        Kind::Video if is("VP9", VIDEO_CLOCK) => Codec::Vp9 { profile: number("profile-id")? },
        Kind::Video if is("AV1", VIDEO_CLOCK) => Codec::Av1 { profile: number("profile")? },
        // RFC 6184 section 8.1: baseline profile and mode 0 if absent.
        Kind::Video if is("H264", VIDEO_CLOCK) => {
            let profile = fmtp.get("profile-level-id").map_or(Some(BASELINE), h264_profile)?;
            h264(profile, number("packetization-mode")?)
        }
        _ => return None,
    };
    offered(kind).iter().any(|o| o.codec == codec).then_some(codec)
}

/// The first two bytes of `profile-level-id`, one value for each profile (RFC 6184 section 8.1, table 5).
fn h264_profile(profile_level_id: &str) -> Option<u16> {
    if profile_level_id.len() != 6 || !profile_level_id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let [_, idc, iop, _] = u32::from_str_radix(profile_level_id, 16).ok()?.to_be_bytes();
    match idc {
        0x42 if iop & 0x4f == 0x40 => Some(CONSTRAINED_BASELINE),
        0x42 if iop & 0x4f == 0 => Some(BASELINE),
        0x4d if iop & 0x8f == 0x80 => Some(CONSTRAINED_BASELINE),
        0x4d if iop & 0xaf == 0 => Some(MAIN),
        0x58 if iop & 0xcf == 0xc0 => Some(CONSTRAINED_BASELINE),
        // Constrained high, 640c, is decoded by whoever decodes high, but asked for by its own name.
        0x64 if iop == 0 => Some(HIGH),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_types_are_used_once() {
        let all: Vec<u8> = AUDIO.iter().chain(&VIDEO).flat_map(|o| [Some(o.pt), o.rtx]).flatten().collect();
        let unique: crate::sorted::Set<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
        // RFC 5761 section 4: 64 to 95 cannot be told from RTCP.
        assert!(all.iter().all(|pt| (35..64).contains(pt) || (96..128).contains(pt)));
    }

    #[test]
    fn one_h264_profile_has_many_spellings() {
        for (text, profile) in [
            ("42e01f", Some(CONSTRAINED_BASELINE)),
            ("42C01F", Some(CONSTRAINED_BASELINE)),
            ("42001f", Some(BASELINE)),
            ("4d001f", Some(MAIN)),
            ("4de01f", Some(CONSTRAINED_BASELINE)),
            ("640028", Some(HIGH)),
            ("f4001f", None),
            ("42e01", None),
            ("+2e01f", None),
        ] {
            assert_eq!(h264_profile(text), profile, "{text}");
        }
    }
}
