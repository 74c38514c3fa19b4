//! A browser that publishes one stream of several spatial and temporal layers: VP8 in L1T3, VP9 and AV1 in L3T3_KEY. Each
//! layer frame carries what it refers to, so that what a viewer got can be decoded afterwards by [`decode`].

use std::collections::{BTreeMap, HashMap, HashSet};

use millrace::router::command::{Kind, PayloadParams, TrackLimits, TrackParams};
use millrace::router::id::TrackId;
use millrace::units::{Duration, Instant};
use millrace::wire::id::{Mid, Pt, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::payload::{Codec, vp8, vp9};
use millrace::wire::rtcp::{self, Packet, SenderInfo, Writer};
use millrace::wire::rtp;

use super::EXTENSIONS;
use super::network::Rng;
use super::peer::Clear;
use super::viewer::Got;

const FRAME: Duration = Duration::from_micros(33_333);
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
/// Temporal layers of four pictures in turn, and how far back each refers.
const PATTERN: [(u8, u64); 4] = [(0, 4), (2, 1), (1, 2), (2, 1)];
const MEDIA: Ssrc = Ssrc(0x1a7e_0001);
const REPAIR: Ssrc = Ssrc(0x1a7e_0002);

/// How its track is signalled.
pub fn track(id: TrackId, codec: Codec) -> TrackParams {
    TrackParams {
        id,
        kind: Kind::Video,
        mid: Mid::new(b"1").expect("a mid"),
        payloads: vec![PayloadParams { codec, pt: Pt(96), rtx: Some(Pt(97)) }],
        layers: vec![],
        ssrcs: vec![(MEDIA, Some(REPAIR))],
        clock_rate: 90_000,
        muted: false,
        limits: TrackLimits::NONE,
    }
}

/// See the module.
pub struct Layered {
    codec: Codec,
    began: Instant,
    next_frame: Instant,
    next_report: Instant,
    /// Number of the next picture, and of the last keyframe.
    number: u64,
    key_at: u64,
    wants_key: bool,
    seq: u64,
    rtx_seq: u64,
    transport_seq: u16,
    tl0: u8,
    first_picture: u16,
    frame_number: u16,
    sent: HashMap<u16, (u32, bool, Vec<u8>, Vec<u8>)>,
    pub plis: Vec<Instant>,
    out: Vec<Clear>,
}

impl Layered {
    pub fn new(seed: u64, codec: Codec, now: Instant) -> Self {
        let mut rng = Rng::new(seed ^ 0x1a7e);
        Self {
            codec,
            began: now,
            next_frame: now,
            next_report: now + Duration::from_millis(300),
            number: 0,
            key_at: 0,
            wants_key: true,
            seq: 65_300 + rng.next() % 200,
            rtx_seq: rng.next() & 0x7fff,
            transport_seq: 0,
            tl0: rng.next() as u8,
            first_picture: rng.next() as u16 & 0x7fff,
            frame_number: rng.next() as u16,
            sent: HashMap::new(),
            plis: vec![],
            out: vec![],
        }
    }

    pub fn next_wake(&self) -> Instant {
        if self.out.is_empty() { self.next_frame.min(self.next_report) } else { Instant::ZERO }
    }

    pub fn wake(&mut self, now: Instant) -> Vec<Clear> {
        if self.next_frame <= now {
            self.next_frame += FRAME;
            self.picture(now);
        }
        if self.next_report <= now {
            self.next_report = now + Duration::from_secs(1);
            let ntp = ((u128::from(now.as_micros() + 99_000_000) << 32) / 1_000_000) as u64;
            let mut buf = [0; 100];
            let mut out = Writer::new(&mut buf);
            let info = SenderInfo { ntp, ts: RtpTs(self.ts(now)), packets: 0, bytes: 0 };
            out.sender_report(MEDIA, &info, &[]);
            let len = out.len();
            self.out.push(Clear::Rtcp(buf[..len].to_vec()));
        }
        std::mem::take(&mut self.out)
    }

    fn ts(&self, now: Instant) -> u32 {
        0x7fff_0000 + (now.since(self.began).as_micros() * 9 / 100) as u32
    }

    fn picture(&mut self, now: Instant) {
        let key = std::mem::take(&mut self.wants_key);
        if key {
            self.key_at = self.number;
        }
        let since = self.number - self.key_at;
        let (temporal, back) = PATTERN[(since % 4) as usize];
        self.tl0 = self.tl0.wrapping_add(u8::from(temporal == 0));
        let spatials = if self.codec == Codec::Vp8 { 1 } else { 3 };
        for spatial in 0..spatials {
            let refers = match key {
                true if spatial == 0 => None,
                true => Some((spatial - 1, self.number)),
                false => Some((spatial, self.number - back)),
            };
            let count = [1, 2, 4][usize::from(spatial)] * if key { 2 } else { 1 };
            for n in 0..count {
                let (first, last) = (n == 0, n + 1 == count);
                let mut payload = match self.codec {
                    Codec::Vp8 => self.vp8(temporal, since, key, first),
                    Codec::Av1 { .. } => av1(spatial, temporal, key, first, last),
                    _ => self.vp9(spatial, temporal, key, first, last),
                };
                payload.extend([spatial, temporal, n, count, refers.map_or(u8::MAX, |(s, _)| s)]);
                payload.extend(self.number.to_be_bytes());
                payload.extend(refers.map_or(0, |(_, number)| number).to_be_bytes());
                payload.resize(if last { 700 } else { 1000 }, spatial);
                let descriptor = match self.codec {
                    Codec::Av1 { .. } => self.descriptor((spatial, since), first, last),
                    _ => vec![],
                };
                self.send(now, last && spatial + 1 == spatials, descriptor, payload);
            }
            self.frame_number = self.frame_number.wrapping_add(1);
        }
        self.number += 1;
    }

    fn picture_id(&self) -> [u8; 2] {
        (self.first_picture.wrapping_add(self.number as u16) | 0x8000).to_be_bytes()
    }

    fn vp8(&self, temporal: u8, since: u64, key: bool, first: bool) -> Vec<u8> {
        // As libvpx does, the upper layers depend on the base alone at the beginning of every second turn.
        let sync = temporal > 0 && since % 8 < 3;
        let mut payload = vec![if first { 0x90 } else { 0x80 }, 0xe0];
        payload.extend(self.picture_id());
        payload.extend([self.tl0, temporal << 6 | u8::from(sync) << 5]);
        if first {
            payload.extend([u8::from(!key) | 0x10, 0, 0]);
            if key {
                payload.extend([0x9d, 0x01, 0x2a]);
                payload.extend(SIZES[2].0.to_le_bytes());
                payload.extend(SIZES[2].1.to_le_bytes());
            }
        }
        payload
    }

    fn vp9(&self, spatial: u8, temporal: u8, key: bool, first: bool, last: bool) -> Vec<u8> {
        let structure = key && first && spatial == 0;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut payload = vec![
            0xa0 | flag(!key, 0x40)
                | flag(first, 0x08)
                | flag(last, 0x04)
                | flag(structure, 0x02)
                | flag(!key || spatial == 2, 0x01),
        ];
        payload.extend(self.picture_id());
        payload.extend([temporal << 5 | 0x10 | spatial << 1 | u8::from(key && spatial > 0), self.tl0]);
        if structure {
            payload.push(2 << 5 | 0x10);
            for (width, height) in SIZES {
                payload.extend(width.to_be_bytes());
                payload.extend(height.to_be_bytes());
            }
        }
        payload
    }

    /// Templates 0 to 2 are a keyframe's, then three for each spatial layer: T0, T1, T2 after T0 and T2 after T1.
    fn descriptor(&self, (spatial, since): (u8, u64), first: bool, last: bool) -> Vec<u8> {
        let template = match since {
            0 => spatial * 5,
            _ => spatial * 5 + [1, 3, 2, 4][(since % 4) as usize],
        };
        let mut bits = Bits::default();
        bits.put(u32::from(first), 1);
        bits.put(u32::from(last), 1);
        bits.put(u32::from(template), 6);
        bits.put(u32::from(self.frame_number), 16);
        if since == 0 && spatial == 0 && first {
            bits.put(0b10000, 5);
            structure(&mut bits);
        }
        bits.0
            .chunks(8)
            .map(|c| c.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at)))
            .collect()
    }

    fn send(&mut self, now: Instant, marker: bool, descriptor: Vec<u8>, payload: Vec<u8>) {
        self.seq += 1;
        let ts = self.ts(now);
        let header =
            rtp::Header { marker, pt: Pt(96), seq: Seq(self.seq).wire(), ts: RtpTs(ts), ssrc: MEDIA };
        self.push(Seq(self.seq), &header, &descriptor, &payload);
        self.sent.insert(header.seq.0, (ts, marker, descriptor, payload));
    }

    fn push(&mut self, seq: Seq, header: &rtp::Header, descriptor: &[u8], payload: &[u8]) {
        self.transport_seq = self.transport_seq.wrapping_add(1);
        let transport_seq = self.transport_seq.to_be_bytes();
        let mut packet = vec![0; 200 + payload.len()];
        let mut extensions: Vec<(u8, &[u8])> =
            vec![(EXTENSIONS.mid, b"1"), (EXTENSIONS.twcc, &transport_seq)];
        if !descriptor.is_empty() {
            extensions.push((EXTENSIONS.dependency_descriptor, descriptor));
        }
        let len = header.write(&mut packet, &extensions).expect("fits");
        packet.truncate(len);
        packet.extend(payload);
        self.out.push(Clear::Rtp(seq, packet));
    }

    pub fn receive(&mut self, now: Instant, clear: &Clear) {
        let Clear::Rtcp(compound) = clear else { panic!("media to a publisher") };
        for packet in rtcp::packets(compound).expect("well-formed") {
            match packet {
                Packet::Pli(_) => {
                    self.plis.push(now);
                    self.wants_key = true;
                }
                Packet::Nack(nack) => nack.seqs().for_each(|seq| self.again(seq)),
                _ => {}
            }
        }
    }

    fn again(&mut self, seq: Seq16) {
        let Some((ts, marker, descriptor, payload)) = self.sent.get(&seq.0).cloned() else { return };
        self.rtx_seq += 1;
        let header =
            rtp::Header { marker, pt: Pt(97), seq: Seq(self.rtx_seq).wire(), ts: RtpTs(ts), ssrc: REPAIR };
        self.push(Seq(self.rtx_seq), &header, &descriptor, &[&seq.0.to_be_bytes()[..], &payload].concat());
    }
}

