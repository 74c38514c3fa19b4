//! A browser that watches: it puts packets in order, asks for what is missing, assembles frames, decodes them as far as
//! references go, and asks for a keyframe when it cannot.

use std::collections::BTreeMap;

use millrace::router::command::{Kind, SlotParams};
use millrace::units::{Duration, Instant};
use millrace::wire::ext::capture_time::CaptureTime;
use millrace::wire::id::{Seq, Seq16, Ssrc};
use millrace::wire::payload::vp8;
use millrace::wire::rtcp::{self, Packet, ReportBlock, SenderInfo, Writer};
use millrace::wire::rtp;

use super::peer::{Clear, OURS};
use super::{EXTENSIONS, WATCHED_VP8};

/// A packet as it came.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Instant,
    pub ts: u32,
    pub marker: bool,
    pub mid: bool,
    pub transport_seq: Option<u16>,
    pub level: Option<u8>,
    pub descriptor: Option<Vec<u8>>,
    pub captured: Option<CaptureTime>,
    pub payload: Vec<u8>,
}

/// A frame that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub at: Instant,
    pub ts: u32,
    pub picture: u16,
    pub tl0: u8,
    pub keyframe: bool,
    /// What the publisher wrote into it: the layer, and the number of the captured picture.
    pub layer: u8,
    pub number: u64,
}

pub struct Receiver {
    pub ssrc: Ssrc,
    rtx: Option<Ssrc>,
    kind: Kind,
    highest: Option<u64>,
    first: u64,
    pub packets: BTreeMap<u64, Got>,
    missing: BTreeMap<u64, (Instant, u8)>,
    /// Up to where frames were taken out of `packets`.
    next: u64,
    pub frames: Vec<Frame>,
    decodable: bool,
    next_pli: Instant,
    pub plis: u64,
    pub nacked: u64,
    pub resent: u64,
    /// Retransmissions of what was there already.
    pub needless: u64,
    pub reports: Vec<(Instant, SenderInfo)>,
}

pub struct Viewer {
    pub slots: Vec<Receiver>,
    /// Whether it asks for what is missing, and for keyframes.
    pub asks: bool,
    next_report: Instant,
    next_ask: Instant,
    pub out: Vec<Clear>,
}

impl Viewer {
    pub fn new(slots: &[SlotParams]) -> Self {
        let slots = slots.iter().map(|slot| Receiver {
            ssrc: slot.ssrc,
            rtx: slot.rtx_ssrc,
            kind: slot.kind,
            highest: None,
            first: 0,
            packets: BTreeMap::new(),
            missing: BTreeMap::new(),
            next: 0,
            frames: vec![],
            decodable: false,
            next_pli: Instant::ZERO,
            plis: 0,
            nacked: 0,
            resent: 0,
            needless: 0,
            reports: vec![],
        });
        Self {
            slots: slots.collect(),
            asks: true,
            next_report: Instant::ZERO,
            next_ask: Instant::ZERO,
            out: vec![],
        }
    }

    pub fn slot(&self, slot: u16) -> &Receiver {
        &self.slots[usize::from(slot)]
    }

    pub fn next_wake(&self) -> Instant {
        if self.out.is_empty() { self.next_report.min(self.next_ask) } else { Instant::ZERO }
    }

    pub fn wake(&mut self, now: Instant) -> Vec<Clear> {
        if self.next_ask <= now {
            self.next_ask = now + Duration::from_millis(20);
            for at in 0..self.slots.len() {
                self.ask(at, now);
            }
        }
        if self.next_report <= now {
            self.next_report = now + Duration::from_secs(1);
            self.report(now);
        }
        std::mem::take(&mut self.out)
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        let mut buf = [0; 1200];
        let mut out = Writer::new(&mut buf);
        write(&mut out);
        let len = out.len();
        if len > 0 {
            self.out.push(Clear::Rtcp(buf[..len].to_vec()));
        }
    }

    fn ask(&mut self, at: usize, now: Instant) {
        let slot = &mut self.slots[at];
        let seqs: Vec<_> = slot.due(now).collect();
        let pli = slot.needs_keyframe(now);
        let (ssrc, asks) = (slot.ssrc, self.asks);
        self.slots[at].nacked += seqs.len() as u64;
        self.slots[at].plis += u64::from(pli);
        if asks {
            self.write(|out| {
                out.nack(OURS, ssrc, seqs);
                if pli {
                    out.pli(OURS, ssrc);
                }
            });
        }
    }

