//! No payload panics a parser, what is rewritten keeps everything but its numbers, and `rtc-rtp` reads the same.

#[path = "common/mutate.rs"]
mod mutate;

use bytes::Bytes;
use millrace::units::PictureSize;
use millrace::wire::ext::dependency_descriptor::{Descriptor, Structure, renumber};
use millrace::wire::payload::{Codec, Frame, av1, h264, inspect, rewrite, vp8, vp9};
use mutate::{INPUTS, each};
use rtc_rtp::codec::{av1::Av1Depacketizer, vp8::Vp8Packet, vp9::Vp9Packet};
use rtc_rtp::packetizer::Depacketizer;

const H264: Codec = Codec::H264 { profile: 0x42e0, packetization_mode: 1 };
const VP9: Codec = Codec::Vp9 { profile: 0 };
const AV1: Codec = Codec::Av1 { profile: 0 };

const VP8_SEEDS: [&[u8]; 6] = [
    &[0x90, 0xe0, 0x92, 0x34, 5, 0x20, 0x50, 0x42, 1, 0x9d, 1, 0x2a, 0, 5, 0xd0, 2, 0],
    &[0xb0, 0xe0, 0x80, 7, 5, 0xa0, 0x31, 9, 9, 9],
    &[0x90, 0x80, 0x12, 0x31, 1, 2],
    &[0x90, 0xf0, 0x12, 7, 0x5f, 0x11, 2],
    &[0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1],
    &[0],
];

const VP9_SEEDS: [&[u8]; 5] = [
    &[
        0xaa, 0x92, 0x34, 0, 9, 0x58, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 5, 0, 2, 0xd0, 2, 0x14, 1, 0x28, 1,
        2, 0x82, 0x49,
    ],
    &[0xac, 0x92, 0x35, 0x30, 9, 0x86, 1, 2],
    &[0xf8, 0x80, 1, 0x30, 3, 4, 0xaa],
    &[0x88, 0x11, 0x82, 0x49, 0x83, 0x42, 0x20, 0x9f, 0xe0, 0x59, 0xe0],
    &[0x08, 0xaa],
];

const H264_SEEDS: [&[u8]; 6] = [
    &[0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 2, 0xdd, 0x80, 0xb4, 0x3c, 0x22],
    &[
        0x67, 0x64, 0, 0x28, 0xac, 0xd9, 0x40, 0x78, 2, 0x27, 0xe5, 0xc0, 0x44, 0, 0, 3, 0, 4, 0, 0, 3, 0,
        0xf0, 0x3c,
    ],
    &[
        0x78, 0, 14, 0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 2, 0xdd, 0x80, 0xb4, 0x3c, 0x22, 0, 4,
        0x68, 0xce, 1, 2,
    ],
    &[0x7c, 0x85, 0x88, 0x80, 1, 2, 3],
    &[0x5c, 0x41, 0x9a, 1],
    &[0x41, 0x9a, 0, 1, 2],
];

const AV1_SEEDS: [&[u8]; 4] = [
    &[0x28, 10, 0x08, 0, 0, 0, 0x2a, 0x4a, 0x7f, 0xd6, 0x7c, 0, 0x30, 0x11, 0x22],
    &[0x10, 0x34, 0x48, 0xaa],
    &[0x00, 1, 0x10, 2, 0x30, 0x40],
    &[0xd0, 1, 2, 3, 4],
];

#[test]
fn vp8() {
    each(11, INPUTS, &VP8_SEEDS, |input| {
        let Ok(d) = vp8::Descriptor::parse(input) else {
            let before = input.to_vec();
            assert_eq!(inspect(Codec::Vp8, input), Frame::default());
            rewrite(Codec::Vp8, input, 77, 7);
            assert_eq!(input, before, "what is malformed is left alone");
            return;
        };
        assert!(d.len <= input.len() && d.len <= 6);
        renumbered(Codec::Vp8, input, d.len);
        // The other reads no descriptor that nothing follows.
        let mut theirs = Vp8Packet::default();
        if let Ok(rest) = theirs.depacketize(&Bytes::copy_from_slice(input)) {
            assert_eq!(rest.len(), input.len() - d.len);
            assert_eq!(
                (theirs.s == 1, theirs.pid, theirs.n == 1),
                (d.starts_partition, d.partition, d.non_reference)
            );
            assert_eq!(theirs.picture_id, d.picture_id.map_or(0, |p| p.value));
            assert_eq!(theirs.tl0_pic_idx, d.tl0.unwrap_or(0));
            assert_eq!((theirs.tid, theirs.y == 1), (d.temporal.unwrap_or(0), d.layer_sync));
            assert_eq!(theirs.key_idx, d.key_index.unwrap_or(0));
        }
    });
}

