//! One packet of a publisher, read once for all who will send it on.

use crate::router::command::{ExtensionIds, TrackParams};
use crate::router::history::{
    ABSENT, ABSENT_DELAY, ENDS_LAYER, Entry, KEYFRAME, MARKER, UP_FROM_HERE, UP_HERE, UP_SPATIAL, WIDE_ID,
};
use crate::units::PictureSize;
use crate::wire::ext::capture_time::CaptureTime;
use crate::wire::id::{Pt, Seq16};
use crate::wire::payload::{self, Codec};
use crate::wire::rtp;

/// The elements of a header that matter here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extensions<'a> {
    pub(crate) transport_seq: Option<Seq16>,
    pub(crate) descriptor: &'a [u8],
    pub(crate) captured: Option<CaptureTime>,
    level: u8,
    orientation: u8,
    playout_delay: u32,
}

impl<'a> Extensions<'a> {
    pub(crate) fn read(packet: &rtp::View<'a>, ids: &ExtensionIds) -> Self {
        let mut all = Self {
            transport_seq: None,
            descriptor: &[],
            captured: None,
            level: ABSENT,
            orientation: ABSENT,
            playout_delay: ABSENT_DELAY,
        };
        for (id, value) in packet.extensions() {
            match value {
                [high, low] if id == ids.twcc => {
                    all.transport_seq = Some(Seq16(u16::from_be_bytes([*high, *low])))
                }
                [level] if id == ids.audio_level => all.level = *level,
                [orientation] if id == ids.video_orientation => all.orientation = *orientation,
                [a, b, c] if id == ids.playout_delay => {
                    all.playout_delay = u32::from_be_bytes([0, *a, *b, *c])
                }
                _ if id == ids.capture_time => all.captured = CaptureTime::read(value),
                _ if id == ids.dependency_descriptor => all.descriptor = value,
                _ => {}
            }
        }
        all
    }
}

/// What is to be logged of a packet: its entry without number, epoch and arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) entry: Entry,
    pub(crate) size: Option<PictureSize>,
    /// The structure of a VP9 stream, if the packet brings it.
    pub(crate) structure: Option<payload::vp9::Structure>,
}

/// Whether a payload type is a retransmission's, and of which of the track's payloads it is.
pub(crate) fn payload_of(track: &TrackParams, pt: Pt) -> Option<(u8, bool)> {
    track.payloads.iter().enumerate().find_map(|(at, p)| match pt {
        _ if p.pt == pt => Some((at as u8, false)),
        _ if p.rtx == Some(pt) => Some((at as u8, true)),
        _ => None,
    })
}

/// Reads a packet's payload and what its header tells.
pub(crate) fn read(
    header: &rtp::View<'_>,
    extensions: &Extensions<'_>,
    codec: Codec,
    at: u8,
    payload: &[u8],
) -> Read {
    let frame = payload::inspect(codec, payload);
    let (picture_id_at, tl0_at) = picture_places(codec, &frame);
    let wide = frame.picture_id.is_some_and(|id| id.wide);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let entry = Entry {
        ts: header.ts().0,
        playout_delay: extensions.playout_delay,
        picture_id: frame.picture_id.map_or(0, |id| id.value),
        flags: flag(header.marker(), MARKER)
            | flag(frame.keyframe, KEYFRAME)
            | flag(wide, WIDE_ID)
            | flag(frame.last, ENDS_LAYER)
            | flag(frame.switch_up, UP_HERE)
            | flag(frame.switch_up && matches!(codec, Codec::Vp9 { .. }), UP_FROM_HERE)
            | flag(frame.intra && frame.spatial > 0, UP_SPATIAL),
        picture_id_at,
        tl0_at,
        tl0: frame.tl0.unwrap_or(0),
        payload: at,
        spatial: frame.spatial,
        temporal: frame.temporal,
        level: extensions.level,
        orientation: extensions.orientation,
        ..Entry::default()
    };
    let structure = match codec {
        Codec::Vp9 { .. } if frame.keyframe => vp9_structure(payload),
        _ => None,
    };
    Read { entry, size: whole_size(&frame, structure.as_ref()), structure }
}