    /// Asks for packets, whether they were received or not.
    pub fn nack(&mut self, slot: u16, seqs: &[u64]) {
        let ssrc = self.slot(slot).ssrc;
        let seqs: Vec<_> = seqs.iter().map(|s| Seq(*s).wire()).collect();
        self.write(|out| {
            out.nack(OURS, ssrc, seqs);
        });
    }

    pub fn pli(&mut self, slot: u16) {
        let ssrc = self.slot(slot).ssrc;
        self.write(|out| {
            out.pli(OURS, ssrc);
        });
    }

    fn report(&mut self, now: Instant) {
        let blocks = self.slots.iter().filter_map(|s| s.block(now));
        let blocks: Vec<_> = blocks.take(31).collect();
        self.write(|out| {
            out.receiver_report(OURS, &blocks);
        });
    }

    pub fn receive(&mut self, now: Instant, clear: &Clear) {
        match clear {
            Clear::Rtp(_, bytes) => {
                let packet = rtp::View::parse(bytes).expect("well-formed");
                let slot =
                    self.slots.iter_mut().find(|s| s.ssrc == packet.ssrc() || s.rtx == Some(packet.ssrc()));
                slot.expect("a source that was signalled").take(now, &packet);
            }
            Clear::Rtcp(compound) => {
                for packet in rtcp::packets(compound).expect("well-formed") {
                    if let Packet::SenderReport(report) = packet {
                        let slot = self.slots.iter_mut().find(|s| s.ssrc == report.ssrc);
                        slot.expect("a source that was signalled").reports.push((now, report.info));
                    }
                }
            }
        }
    }
}

impl Receiver {
    fn take(&mut self, now: Instant, packet: &rtp::View<'_>) {
        let resent = packet.ssrc() != self.ssrc;
        let (wire, payload) = if resent {
            let payload = packet.payload();
            (Seq16(u16::from_be_bytes([payload[0], payload[1]])), &payload[2..])
        } else {
            (packet.seq(), packet.payload())
        };
        let seq = match self.highest {
            Some(highest) => Seq(highest).nearest(wire).0,
            None => {
                // What was overtaken by the very first packet is still welcome.
                self.first = 0x1_0000 + u64::from(wire.0);
                self.next = self.first;
                self.first
            }
        };
        for skipped in self.highest.map_or(seq, |h| h + 1)..seq {
            self.missing.insert(skipped, (now + Duration::from_millis(10), 0));
        }
        self.highest = Some(self.highest.map_or(seq, |h| h.max(seq)));
        self.missing.remove(&seq);
        self.resent += u64::from(resent);
        let got = Got {
            at: now,
            ts: packet.ts().0,
            marker: packet.marker(),
            mid: packet.extension(EXTENSIONS.mid).is_some(),
            transport_seq: packet.extension(EXTENSIONS.twcc).map(|v| u16::from_be_bytes([v[0], v[1]])),
            level: packet.extension(EXTENSIONS.audio_level).map(|v| v[0]),
            descriptor: packet.extension(EXTENSIONS.dependency_descriptor).map(<[u8]>::to_vec),
            captured: packet.extension(EXTENSIONS.capture_time).and_then(CaptureTime::read),
            payload: payload.to_vec(),
        };
        if let Some(before) = self.packets.insert(seq, got.clone()) {
            assert_eq!((before.ts, before.payload), (got.ts, got.payload), "{seq} came with two contents");
            self.needless += u64::from(resent);
        }
        // What is not VP8 is decoded afterwards, by who knows what was sent.
        let vp8 = [Some(WATCHED_VP8.pt), WATCHED_VP8.rtx].contains(&Some(packet.pt()));
        if self.kind == Kind::Video && vp8 {
            while self.assemble(now) {}
        } else {
            self.decodable = true;
        }
    }

