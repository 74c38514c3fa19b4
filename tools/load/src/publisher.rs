//! A synthetic publisher: VP8 of a given bitrate in bursts, one burst a frame, and Opus-like sound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millrace::wire::ext::{audio_level::AudioLevel, transport_seq};
use millrace::wire::id::{RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{self, Packet, SenderInfo};
use millrace::wire::rtp::Header;

use crate::drive::Media;
use crate::measure::{Meter, Timed};
use crate::peer::{Peer, random_ssrc};
use crate::sdp::{Extensions, OPUS, OfferedEncoding, VP8, VP8_RTX};
use crate::stamp::{self, Stamp};

/// Packets kept for retransmission, per encoding.
const HISTORY: usize = 1024;
const REPORTS: Duration = Duration::from_secs(1);
const AUDIO_FRAME: Duration = Duration::from_millis(20);
const AUDIO_PAYLOAD: usize = 80;
/// Behind by more than this, frames are left out and not sent in a heap.
const PATIENCE: Duration = Duration::from_millis(500);

/// One video encoding.
#[derive(Clone, Debug)]
pub struct EncodingPlan {
    /// Its name, with simulcast.
    pub rid: Option<String>,
    /// The picture that its keyframes claim.
    pub width: u16,
    /// See `width`.
    pub height: u16,
    /// Packets of a frame: they leave at once.
    pub burst: u16,
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct Plan {
    /// From one frame to the next.
    pub frame: Duration,
    /// Bytes of an RTP packet before it is sealed, header included.
    pub packet: usize,
    /// Whether there is sound.
    pub audio: bool,
    /// The encodings, from the smallest.
    pub encodings: Vec<EncodingPlan>,
    /// Talks in turns with others: which of how many it is. Else it always talks.
    pub turn: Option<(usize, usize)>,
}

/// How long a turn of talking lasts.
const TURN: Duration = Duration::from_secs(3);

impl Plan {
    /// The level of its sound at a time since the clock's zero, which all publishers share.
    fn level(&self, at: Duration) -> AudioLevel {
        let talks = self.turn.is_none_or(|(which, of)| {
            let turn = (at.as_millis() / TURN.as_millis()) as usize;
            turn % of.max(1) == which
        });
        // 127 is digital silence; a microphone in a quiet room is above.
        if talks { AudioLevel { level: 30, voice: true } } else { AudioLevel { level: 70, voice: false } }
    }
}

/// What it sent so far, shared with whoever asks.
#[derive(Debug, Default)]
pub struct Sent {
    /// Media packets, without retransmissions.
    pub packets: AtomicU64,
    /// Stamped video packets of the first encoding: the number of the next one.
    pub next: AtomicU64,
    /// Keyframes that somebody asked for.
    pub keyframes: AtomicU64,
    /// Retransmissions.
    pub repaired: AtomicU64,
    /// Transport-wide feedbacks that came.
    pub feedbacks: AtomicU64,
    /// Frames that were due and not sent, because the tool was too late for them.
    pub skipped: AtomicU64,
    /// Media packets that were due in the measured part.
    pub windowed: AtomicU64,
    /// Of every encoding, the number after the last packet of the measured part.
    pub closed: [AtomicU64; MOST_ENCODINGS],
}

/// Encodings of one publisher, at most.
pub const MOST_ENCODINGS: usize = 3;

struct Encoding {
    plan: EncodingPlan,
    ssrc: Ssrc,
    rtx_ssrc: Ssrc,
    seq: Seq,
    rtx_seq: Seq,
    picture: u16,
    key_wanted: bool,
    key_index: u8,
    number: u32,
    history: VecDeque<(Seq, Header, Vec<u8>)>,
    packets: u32,
    bytes: u32,
}

/// The publisher.
pub struct Publisher {
    plan: Plan,
    encodings: Vec<Encoding>,
    audio: Option<Ssrc>,
    audio_seq: Seq,
    extensions: Extensions,
    transport: u16,
    begun: Option<Instant>,
    next_frame: Instant,
    next_audio: Instant,
    next_report: Instant,
    /// Encoding and sequence number of packets that were asked for again.
    missed: Vec<(usize, Seq16)>,
    sent: Arc<Sent>,
    /// Which publisher of the run.
    source: u16,
    meter: Arc<Meter>,
}

impl Publisher {
    /// Plans it; [`Publisher::negotiated`] tells what the server took.
    pub fn new(now: Instant, plan: Plan, source: u16, meter: Arc<Meter>) -> Self {
        let start = || Seq(u64::from(u16::from_be_bytes(crate::identity::random()) & 0x7fff));
        let encodings = plan.encodings.iter().map(|plan| Encoding {
            plan: plan.clone(),
            ssrc: random_ssrc(),
            rtx_ssrc: random_ssrc(),
            seq: start(),
            rtx_seq: start(),
            picture: 0,
            key_wanted: true,
            key_index: 0,
            number: 0,
            history: VecDeque::with_capacity(HISTORY),
            packets: 0,
            bytes: 0,
        });
        Self {
            encodings: encodings.collect(),
            audio: plan.audio.then(random_ssrc),
            audio_seq: start(),
            extensions: Extensions::default(),
            transport: 0,
            begun: None,
            next_frame: now,
            next_audio: now,
            next_report: now + REPORTS,
            missed: Vec::new(),
            sent: Arc::default(),
            source,
            meter,
            plan,
        }
    }

    /// For [`crate::sdp::offer`].
    pub fn offered(&self) -> (Option<Ssrc>, Vec<OfferedEncoding>) {
        let video = self.encodings.iter().map(|e| OfferedEncoding {
            rid: e.plan.rid.clone(),
            ssrc: e.ssrc,
            rtx_ssrc: e.rtx_ssrc,
        });
        (self.audio, video.collect())
    }

    /// The extensions of the answer.
    pub fn negotiated(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    /// Its counters.
    pub fn sent(&self) -> Arc<Sent> {
        self.sent.clone()
    }

    fn send_frame(&mut self, due: Instant, peer: &mut Peer) {
        let ticks = (due.duration_since(self.begun.unwrap_or(due)).as_micros() * 90 / 1000) as u32;
        for n in 0..self.encodings.len() {
            let Some(encoding) = self.encodings.get_mut(n) else { return };
            let key = std::mem::take(&mut encoding.key_wanted);
            encoding.key_index = (encoding.key_index + u8::from(key)) & 0x1f;
            encoding.picture = (encoding.picture + 1) & 0x7fff;
            let burst = encoding.plan.burst;
            for index in 0..burst {
                self.send_video(due, peer, n, key, index, burst, ticks);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a packet is made of")]
    fn send_video(
        &mut self,
        due: Instant,
        peer: &mut Peer,
        n: usize,
        key: bool,
        index: u16,
        burst: u16,
        ticks: u32,
    ) {
        let mid = if self.audio.is_some() { b"1" } else { b"0" };
        let transport = self.take_transport();
        let Some(encoding) = self.encodings.get_mut(n) else { return };
        let header = Header {
            marker: index + 1 == burst,
            pt: VP8,
            seq: encoding.seq.wire(),
            ts: RtpTs(ticks),
            ssrc: encoding.ssrc,
        };
        let rid = encoding.plan.rid.clone().unwrap_or_default();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, mid),
            (self.extensions.rid, rid.as_bytes()),
        ];
        let extensions = present(&extensions);
        // A header of 12 bytes, and extensions of up to 12.
        let mut payload = vec![0x2a; self.plan.packet.saturating_sub(24).max(40)];
        write_vp8(&mut payload, encoding, key, index == 0);
        let at = stamp::micros(due);
        let stamp = Stamp { layer: n as u8, source: self.source, number: encoding.number, at, check: 0 };
        stamp.write(&mut payload);
        if self.meter.window().holds(at) {
            self.sent.windowed.fetch_add(1, Ordering::Relaxed);
            if let Some(closed) = self.sent.closed.get(n) {
                closed.store(u64::from(encoding.number) + 1, Ordering::Relaxed);
            }
        }
        if peer.send_rtp(&header, encoding.seq, &extensions, &[&payload]) {
            encoding.packets = encoding.packets.wrapping_add(1);
            encoding.bytes = encoding.bytes.wrapping_add(payload.len() as u32);
            self.sent.packets.fetch_add(1, Ordering::Relaxed);
        }
        if encoding.history.len() == HISTORY {
            encoding.history.pop_front();
        }
        encoding.history.push_back((encoding.seq, header, payload));
        encoding.seq = encoding.seq.plus(1);
        encoding.number += 1;
        if n == 0 {
            self.sent.next.store(encoding.number.into(), Ordering::Relaxed);
        }
    }

    fn send_audio(&mut self, due: Instant, peer: &mut Peer) {
        let Some(ssrc) = self.audio else { return };
        let transport = self.take_transport();
        let ticks = (due.duration_since(self.begun.unwrap_or(due)).as_millis() * 48) as u32;
        let header = Header { marker: false, pt: OPUS, seq: self.audio_seq.wire(), ts: RtpTs(ticks), ssrc };
        let level = self.plan.level(Duration::from_micros(stamp::micros(due))).bytes();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, b"0"),
            (self.extensions.audio_level, &level),
        ];
        // A SILK table of contents, so that it passes for Opus.
        let mut payload = [0x48; AUDIO_PAYLOAD];
        let (number, at) = (self.audio_seq.0 as u32, stamp::micros(due));
        Stamp { layer: 255, source: self.source, number, at, check: 0 }.write(&mut payload);
        if self.meter.window().holds(at) {
            self.sent.windowed.fetch_add(1, Ordering::Relaxed);
        }
        if peer.send_rtp(&header, self.audio_seq, &present(&extensions), &[&payload]) {
            self.sent.packets.fetch_add(1, Ordering::Relaxed);
        }
        self.audio_seq = self.audio_seq.plus(1);
    }

    /// RFC 4588: a new packet, under an index of its own, whose payload begins with the lost number.
    fn repair(&mut self, peer: &mut Peer, n: usize, missed: Seq16) {
        let mid = if self.audio.is_some() { b"1" } else { b"0" };
        let transport = self.take_transport();
        let Some(encoding) = self.encodings.get_mut(n) else { return };
        let Some((_, header, payload)) = encoding.history.iter().rev().find(|(seq, ..)| seq.wire() == missed)
        else {
            return;
        };
        let header = Header { pt: VP8_RTX, seq: encoding.rtx_seq.wire(), ssrc: encoding.rtx_ssrc, ..*header };
        let rid = encoding.plan.rid.clone().unwrap_or_default();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, mid),
            (self.extensions.repaired_rid, rid.as_bytes()),
        ];
        if peer.send_rtp(
            &header,
            encoding.rtx_seq,
            &present(&extensions),
            &[&missed.0.to_be_bytes(), payload],
        ) {
            self.sent.repaired.fetch_add(1, Ordering::Relaxed);
        }
        encoding.rtx_seq = encoding.rtx_seq.plus(1);
    }

    fn report(&self, now: Instant, peer: &mut Peer) {
        /// Seconds from 1900 to 1970.
        const NTP_EPOCH: u64 = 2_208_988_800;
        let micros = stamp::micros(now);
        let ntp = ((micros / 1_000_000 + NTP_EPOCH) << 32) | (((micros % 1_000_000) << 32) / 1_000_000);
        let ticks = (now.duration_since(self.begun.unwrap_or(now)).as_micros() * 90 / 1000) as u32;
        for encoding in &self.encodings {
            let info = SenderInfo { ntp, ts: RtpTs(ticks), packets: encoding.packets, bytes: encoding.bytes };
            peer.send_rtcp(|writer| {
                writer.sender_report(encoding.ssrc, &info, &[]);
                writer.cname(encoding.ssrc, b"load");
            });
        }
    }

    fn take_transport(&mut self) -> [u8; 2] {
        self.transport = self.transport.wrapping_add(1);
        transport_seq::bytes(Seq16(self.transport))
    }

    fn want_key(&mut self, ssrc: Ssrc) {
        if let Some(encoding) = self.encodings.iter_mut().find(|e| e.ssrc == ssrc) {
            encoding.key_wanted = true;
            self.sent.keyframes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Media for Publisher {
    fn rtp(&mut self, _now: Instant, _packet: &[u8]) {}

    fn rtcp(&mut self, _now: Instant, compound: &[u8]) {
        let Ok(packets) = rtcp::packets(compound) else { return };
        for packet in packets {
            match packet {
                Packet::Pli(pli) => self.want_key(pli.media),
                Packet::Fir(fir) => fir.entries().for_each(|(ssrc, _)| self.want_key(ssrc)),
                Packet::Nack(nack) => {
                    if let Some(n) = self.encodings.iter().position(|e| e.ssrc == nack.media) {
                        self.missed.extend(nack.seqs().map(|seq| (n, seq)));
                    }
                }
                Packet::Twcc(_) => {
                    self.sent.feedbacks.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    fn poll(&mut self, now: Instant, peer: &mut Peer) {
        if !peer.connected() {
            return;
        }
        if self.begun.is_none() {
            (self.begun, self.next_frame, self.next_audio) = (Some(now), now, now);
        }
        for (n, seq) in std::mem::take(&mut self.missed) {
            self.repair(peer, n, seq);
        }
        while self.next_frame <= now {
            let due = self.next_frame;
            self.next_frame += self.plan.frame;
            let late = now.saturating_duration_since(due);
            self.meter.time(Timed::SendLag, late, self.meter.window().holds(stamp::micros(due)));
            if late > PATIENCE {
                self.sent.skipped.fetch_add(1, Ordering::Relaxed);
            } else {
                self.send_frame(due, peer);
            }
        }
        while self.next_audio <= now {
            let due = self.next_audio;
            self.next_audio += AUDIO_FRAME;
            if now.saturating_duration_since(due) <= PATIENCE {
                self.send_audio(due, peer);
            }
        }
        if self.next_report <= now {
            self.next_report = now + REPORTS;
            self.report(now, peer);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.begun?;
        let audio = self.audio.map(|_| self.next_audio);
        Some(self.next_frame.min(self.next_report)).into_iter().chain(audio).min()
    }
}

/// Extensions that were negotiated and have something to say.
fn present<'a>(extensions: &[(u8, &'a [u8])]) -> Vec<(u8, &'a [u8])> {
    extensions.iter().copied().filter(|(id, value)| *id != 0 && !value.is_empty()).collect()
}

/// The payload descriptor (RFC 7741 section 4.2), and in the first packet of a frame the frame header (RFC 6386
/// section 9.1) of a keyframe or an interframe.
fn write_vp8(payload: &mut [u8], encoding: &Encoding, key: bool, first: bool) {
    let [high, low] = encoding.picture.to_be_bytes();
    let descriptor = [
        0x80 | if first { 0x10 } else { 0 },
        // I, L, T and K: picture id, TL0PICIDX, temporal layer 0 with key index.
        0xf0,
        0x80 | high,
        low,
        encoding.picture as u8,
        encoding.key_index,
    ];
    let Some((front, rest)) = payload.split_at_mut_checked(descriptor.len()) else { return };
    front.copy_from_slice(&descriptor);
    if !first {
        return;
    }
    // Shown, version 0, a first partition of 1000 bytes; bit 0 clear is a keyframe.
    let tag: u32 = (1000 << 5) | (1 << 4) | u32::from(!key);
    let [a, b, c, _] = tag.to_le_bytes();
    let [w0, w1] = encoding.plan.width.to_le_bytes();
    let [h0, h1] = encoding.plan.height.to_le_bytes();
    let frame = [a, b, c, 0x9d, 0x01, 0x2a, w0, w1, h0, h1];
    let len = if key { frame.len() } else { 3 };
    if let (Some(to), Some(from)) = (rest.get_mut(..len), frame.get(..len)) {
        to.copy_from_slice(from);
    }
}