/// An aggregation header, and an OBU with its layers: a keyframe's begins with a sequence header that says nothing else.
fn av1(spatial: u8, temporal: u8, key: bool, first: bool, last: bool) -> Vec<u8> {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let new = key && spatial == 0 && first;
    vec![
        0x10 | flag(!first, 0x80) | flag(!last, 0x40) | flag(new, 0x08),
        6 << 3 | 0x04,
        temporal << 5 | spatial << 3,
    ]
}

#[derive(Default)]
struct Bits(Vec<u8>);

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.0.extend((0..count).rev().map(|at| (value >> at & 1) as u8));
    }
}

/// The template structure of L3T3_KEY: fifteen templates, nine decode targets, three chains.
fn structure(bits: &mut Bits) {
    const TEMPORAL: [u8; 5] = [0, 0, 1, 2, 2];
    bits.put(0, 6);
    bits.put(9 - 1, 5);
    for template in 0..15usize {
        let next = match (template, template % 5) {
            (14, _) => 3,
            (_, 4) => 2,
            (_, at) => u32::from(TEMPORAL[at + 1] != TEMPORAL[at]),
        };
        bits.put(next, 2);
    }
    for (spatial, at) in (0..3u8).flat_map(|s| (0..5usize).map(move |at| (s, at))) {
        for (of, up_to) in (0..3u8).flat_map(|s| (0..3u8).map(move |t| (s, t))) {
            let present = TEMPORAL[at] <= up_to && (of == spatial || (at == 0 && of > spatial));
            bits.put(
                if !present {
                    0
                } else if TEMPORAL[at] == 2 {
                    1
                } else {
                    2
                },
                2,
            );
        }
    }
    for (spatial, at) in (0..3u32).flat_map(|s| (0..5usize).map(move |at| (s, at))) {
        // A picture is three frames: four pictures back for T0, two for T1, one for T2. A keyframe's upper frames refer to
        // the one below.
        match (at, spatial) {
            (0, 0) => {}
            (0, _) => bits.put(1 << 4, 5),
            _ => bits.put(1 << 4 | ([12, 6, 3, 3][at - 1] - 1), 5),
        }
        bits.put(0, 1);
    }
    // ns(10) of 3 takes three bits; each target is protected by the chain of its spatial layer, ns(3).
    bits.put(3, 3);
    for target in 0..9 {
        match target / 3 {
            0 => bits.put(0, 1),
            chain => bits.put(chain + 1, 2),
        }
    }
    (0..15 * 3).for_each(|_| bits.put(1, 4));
    bits.put(1, 1);
    for (width, height) in SIZES {
        bits.put(u32::from(width) - 1, 16);
        bits.put(u32::from(height) - 1, 16);
    }
}