    /// Takes the next frame if it is complete: true to go on.
    fn assemble(&mut self, now: Instant) -> bool {
        // What is missing for too long is skipped, up to a packet that begins a frame.
        if !self.packets.contains_key(&self.next) {
            let begins = |got: &Got| got.payload.first().is_some_and(|b| b & 0x10 != 0);
            let late = self.missing.get(&self.next).is_none_or(|(_, tries)| *tries > 8);
            let next = self.packets.range(self.next..).find(|(_, got)| begins(got)).map(|(seq, _)| *seq);
            let Some(next) = next.filter(|_| late && self.highest.is_some_and(|h| h > self.next)) else {
                return false;
            };
            self.next = next;
            self.decodable = false;
        }
        if self.packets.get(&self.next).is_some_and(|got| got.payload.is_empty()) {
            self.next += 1;
            return true;
        }
        let mut packets = Vec::new();
        for seq in self.next.. {
            let Some(got) = self.packets.get(&seq) else {
                let lost = self.missing.get(&seq).is_some_and(|(_, tries)| *tries > 8);
                if lost {
                    self.next = seq;
                }
                return lost;
            };
            packets.push(got);
            if got.marker {
                break;
            }
        }
        let (first, count) = (packets[0].clone(), packets.len() as u64);
        let complete = first.payload[0] & 0x10 != 0 && packets.iter().all(|p| p.ts == first.ts);
        self.next += count;
        let descriptor = vp8::Descriptor::parse(&first.payload).expect("well-formed");
        let body = &first.payload[descriptor.len..];
        let keyframe = complete && body[0] & 1 == 0;
        let at = if keyframe { 10 } else { 3 };
        let picture = descriptor.picture_id.expect("has one").value;
        let follows = self.frames.last().is_none_or(|f| picture == (f.picture + 1) & 0x7fff);
        self.decodable = complete && (keyframe || (self.decodable && follows));
        if self.decodable {
            self.frames.push(Frame {
                at: now,
                ts: first.ts,
                picture,
                tl0: descriptor.tl0.expect("has one"),
                keyframe,
                layer: body[at],
                number: u64::from_be_bytes(body[at + 3..at + 11].try_into().expect("eight bytes")),
            });
        }
        true
    }

    fn due(&mut self, now: Instant) -> impl Iterator<Item = Seq16> + '_ {
        let due = self.missing.iter_mut().filter(move |(_, (at, tries))| *at <= now && *tries < 10);
        due.map(move |(seq, (at, tries))| {
            *at = now + Duration::from_millis(80);
            *tries += 1;
            Seq(*seq).wire()
        })
    }

    fn needs_keyframe(&mut self, now: Instant) -> bool {
        let needs =
            self.kind == Kind::Video && self.highest.is_some() && !self.decodable && self.next_pli <= now;
        if needs {
            self.next_pli = now + Duration::from_millis(300);
        }
        needs
    }

    fn block(&self, now: Instant) -> Option<ReportBlock> {
        let (at, info) = self.reports.last()?;
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: 0,
            lost: self.missing.len() as i32,
            highest_seq: self.highest.unwrap_or(0) as u32,
            jitter: 0,
            last_sr: (info.ntp >> 16) as u32,
            delay_since_sr: (now.since(*at).as_micros() * 65_536 / 1_000_000) as u32,
        })
    }

    /// Sequence numbers that never came.
    pub fn holes(&self) -> u64 {
        self.highest.map_or(0, |highest| highest - self.first + 1).saturating_sub(self.packets.len() as u64)
    }

    /// Layer of the last frame.
    pub fn layer(&self) -> Option<u8> {
        self.frames.last().map(|f| f.layer)
    }

    /// The longest time between two frames.
    pub fn longest_freeze(&self) -> Duration {
        self.frames.windows(2).map(|w| w[1].at.since(w[0].at)).max().unwrap_or_default()
    }

    /// Asserts that what was sent is one stream: no holes, timestamps and picture numbers that only grow.
    pub fn assert_continuous(&self) {
        assert_eq!(self.holes(), 0);
        for pair in self.frames.windows(2) {
            let [a, b] = pair else { continue };
            assert_eq!(b.picture, (a.picture + 1) & 0x7fff, "{a:?} {b:?}");
            assert_eq!(b.tl0, a.tl0.wrapping_add(1), "{a:?} {b:?}");
            let step = b.ts.wrapping_sub(a.ts) as i32;
            assert!(step > 0, "{a:?} {b:?}");
        }
    }
}
