//! Packets that Chromium 156 really sent (`tests/fixtures/packets`, at most 64 bytes of each payload) are read as meant.

use std::collections::BTreeMap;
use std::path::Path;

use millrace::units::PictureSize;
use millrace::wire::ext::dependency_descriptor::{Descriptor, Indication, Structure};
use millrace::wire::payload::{Codec, Frame, inspect, vp9};

const H264: Codec = Codec::H264 { profile: 0x4200, packetization_mode: 1 };
const VP9: Codec = Codec::Vp9 { profile: 0 };
const AV1: Codec = Codec::Av1 { profile: 0 };

struct Packet {
    rid: String,
    timestamp: u32,
    marker: bool,
    descriptor: Option<Vec<u8>>,
    payload: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Packets by rid, each in the order in which they came.
fn recorded(name: &str) -> BTreeMap<String, Vec<Packet>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/packets").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut streams: BTreeMap<String, Vec<Packet>> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let [rid, _, timestamp, marker, descriptor, _, payload] = line.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{name}: {line}")
        };
        streams.entry(rid.to_owned()).or_default().push(Packet {
            rid: rid.to_owned(),
            timestamp: timestamp.parse().expect("a timestamp"),
            marker: marker == "M",
            descriptor: (descriptor != "-").then(|| unhex(descriptor)),
            payload: unhex(payload),
        });
    }
    streams
}

/// Each stream begins with a keyframe of the right size, and frames begin where timestamps change.
fn check_stream(name: &str, codec: Codec, packets: &[Packet], size: PictureSize) {
    let mut before: Option<u32> = None;
    for (n, packet) in packets.iter().enumerate() {
        let frame = inspect(codec, &packet.payload);
        let at = format!("{name} {} packet {n}: {frame:?}", packet.rid);
        assert_eq!(frame.keyframe, n == 0, "{at}");
        assert_eq!(frame.size, (n == 0).then_some(size), "{at}");
        let new = before != Some(packet.timestamp);
        // The first slice of an H.264 picture comes in a packet after that of the parameter sets.
        let slice_after_sets = matches!(codec, Codec::H264 { .. }) && n == 1;
        assert!(frame.first == new || (frame.first && slice_after_sets), "{at}");
        before = Some(packet.timestamp);
    }
}

#[test]
fn simulcast_layers_begin_with_keyframes_of_their_sizes() {
    let sizes = [("q", 320, 180), ("h", 640, 360), ("f", 1280, 720)];
    for (name, codec) in [
        ("vp8-simulcast.txt", Codec::Vp8),
        ("vp8-simulcast-with-descriptor.txt", Codec::Vp8),
        ("h264-simulcast.txt", H264),
    ] {
        let streams = recorded(name);
        assert_eq!(streams.len(), 3, "{name}");
        for (rid, width, height) in sizes {
            check_stream(name, codec, &streams[rid], PictureSize::new(width, height));
        }
    }
}

#[test]
fn single_streams_begin_with_a_keyframe() {
    for (name, codec) in [("vp9.txt", VP9), ("av1.txt", AV1)] {
        check_stream(name, codec, &recorded(name)["-"], PictureSize::new(1280, 720));
    }
    check_stream("av1-simulcast.txt", AV1, &recorded("av1-simulcast.txt")["q"], PictureSize::new(320, 180));
}

#[test]
fn vp8_has_picture_ids_and_layers_only_without_the_dependency_descriptor() {
    let frames = |name: &str| -> Vec<Frame> {
        recorded(name).values().flatten().map(|p| inspect(Codec::Vp8, &p.payload)).collect()
    };
    let plain = frames("vp8-simulcast.txt");
    assert!(plain.iter().all(|f| f.picture_id.is_some_and(|p| p.wide) && f.tl0.is_some()));
    assert_eq!(plain.iter().map(|f| f.temporal).max(), Some(2), "three temporal layers");
    let with = frames("vp8-simulcast-with-descriptor.txt");
    assert!(with.iter().all(|f| f.picture_id.is_none() && f.tl0.is_none() && f.temporal == 0));
}

/// All descriptors of a stream, each with the structure in force.
fn descriptors(packets: &[Packet]) -> Vec<(Descriptor, Structure)> {
    let mut in_force: Option<Structure> = None;
    let mut all = vec![];
    for packet in packets {
        let value = packet.descriptor.as_ref().expect("every packet has one");
        let d = Descriptor::parse(value, in_force.as_ref()).expect("well-formed");
        in_force = d.structure.clone().or(in_force);
        all.push((d, in_force.clone().expect("the first packet brings it")));
    }
    all
}

#[test]
fn svc_descriptors_tell_layers_chains_and_sizes() {
    for name in ["av1-svc.txt", "vp9-svc.txt"] {
        let packets = &recorded(name)["-"];
        let all = descriptors(packets);
        let (first, structure) = &all[0];
        assert!(first.structure.is_some() && all[1..].iter().all(|(d, _)| d.structure.is_none()), "{name}");
        assert_eq!(
            (structure.decode_targets, structure.chains, structure.spatial_layers),
            (9, 3, 3),
            "{name}"
        );
        let sizes: Vec<_> = (0..3).map(|s| structure.size(s)).collect();
        assert_eq!(
            sizes,
            [(320, 180), (640, 360), (1280, 720)].map(|(w, h)| Some(PictureSize::new(w, h))),
            "{name}"
        );
        for target in 0..9 {
            assert_eq!(structure.layers(target), Some((target / 3, target % 3)), "{name}: L3T3");
            assert_eq!(structure.protected_by(target), Some(target / 3), "{name}");
        }
        assert_eq!(first.active_targets, Some(0x1ff), "{name}");
        assert_eq!(
            first.frame.indications.of(8),
            Indication::Switch,
            "{name}: a keyframe opens every target"
        );
        assert!(first.frame.references.as_slice().is_empty(), "{name}");

        for (n, pair) in all.windows(2).enumerate() {
            let (before, d) = (&pair[0].0.mandatory, &pair[1].0.mandatory);
            assert_eq!(d.first, before.last, "{name} {n}: a frame ends before the next begins");
            assert_eq!(d.frame_number.wrapping_sub(before.frame_number), u16::from(d.first), "{name} {n}");
        }
        for ((d, _), packet) in all.iter().zip(packets) {
            assert!(
                !packet.marker || (d.mandatory.last && d.frame.spatial == 2),
                "{name}: all layers of a picture"
            );
        }
    }
}

#[test]
fn descriptors_agree_with_the_payload() {
    for (name, codec) in [("vp9-svc.txt", VP9), ("av1-svc.txt", AV1)] {
        let packets = &recorded(name)["-"];
        for (n, ((d, _), packet)) in descriptors(packets).iter().zip(packets).enumerate() {
            let frame = inspect(codec, &packet.payload);
            assert_eq!(frame.first, d.mandatory.first, "{name} {n}");
            if frame.first || codec == VP9 {
                assert_eq!(
                    (frame.spatial, frame.temporal),
                    (d.frame.spatial, d.frame.temporal),
                    "{name} {n}"
                );
            }
            if codec == VP9 {
                let own = vp9::Descriptor::parse(&packet.payload).expect("well-formed");
                assert_eq!(own.ends_frame, d.mandatory.last, "{name} {n}");
            }
        }
    }
    for packets in recorded("vp8-simulcast-with-descriptor.txt").values() {
        for ((d, _), packet) in descriptors(packets).iter().zip(packets) {
            assert_eq!(inspect(Codec::Vp8, &packet.payload).first, d.mandatory.first);
            assert_eq!(packet.marker, d.mandatory.last);
        }
    }
}