/// A picture as a viewer shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    pub at: Instant,
    pub ts: u32,
    pub number: u64,
    pub temporal: u8,
    /// The highest spatial layer that was decoded.
    pub spatial: u8,
    pub picture_id: u16,
}

struct Part {
    spatial: u8,
    temporal: u8,
    n: u8,
    count: u8,
    refers: Option<(u8, u64)>,
    number: u64,
    picture_id: u16,
}

fn part(codec: Codec, payload: &[u8]) -> Part {
    let (len, picture_id) = match codec {
        Codec::Vp8 => {
            let d = vp8::Descriptor::parse(payload).expect("well-formed");
            let tag = match (payload[0] & 0x10 != 0, payload.get(d.len).is_some_and(|b| b & 1 == 0)) {
                (true, true) => 10,
                (true, false) => 3,
                _ => 0,
            };
            (d.len + tag, d.picture_id)
        }
        Codec::Av1 { .. } => (3, None),
        _ => {
            let d = vp9::Descriptor::parse(payload).expect("well-formed");
            (d.len, d.picture_id)
        }
    };
    let body = &payload[len..];
    let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    Part {
        spatial: body[0],
        temporal: body[1],
        n: body[2],
        count: body[3],
        refers: (body[4] != u8::MAX).then(|| (body[4], number(13))),
        number: number(5),
        picture_id: picture_id.map_or(0, |id| id.value),
    }
}

