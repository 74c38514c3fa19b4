//! A publisher: encoded pictures or synthetic packets of a given rate, and sound. It answers as browsers do: keyframes when
//! asked, retransmissions, and less where less gets through.

mod fixtures;
mod packets;
mod rate;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fixtures::Fixture;
use millrace::wire::ext::{audio_level::AudioLevel, transport_seq};
use millrace::wire::id::{Pt, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{self, Packet, SenderInfo};
use millrace::wire::rtp::Header;
use packets::Vp8;
use rate::Rate;

use crate::drive::Media;
use crate::measure::{Meter, Timed};
use crate::peer::{Peer, random_ssrc};
use crate::sdp::{Extensions, H264, H264_RTX, OPUS, OfferedEncoding, Offering, VP8, VP8_RTX};
use crate::stamp::{self, Stamp};

/// Packets kept for retransmission, per encoding.
const HISTORY: usize = 1024;
const REPORTS: Duration = Duration::from_secs(1);
const AUDIO_FRAME: Duration = Duration::from_millis(20);
/// Behind by more than this, frames are left out and not sent in a heap.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a turn of talking lasts.
const TURN: Duration = Duration::from_secs(3);
/// Between two keyframes of an encoding: who asks more often gets the next one.
const KEYFRAMES: Duration = Duration::from_millis(300);
/// Encodings of one publisher, at most.
pub const MOST_ENCODINGS: usize = 3;
/// Pictures a second of encoded media.
pub const FPS: f64 = 25.0;

/// What pictures are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Video {
    /// Synthetic packets that look like VP8, at a rate and in bursts that are chosen.
    #[default]
    Packets,
    /// Encoded VP8, at the rate that it has.
    Vp8,
    /// Encoded H264, at the rate that it has.
    H264,
}

impl std::str::FromStr for Video {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "packets" => Ok(Self::Packets),
            "vp8" => Ok(Self::Vp8),
            "h264" => Ok(Self::H264),
            _ => Err("pictures are packets, vp8 or h264".to_owned()),
        }
    }
}

/// One video encoding.
#[derive(Clone, Debug)]
pub struct EncodingPlan {
    /// Its name, with simulcast.
    pub rid: Option<String>,
    /// The picture that its keyframes claim.
    pub width: u16,
    /// See `width`.
    pub height: u16,
    /// Packets of a synthetic frame: they leave at once.
    pub burst: u16,
    /// Which of the encoded sizes it is, from the smallest.
    pub size: usize,
}

/// What to publish.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What pictures are made of.
    pub video: Video,
    /// From one frame to the next.
    pub frame: Duration,
    /// Bytes of an RTP packet before it is sealed, header included: of a synthetic one exactly, of others at most.
    pub packet: usize,
    /// Whether there is sound.
    pub audio: bool,
    /// The encodings, from the smallest.
    pub encodings: Vec<EncodingPlan>,
    /// Keyframes come this often, whether somebody asks or not.
    pub key_every: Option<Duration>,
    /// Talks in turns with others: which of how many it is. Else it always talks.
    pub turn: Option<(usize, usize)>,
}

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

    /// The rate of an encoding in bit/s.
    fn rate(&self, encoding: &EncodingPlan) -> f64 {
        match self.video {
            Video::Packets => {
                f64::from(encoding.burst) * self.packet as f64 * 8.0 / self.frame.as_secs_f64().max(1e-3)
            }
            encoded => Fixture::of(encoded, encoding.size).rate(1.0 / self.frame.as_secs_f64().max(1e-3)),
        }
    }
}

/// What it sent so far, shared with whoever asks.
#[derive(Debug, Default)]
pub struct Sent {
    /// Media packets, without retransmissions.
    pub packets: AtomicU64,
    /// Keyframes that somebody asked for.
    pub keyframes: AtomicU64,
    /// Retransmissions.
    pub repaired: AtomicU64,
    /// Transport-wide feedbacks that came.
    pub feedbacks: AtomicU64,
    /// Frames that were due and not sent, because the tool was too late for them.
    pub skipped: AtomicU64,
    /// Frames of larger layers that were not sent because the way to the server did not carry them.
    pub withheld: AtomicU64,
    /// Media packets that were due in the measured part.
    pub windowed: AtomicU64,
    /// Of every encoding, the number after the last packet of the measured part.
    pub closed: [AtomicU64; MOST_ENCODINGS],
}

