//! Packets to frames, and frames to a decoder that needs what they refer to.

use std::collections::BTreeMap;

use millrace::units::{Duration, Instant};
use millrace::wire::payload::vp8;

use super::playout::Playout;

/// Waiting for a keyframe it asks again so often ...
const KEYFRAME_PATIENCE: Duration = Duration::from_millis(200);
/// ... and for any frame that it can decode it waits so long.
const FRAME_PATIENCE: Duration = Duration::from_secs(3);

struct Piece {
    ts: u32,
    first: bool,
    last: bool,
    /// Nothing of any frame: padding.
    empty: bool,
    payload: Vec<u8>,
}

/// A frame that is complete.
#[derive(Clone, Copy, Debug)]
struct Whole {
    seq: u64,
    ts: u32,
    key: bool,
    tl0: u8,
    temporal: u8,
    sync: bool,
    layer: u8,
    number: u64,
}

/// A frame that was shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub at: Instant,
    /// When it could be decoded.
    pub ready: Instant,
    pub ts: u32,
    pub picture: u64,
    pub key: bool,
    /// What the publisher wrote into it: the layer, and the number of the captured picture.
    pub layer: u8,
    pub number: u64,
}

/// See the module.
#[derive(Default)]
pub struct Frames {
    pieces: BTreeMap<u64, Piece>,
    whole: BTreeMap<u64, Whole>,
    /// Picture numbers, unwrapped: the highest seen, the last decoded and the last of the base layer.
    picture: Option<u64>,
    decoded: Option<u64>,
    base: Option<(u64, u8)>,
    decoded_seq: Option<u64>,
    /// Pictures of which the first packet came, and when.
    begun: BTreeMap<u64, Instant>,
    /// When something was last decoded or a keyframe last asked for.
    patient_since: Option<Instant>,
    pub plis: Vec<Instant>,
    playout: Playout,
    pub shown: Vec<Shown>,
    /// Captured pictures that were complete, and when.
    pub complete: Vec<(u64, Instant)>,
}

impl Frames {
    pub fn take(&mut self, seq: u64, ts: u32, last: bool, payload: &[u8], now: Instant) {
        if self.decoded_seq.is_some_and(|decoded| seq <= decoded) {
            return;
        }
        let first = payload.first().is_some_and(|b| b & 0x17 == 0x10);
        if first {
            let picture = self.picture_of(payload);
            self.picture = self.picture.max(Some(picture));
            self.begun.entry(picture).or_insert(now);
        }
        self.pieces.insert(seq, Piece { ts, first, last, empty: false, payload: payload.to_vec() });
        self.assemble(seq, now);
    }

    /// A packet with nothing in it.
    pub fn skip(&mut self, seq: u64, now: Instant) {
        let empty = Piece { ts: 0, first: false, last: false, empty: true, payload: vec![] };
        self.pieces.insert(seq, empty);
        self.assemble(seq + 1, now);
    }

    /// Puts the frame together that a packet belongs to, if all of it is there, and decodes what can be decoded.
    fn assemble(&mut self, seq: u64, now: Instant) {
        let Some(ts) = self.pieces.get(&seq).map(|p| p.ts) else { return };
        self.patient_since.get_or_insert(now);
        let (mut from, mut to) = (seq, seq);
        while !self.pieces[&from].first {
            let before = self.pieces.get(&(from - 1));
            if before.is_none_or(|p| p.ts != ts && !p.empty) {
                return;
            }
            from -= 1;
        }
        while !self.pieces[&to].last {
            if self.pieces.get(&(to + 1)).is_none_or(|p| p.ts != ts && !p.empty) {
                return;
            }
            to += 1;
        }
        let payload = &self.pieces[&from].payload;
        let descriptor = vp8::Descriptor::parse(payload).expect("well-formed");
        let body = &payload[descriptor.len..];
        let key = body[0] & 1 == 0;
        let at = if key { 10 } else { 3 };
        let whole = Whole {
            seq: to,
            ts,
            key,
            tl0: descriptor.tl0.expect("has one"),
            temporal: descriptor.temporal.unwrap_or(0),
            sync: descriptor.layer_sync,
            layer: body[at],
            number: u64::from_be_bytes(body[at + 3..at + 11].try_into().expect("eight bytes")),
        };
        let picture = self.picture_of(payload);
        self.pieces.retain(|seq, _| !(from..=to).contains(seq));
        if self.decoded.is_none_or(|decoded| picture > decoded) {
            self.complete.push((whole.number, now));
            self.whole.insert(picture, whole);
        }
        self.decode_due(now);
    }