/// The pictures of what a viewer got, in order. Asserts that the stream is one that decoders follow: whole layer frames,
/// each after what it refers to, and a marker at the end of each picture and nowhere else.
pub fn decode(codec: Codec, packets: &BTreeMap<u64, Got>) -> Vec<Picture> {
    let mut pictures: Vec<Picture> = vec![];
    let mut decoded: HashSet<(u8, u64)> = HashSet::new();
    let media: Vec<_> = packets.values().filter(|got| !got.payload.is_empty()).collect();
    let mut expected: Option<(u64, u8, u8, u8)> = None;
    for (at, got) in media.iter().enumerate() {
        let part = part(codec, &got.payload);
        if let Some(expected) = expected {
            assert_eq!(expected, (part.number, part.spatial, part.n, part.count), "a frame is torn");
        } else {
            assert_eq!(part.n, 0, "a frame begins in its middle: {}", part.number);
        }
        let ends = part.n + 1 == part.count;
        expected = (!ends).then_some((part.number, part.spatial, part.n + 1, part.count));
        let next = media.get(at + 1).map(|next| next.ts);
        if next.is_some() {
            assert_eq!(got.marker, next != Some(got.ts), "marker of {} {}", part.number, part.spatial);
        }
        if !ends {
            continue;
        }
        let can = part.refers.is_none_or(|refers| decoded.contains(&refers));
        assert!(can, "{} {} needs {:?}", part.number, part.spatial, part.refers);
        decoded.insert((part.spatial, part.number));
        let picture = Picture {
            at: got.at,
            ts: got.ts,
            number: part.number,
            temporal: part.temporal,
            spatial: part.spatial,
            picture_id: part.picture_id,
        };
        match pictures.last_mut().filter(|p| p.number == part.number) {
            Some(last) => *last = picture,
            None => pictures.push(picture),
        }
    }
    for pair in pictures.windows(2) {
        let step = pair[1].ts.wrapping_sub(pair[0].ts) as i32;
        let passed = (pair[1].number as i64 - pair[0].number as i64) * 3000;
        assert!((i64::from(step) - passed).abs() <= 20, "{pair:?}");
        let ids = pair[1].picture_id.wrapping_sub(pair[0].picture_id) & 0x7fff;
        match codec {
            Codec::Vp8 => assert_eq!(ids, 1, "{pair:?}"),
            Codec::Av1 { .. } => {}
            _ => assert_eq!(u64::from(ids), pair[1].number - pair[0].number, "{pair:?}"),
        }
    }
    pictures
}