struct Encoding {
    plan: EncodingPlan,
    ssrc: Ssrc,
    rtx_ssrc: Ssrc,
    seq: Seq,
    rtx_seq: Seq,
    picture: u16,
    key_wanted: bool,
    keyed: Option<Instant>,
    key_index: u8,
    /// The encoded frame that was sent last.
    frame: Option<usize>,
    number: u32,
    /// Somebody watches it.
    active: bool,
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
    rate: Rate,
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
            keyed: None,
            key_index: 0,
            frame: None,
            number: 0,
            active: true,
            history: VecDeque::new(),
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
            rate: Rate::default(),
            sent: Arc::default(),
            source,
            meter,
            plan,
        }
    }

    /// For [`crate::sdp::offer`].
    pub fn offered(&self) -> Offering {
        let video = self.encodings.iter().map(|e| OfferedEncoding {
            rid: e.plan.rid.clone(),
            ssrc: e.ssrc,
            rtx_ssrc: e.rtx_ssrc,
        });
        Offering { audio: self.audio, video: video.collect(), h264: self.plan.video == Video::H264 }
    }

    /// The extensions of the answer.
    pub fn negotiated(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    /// Its counters.
    pub fn sent(&self) -> Arc<Sent> {
        self.sent.clone()
    }

    /// Which of its layers somebody watches, from the smallest; the others rest.
    pub fn watched(&mut self, active: &[bool]) {
        for (encoding, active) in self.encodings.iter_mut().zip(active) {
            encoding.key_wanted |= *active && !encoding.active;
            encoding.active = *active;
        }
    }

    fn send_frame(&mut self, now: Instant, due: Instant, peer: &mut Peer) {
        let ticks = (due.duration_since(self.begun.unwrap_or(due)).as_micros() * 90 / 1000) as u32;
        let rates: Vec<f64> = self.encodings.iter().map(|e| self.plan.rate(&e.plan)).collect();
        let wished = self.encodings.iter().zip(&rates).filter(|(e, _)| e.active).map(|(_, rate)| rate).sum();
        let mut room = self.rate.allowed(now, wished);
        for (n, rate) in rates.into_iter().enumerate() {
            let Some(encoding) = self.encodings.get_mut(n).filter(|e| e.active) else { continue };
            // The smallest is sent whatever comes, if need be at half of its frames.
            let (fits, smallest) = (rate <= room, n == 0);
            room -= rate;
            let halved = smallest
                && Fixture::of(self.plan.video, encoding.plan.size).may_be_left_out()
                && !encoding.key_wanted
                && (ticks / (self.plan.frame.as_micros() * 90 / 1000).max(1) as u32).is_multiple_of(2);
            if !fits && (!smallest || halved) {
                // What comes after a gap begins with a keyframe.
                encoding.key_wanted |= !smallest;
                self.sent.withheld.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.send_picture(now, due, peer, n, ticks);
        }
    }

    fn send_picture(&mut self, now: Instant, due: Instant, peer: &mut Peer, n: usize, ticks: u32) {
        let Some(encoding) = self.encodings.get_mut(n) else { return };
        let soon = encoding.keyed.is_some_and(|at| now.saturating_duration_since(at) < KEYFRAMES);
        let again = |every| encoding.keyed.is_some_and(|at| now.saturating_duration_since(at) >= every);
        let key = (encoding.key_wanted || self.plan.key_every.is_some_and(again)) && !soon;
        if key {
            (encoding.key_wanted, encoding.keyed) = (false, Some(now));
            encoding.key_index = (encoding.key_index + 1) & 0x1f;
        }
        encoding.picture = (encoding.picture + 1) & 0x7fff;
        let stamp = Stamp {
            layer: n as u8,
            source: self.source,
            number: encoding.number,
            at: stamp::micros(due),
            check: 0,
        };
        // A header of 12 bytes, and extensions of up to 12.
        let most = self.plan.packet.saturating_sub(24).max(100);
        let vp8 = Vp8 { picture: encoding.picture, key_index: encoding.key_index };
        let (width, height) = (encoding.plan.width, encoding.plan.height);
        let payloads = match self.plan.video {
            Video::Packets => {
                packets::synthetic(vp8, key.then_some((width, height)), encoding.plan.burst, most, stamp)
            }
            encoded => {
                let (number, frame) = Fixture::of(encoded, encoding.plan.size).next(encoding.frame, key);
                encoding.frame = Some(number);
                match encoded {
                    Video::H264 => packets::h264(frame, most, stamp),
                    _ => packets::vp8(vp8, frame, most, stamp),
                }
            }
        };
        let count = payloads.len();
        if self.meter.window().holds(stamp.at) {
            self.sent.windowed.fetch_add(count as u64, Ordering::Relaxed);
            if let Some(closed) = self.sent.closed.get(n) {
                closed.store(u64::from(stamp.number) + count as u64, Ordering::Relaxed);
            }
        }
        for (index, payload) in payloads.into_iter().enumerate() {
            self.send_video(peer, n, payload, index + 1 == count, ticks);
        }
    }

    fn send_video(&mut self, peer: &mut Peer, n: usize, payload: Vec<u8>, marker: bool, ticks: u32) {
        let transport = self.take_transport();
        let (mid, (pt, _)) = (self.mid(), self.types());
        let Some(encoding) = self.encodings.get_mut(n) else { return };
        let header = Header { marker, pt, seq: encoding.seq.wire(), ts: RtpTs(ticks), ssrc: encoding.ssrc };
        let rid = encoding.plan.rid.as_deref().unwrap_or_default();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, mid),
            (self.extensions.rid, rid.as_bytes()),
        ];
        if peer.send_rtp(&header, encoding.seq, &present(&extensions), &[&payload]) {
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
    }

    fn send_audio(&mut self, due: Instant, peer: &mut Peer) {
        let Some(ssrc) = self.audio else { return };
        let transport = self.take_transport();
        let ticks = (due.duration_since(self.begun.unwrap_or(due)).as_millis() * 48) as u32;
        let header = Header { marker: false, pt: OPUS, seq: self.audio_seq.wire(), ts: RtpTs(ticks), ssrc };
        let (number, at) = (self.audio_seq.0 as u32, stamp::micros(due));
        let level = self.plan.level(Duration::from_micros(at)).bytes();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, b"0"),
            (self.extensions.audio_level, &level),
        ];
        let stamp = Stamp { layer: 255, source: self.source, number, at, check: 0 };
        let payload = packets::opus(fixtures::sound(self.audio_seq.0), stamp);
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
        let (mid, (_, pt)) = (self.mid(), self.types());
        let transport = self.take_transport();
        let Some(encoding) = self.encodings.get_mut(n) else { return };
        let Some((_, header, payload)) = encoding.history.iter().rev().find(|(seq, ..)| seq.wire() == missed)
        else {
            return;
        };
        let header = Header { pt, seq: encoding.rtx_seq.wire(), ssrc: encoding.rtx_ssrc, ..*header };
        let rid = encoding.plan.rid.as_deref().unwrap_or_default();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, mid),
            (self.extensions.repaired_rid, rid.as_bytes()),
        ];
        let parts: [&[u8]; 2] = [&missed.0.to_be_bytes(), payload];
        if peer.send_rtp(&header, encoding.rtx_seq, &present(&extensions), &parts) {
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

    /// The m-line of the picture: after that of the sound, if there is one.
    fn mid(&self) -> &'static [u8] {
        if self.audio.is_some() { b"1" } else { b"0" }
    }

    /// The payload type of the picture, and of its retransmissions.
    fn types(&self) -> (Pt, Pt) {
        if self.plan.video == Video::H264 { (H264, H264_RTX) } else { (VP8, VP8_RTX) }
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
                Packet::Twcc(twcc) => {
                    self.sent.feedbacks.fetch_add(1, Ordering::Relaxed);
                    let lost = twcc.statuses().filter(|(_, delta)| delta.is_none()).count();
                    self.rate.told(twcc.statuses().count() as u32, lost as u32);
                }
                Packet::Remb(remb) => self.rate.remb(remb.bitrate.as_bps()),
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
                self.send_frame(now, due, peer);
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
