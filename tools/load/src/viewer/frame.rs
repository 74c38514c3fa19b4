//! What a viewer got, put together for whoever wants to decode or keep it.

use millrace::wire::id::{RtpTs, Ssrc};
use millrace::wire::payload::{self, Codec, vp8};
use tokio::sync::mpsc;

use crate::sdp::Offered;

/// What a frame is coded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// One packet of Opus.
    Opus,
    /// A frame of VP8 (RFC 6386).
    Vp8,
    /// An access unit of H264, in Annex B.
    H264,
}

/// A frame of a picture that is whole and can be decoded with those before it, or a packet of sound.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The m-line that it came in: which stream fills it is what a `slots` notice says.
    pub mid: String,
    /// What it is.
    pub coded: Coded,
    /// Whether it needs no other to be decoded; sound never does.
    pub keyframe: bool,
    /// Its RTP timestamp, in units of 1/90000 s for pictures and 1/48000 s for sound.
    pub ts: u32,
    /// It.
    pub data: Vec<u8>,
}

/// Hands frames on. What nobody fetches is left out.
pub(super) struct Frames {
    to: mpsc::Sender<Frame>,
    mids: Vec<(Ssrc, String)>,
}

impl Frames {
    pub(super) fn new(to: mpsc::Sender<Frame>, offered: &Offered) -> Self {
        Self { to, mids: offered.mids.clone() }
    }

    pub(super) fn renegotiated(&mut self, offered: &Offered) {
        self.mids.clone_from(&offered.mids);
    }

    pub(super) fn sound(&self, ssrc: Ssrc, ts: RtpTs, body: &[u8]) {
        self.hand(ssrc, Coded::Opus, true, ts, body.to_vec());
    }

    /// `parts`: the payloads of its packets, in order.
    pub(super) fn picture(&self, ssrc: Ssrc, codec: Codec, ts: RtpTs, parts: &[Vec<u8>]) {
        let keyframe = parts.iter().any(|part| payload::inspect(codec, part).keyframe);
        let (coded, data) = match codec {
            Codec::Vp8 => (Coded::Vp8, whole_vp8(parts)),
            Codec::H264 { .. } => (Coded::H264, annex_b(parts)),
            _ => return,
        };
        if let Some(data) = data {
            self.hand(ssrc, coded, keyframe, ts, data);
        }
    }

    fn hand(&self, ssrc: Ssrc, coded: Coded, keyframe: bool, ts: RtpTs, data: Vec<u8>) {
        let Some((_, mid)) = self.mids.iter().find(|(known, _)| *known == ssrc) else { return };
        // Who does not fetch what comes loses it, as a slow decoder does.
        let _ = self.to.try_send(Frame { mid: mid.clone(), coded, keyframe, ts: ts.0, data });
    }
}

/// Without the descriptors (RFC 7741 section 4.2).
fn whole_vp8(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    for part in parts {
        frame.extend_from_slice(part.get(vp8::Descriptor::parse(part).ok()?.len..)?);
    }
    Some(frame).filter(|frame| !frame.is_empty())
}

/// Units behind start codes, from single units, aggregates and fragments (RFC 6184 sections 5.6 to 5.8).
fn annex_b(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    const START: [u8; 4] = [0, 0, 0, 1];
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let mut frame = Vec::new();
    for part in parts {
        let (&indicator, rest) = part.split_first()?;
        match indicator & 0x1f {
            STAP_A => {
                let mut units = rest;
                while let Some((len, after)) = units.split_first_chunk::<2>() {
                    let (unit, next) = after.split_at_checked(u16::from_be_bytes(*len).into())?;
                    frame.extend_from_slice(&START);
                    frame.extend_from_slice(unit);
                    units = next;
                }
            }
            FU_A => {
                let (&header, body) = rest.split_first()?;
                if header & 0x80 != 0 {
                    frame.extend_from_slice(&START);
                    frame.push(indicator & 0xe0 | header & 0x1f);
                }
                frame.extend_from_slice(body);
            }
            _ => {
                frame.extend_from_slice(&START);
                frame.extend_from_slice(part);
            }
        }
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::packets::{Vp8, h264_plain, vp8_plain};

    #[test]
    fn what_was_cut_is_put_together_again() {
        let body: Vec<u8> = (0..5000).map(|n| n as u8 & 0xfe).collect();
        let packets = vp8_plain(Vp8 { picture: 7, key_index: 0 }, &body, 1176);
        assert!(packets.len() > 4 && packets.iter().all(|packet| packet.len() <= 1176));
        assert_eq!(whole_vp8(&packets), Some(body));

        let large = [&[0x65], vec![3; 3000].as_slice()].concat();
        let body = [&[0, 0, 0, 1, 0x67, 1, 2], &[0, 0, 0, 1, 0x68, 3][..], &[0, 0, 0, 1], &large].concat();
        assert_eq!(annex_b(&h264_plain(&body, 1176)), Some(body));
    }

    #[test]
    fn an_aggregate_is_taken_apart_and_a_torn_one_is_no_frame() {
        let aggregate = vec![24, 0, 2, 0x67, 1, 0, 1, 0x68];
        assert_eq!(annex_b(&[aggregate]), Some(vec![0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68]));
        assert_eq!(annex_b(&[vec![24, 0, 9, 0x67]]), None);
    }
}