/// The size of the picture with all its spatial layers: what a VP9 keyframe's scalability structure says of the topmost.
fn whole_size(frame: &payload::Frame, structure: Option<&payload::vp9::Structure>) -> Option<PictureSize> {
    let topmost = structure.and_then(|s| s.size(s.spatial_layers.saturating_sub(1)));
    // The frames above the base have sizes of their own.
    topmost.or_else(|| frame.size.filter(|_| frame.spatial == 0))
}

fn vp9_structure(payload: &[u8]) -> Option<payload::vp9::Structure> {
    payload::vp9::Descriptor::parse(payload).ok()?.structure
}

/// Where picture id and TL0PICIDX are: behind the two fixed bytes of VP8's descriptor (RFC 7741 section 4.2), behind the
/// one of VP9's, where a byte of layer indices lies between (RFC 9628 section 4.2). 0 is nowhere.
fn picture_places(codec: Codec, frame: &payload::Frame) -> (u8, u8) {
    let id_len = frame.picture_id.map_or(0, |id| 1 + u8::from(id.wide));
    let (id_at, tl0_at) = match codec {
        Codec::Vp8 => (2, 2 + id_len),
        Codec::Vp9 { .. } => (1, 2 + id_len),
        Codec::H264 { .. } | Codec::Av1 { .. } | Codec::Opus | Codec::Red => return (0, 0),
    };
    (if frame.picture_id.is_some() { id_at } else { 0 }, if frame.tl0.is_some() { tl0_at } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spatial_layers_that_travel_together_have_the_size_of_the_topmost() {
        // A VP9 keyframe in three spatial layers, sizes in its structure (RFC 9628 section 4.2).
        let mut keyframe = vec![0xaa, 0x12, 0x00, 0x07, 2 << 5 | 0x10];
        for (width, height) in [(320u16, 180u16), (640, 360), (1280, 720)] {
            keyframe.extend(width.to_be_bytes());
            keyframe.extend(height.to_be_bytes());
        }
        keyframe.extend([0x82, 0x49, 0x83]);
        let codec = Codec::Vp9 { profile: 0 };
        let frame = payload::inspect(codec, &keyframe);
        assert!(frame.keyframe, "{frame:?}");
        assert_eq!(whole_size(&frame, vp9_structure(&keyframe).as_ref()), Some(PictureSize::new(1280, 720)));
    }

    /// Renumbering where [`picture_places`] says is renumbering as the payload format does it.
    #[test]
    fn pictures_are_renumbered_where_the_format_has_their_numbers() {
        let vp8: [&[u8]; 3] =
            [&[0x90, 0xe0, 0x81, 0x02, 0x33, 0x40, 1, 2], &[0x90, 0xc0, 0x12, 0x33, 1, 2], &[0x10, 1, 2, 3]];
        let vp9: [&[u8]; 2] = [&[0xa8, 0x81, 0x02, 0x20, 0x33, 1, 2], &[0x88, 0x12, 1, 2, 3]];
        let all = vp8.map(|p| (Codec::Vp8, p)).into_iter().chain(vp9.map(|p| (Codec::Vp9 { profile: 0 }, p)));
        for (codec, original) in all {
            let frame = payload::inspect(codec, original);
            let (id_at, tl0_at) = picture_places(codec, &frame);
            let mut ours = original.to_vec();
            let mut theirs = original.to_vec();
            payload::rewrite(codec, &mut theirs, 0x55, 0x77);
            if let Some(id) = frame.picture_id {
                let at = usize::from(id_at);
                if id.wide {
                    ours[at..at + 2].copy_from_slice(&[0x80, 0x55]);
                } else {
                    ours[at] = 0x55;
                }
            }
            if frame.tl0.is_some() {
                ours[usize::from(tl0_at)] = 0x77;
            }
            assert_eq!(ours, theirs, "{codec:?} {original:x?}");
        }
    }
}