    /// The number of a picture, unwrapped.
    fn picture_of(&self, payload: &[u8]) -> u64 {
        let descriptor = vp8::Descriptor::parse(payload).expect("well-formed");
        let wire = descriptor.picture_id.expect("has one").value;
        let near = self.picture.unwrap_or(0x8000 + u64::from(wire));
        let step = (i32::from(wire) - (near & 0x7fff) as i32 + 0x4000).rem_euclid(0x8000) - 0x4000;
        near.saturating_add_signed(step.into())
    }

    /// Decodes what can be decoded by now.
    pub fn decode_due(&mut self, now: Instant) {
        while self.decode(now) {}
    }

    /// Decodes the first frame of those there whose references were decoded: true to go on.
    fn decode(&mut self, now: Instant) -> bool {
        let next = self.whole.iter().find(|(picture, whole)| self.can_decode(**picture, whole));
        let Some((picture, whole)) = next.map(|(picture, whole)| (*picture, *whole)) else { return false };
        // What is missing before it may still come while there is time.
        let skips = self.decoded.is_some_and(|decoded| decoded + 1 != picture);
        if skips && self.playout.due(whole.ts) > now {
            return false;
        }
        // What lies before it will not be decoded any more.
        self.whole = self.whole.split_off(&(picture + 1));
        self.pieces = self.pieces.split_off(&(whole.seq + 1));
        self.decoded = Some(picture);
        self.decoded_seq = Some(whole.seq);
        if whole.temporal == 0 {
            self.base = Some((picture, whole.tl0));
        }
        self.patient_since = Some(now);
        self.shown.push(Shown {
            at: self.playout.show(whole.ts, now),
            ready: now,
            ts: whole.ts,
            picture,
            key: whole.key,
            layer: whole.layer,
            number: whole.number,
        });
        true
    }

    /// A frame of the base layer refers to the one before it, others to the base layer and, unless they are marked, to the
    /// frame before them.
    fn can_decode(&self, picture: u64, whole: &Whole) -> bool {
        if whole.key {
            return true;
        }
        let Some((_, tl0)) = self.base else { return false };
        match whole.temporal {
            0 => whole.tl0 == tl0.wrapping_add(1),
            _ => whole.tl0 == tl0 && (whole.sync || self.decoded == picture.checked_sub(1)),
        }
    }

    pub fn wants_keyframe(&mut self, now: Instant) -> bool {
        let patience = if self.decoded.is_none() { KEYFRAME_PATIENCE } else { FRAME_PATIENCE };
        let wants = self.patient_since.is_some_and(|since| now.since(since) >= patience);
        if wants {
            self.patient_since = Some(now);
            self.plis.push(now);
        }
        wants
    }

    /// The last packet of the last frame that was decoded.
    pub fn decoded_up_to(&self) -> Option<u64> {
        self.decoded_seq
    }

    /// Pictures that were sent and not shown: all that were sent before the last one that began before `until`.
    pub fn lost(&self, until: Instant) -> u64 {
        let Some((first, _)) = self.begun.first_key_value() else { return 0 };
        let Some((last, _)) = self.begun.iter().rev().find(|(_, at)| **at < until) else { return 0 };
        let shown = self.shown.iter().filter(|shown| shown.picture <= *last).count() as u64;
        (last - first + 1).saturating_sub(shown)
    }
}