#[test]
fn vp9() {
    each(12, INPUTS, &VP9_SEEDS, |input| {
        let ours = vp9::Descriptor::parse(input);
        let mut theirs = Vp9Packet::default();
        let rest = theirs.depacketize(&Bytes::copy_from_slice(input));
        let Ok(d) = ours else {
            let before = input.to_vec();
            assert_eq!(inspect(VP9, input), Frame::default());
            rewrite(VP9, input, 77, 7);
            assert_eq!(input, before, "what is malformed is left alone");
            return;
        };
        assert!(d.len <= input.len());
        renumbered(VP9, input, d.len);
        let Ok(rest) = rest else { return };
        // It takes the reserved bits of a scalability structure for the G bit.
        let numbers = d.picture_id.map_or(0, |p| 1 + usize::from(p.wide)) + usize::from(d.tl0.is_some());
        let structure_at = 1 + numbers + usize::from(d.layer.is_some()) + theirs.pdiff.len();
        if d.structure.is_some() && input[structure_at] & 0x06 != 0 {
            return;
        }
        assert_eq!(rest.len(), input.len() - d.len);
        assert_eq!(
            (theirs.p, theirs.f, theirs.b, theirs.e, theirs.z),
            (d.inter_predicted, d.flexible, d.starts_frame, d.ends_frame, d.not_for_higher)
        );
        assert_eq!(theirs.picture_id, d.picture_id.map_or(0, |p| p.value));
        assert_eq!(theirs.tl0picidx, d.tl0.unwrap_or(0));
        if let Some(layer) = d.layer {
            assert_eq!(
                (theirs.tid, theirs.u, theirs.sid, theirs.d),
                (layer.temporal, layer.switch_up, layer.spatial, layer.inter_layer)
            );
        }
        if let Some(structure) = d.structure {
            assert_eq!(structure.spatial_layers, theirs.ns + 1);
            for (n, (&width, &height)) in (0..).zip(theirs.width.iter().zip(&theirs.height)) {
                assert_eq!(structure.size(n), Some(PictureSize::new(width, height)));
            }
        }
    });
}

#[test]
fn h264() {
    each(13, INPUTS, &H264_SEEDS, |input| {
        let frame = inspect(H264, input);
        if h264::Descriptor::parse(input).is_err() {
            assert_eq!(frame, Frame::default());
        }
        // A keyframe has a parameter set, which comes first and is referred to.
        assert!(!frame.keyframe || (frame.first && !frame.discardable));
        unchanged(H264, input);
    });
}

#[test]
fn av1() {
    each(14, INPUTS, &AV1_SEEDS, |input| {
        let frame = inspect(AV1, input);
        unchanged(AV1, input);
        let Ok(d) = av1::Descriptor::parse(input) else {
            assert_eq!(frame, Frame::default());
            return;
        };
        let elements: Vec<&[u8]> = d.elements(input).collect();
        assert!(elements.iter().map(|e| e.len()).sum::<usize>() < input.len());
        assert!(d.count == 0 || elements.len() <= usize::from(d.count));
        // The other panics at an OBU that ends within its header, and loses the last of too few.
        let whole = elements.get(usize::from(d.continues)..).unwrap_or_default();
        let whole = &whole[..whole.len().saturating_sub(usize::from(d.continued))];
        let all_there = d.count == 0 || elements.len() == usize::from(d.count);
        if all_there && elements.iter().all(|e| av1::Obu::parse(e).is_ok()) {
            let mut theirs = Av1Depacketizer::default();
            if let Ok(stream) = theirs.depacketize(&Bytes::copy_from_slice(input)) {
                assert_eq!((theirs.z, theirs.y, theirs.n), (d.continues, d.continued, d.new_sequence));
                assert_eq!(stream, low_overhead(whole));
            }
        }
    });
}

