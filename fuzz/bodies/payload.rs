//! Payloads of every codec: no panic, and new picture numbers change nothing else. The first byte says which codec.

use millrace::wire::payload::{Codec, Frame, av1, h264, inspect, rewrite, vp8, vp9};

/// One input.
pub fn run(data: &[u8]) {
    let Some((selector, payload)) = data.split_first() else { return };
    let codec = match selector % 4 {
        0 => Codec::Vp8,
        1 => Codec::Vp9 { profile: 0 },
        2 => Codec::H264 { profile: 0x42e0, packetization_mode: 1 },
        _ => Codec::Av1 { profile: 0 },
    };
    let header = match codec {
        Codec::Vp8 => vp8::Descriptor::parse(payload).map(|d| d.len),
        Codec::Vp9 { .. } => vp9::Descriptor::parse(payload).map(|d| d.len),
        Codec::H264 { .. } => h264::Descriptor::parse(payload).map(|_| 0),
        _ => av1::Descriptor::parse(payload).map(|d| d.elements(payload).count().min(1)),
    };
    let frame = inspect(codec, payload);
    let mut changed = payload.to_vec();
    rewrite(codec, &mut changed, 0x5a5a, 0xa5);
    match header {
        Ok(len) => {
            assert_eq!(changed[len..], payload[len..]);
            let again = inspect(codec, &changed);
            assert_eq!(Frame { picture_id: frame.picture_id, tl0: frame.tl0, ..again }, frame);
        }
        Err(_) => assert_eq!((frame, &changed[..]), (Frame::default(), payload)),
    }
}