/// OBUs as a file has them, each with its size (AV1 specification section 5.2), without temporal delimiters and tile lists.
fn low_overhead(elements: &[&[u8]]) -> Vec<u8> {
    let mut stream = vec![];
    for element in elements {
        let obu = av1::Obu::parse(element).expect("checked before");
        match obu.kind {
            2 | 8 => {}
            _ if element[0] & 2 != 0 => stream.extend_from_slice(element),
            _ => {
                stream.push(element[0] | 2);
                stream.extend_from_slice(&element[1..element.len() - obu.body.len()]);
                assert!(obu.body.len() < 128 * 128);
                if obu.body.len() >= 128 {
                    stream.push(obu.body.len() as u8 | 0x80);
                    stream.push((obu.body.len() >> 7) as u8);
                } else {
                    stream.push(obu.body.len() as u8);
                }
                stream.extend_from_slice(obu.body);
            }
        }
    }
    stream
}

/// New numbers arrive in their width, and nothing else changes.
fn renumbered(codec: Codec, input: &mut [u8], header: usize) {
    let before = input.to_vec();
    let old = inspect(codec, &before);
    rewrite(codec, input, 0x5a5a, 0xa5);
    let new = inspect(codec, input);
    let id = old.picture_id.map(|p| (if p.wide { 0x5a5a } else { 0x5a }, p.wide));
    assert_eq!(new.picture_id.map(|p| (p.value, p.wide)), id);
    assert_eq!(new.tl0, old.tl0.map(|_| 0xa5));
    assert_eq!(Frame { picture_id: old.picture_id, tl0: old.tl0, ..new }, old);
    assert_eq!(input[header..], before[header..]);
    rewrite(codec, input, old.picture_id.map_or(0, |p| p.value), old.tl0.unwrap_or(0));
    assert_eq!(input, before, "and back");
}

fn unchanged(codec: Codec, input: &mut [u8]) {
    let before = input.to_vec();
    rewrite(codec, input, 77, 7);
    assert_eq!(input, before);
}

/// L1T3 with one chain and a resolution; packets that follow it; one with everything of its own.
const DESCRIPTOR_SEEDS: [&[u8]; 4] = [
    &[
        0x85, 0x01, 0x2c, 0x80, 0xa2, 0x14, 0xea, 0xa8, 0x28, 0x04, 0x11, 0xa2, 0x82, 0x08, 0x04, 0x21, 0x38,
        0x27, 0xf8, 0x16, 0x78,
    ],
    &[0x48, 0x01, 0x2d],
    &[0xc7, 0x01, 0x2e, 0x7b, 0x6d, 0xb1, 0x04, 0x00, 0x50],
    &[0xc0, 0x00, 0x01, 0x80, 0x00, 0xf0],
];

#[test]
fn dependency_descriptor() {
    let mut in_force: Option<Structure> = None;
    each(15, INPUTS, &DESCRIPTOR_SEEDS, |input| {
        let parsed = Descriptor::parse(input, in_force.as_ref());
        let Ok(mut d) = parsed else { return };
        let applies = d.structure.as_ref().or(in_force.as_ref()).expect("it would not parse without");
        assert!(applies.template(d.mandatory.template_id).is_some());
        assert!((1..=32).contains(&applies.decode_targets) && !applies.templates().is_empty());
        assert!(applies.templates().iter().all(|t| t.spatial < applies.spatial_layers));
        assert!(applies.templates().iter().all(|t| t.chains.as_slice().len() == usize::from(applies.chains)));
        for target in 0..=applies.decode_targets {
            assert!(applies.layers(target).is_none_or(|(spatial, _)| spatial < applies.spatial_layers));
            assert!(applies.protected_by(target).is_none_or(|chain| chain <= applies.chains));
        }
        assert_eq!(d.frame.chains.as_slice().len(), usize::from(applies.chains));
        renumber(input, 0x5a5a);
        let again = Descriptor::parse(input, in_force.as_ref()).expect("only its number is new");
        assert_eq!(again.mandatory.frame_number, 0x5a5a);
        d.mandatory.frame_number = 0x5a5a;
        assert_eq!(again, d);
        if d.structure.is_some() {
            in_force = d.structure;
        }
    });
}
