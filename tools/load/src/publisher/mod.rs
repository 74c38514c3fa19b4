//! A publisher: encoded pictures or synthetic packets of a given rate, and sound. It answers as browsers do: keyframes when
//! asked, retransmissions, and less where less gets through.

mod fixtures;
pub(crate) mod packets;
pub(crate) mod rate;
pub(crate) mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fixtures::Fixture;
use millrace::wire::ext::audio_level::AudioLevel;
use millrace::wire::id::RtpTs;
use packets::Vp8;
use rate::Rate;
use wire::Wire;

use crate::drive::Media;
use crate::measure::{Meter, Timed};
use crate::peer::Peer;
use crate::sdp::{Extensions, Offering};
use crate::stamp::{self, Stamp};

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
    picture: u16,
    keyed: Option<Instant>,
    key_index: u8,
    /// The encoded frame that was sent last.
    frame: Option<usize>,
    number: u32,
    /// Somebody watches it.
    active: bool,
}

/// The publisher.
pub struct Publisher {
    plan: Plan,
    wire: Wire,
    encodings: Vec<Encoding>,
    begun: Option<Instant>,
    next_frame: Instant,
    next_audio: Instant,
    next_report: Instant,
    /// Which publisher of the run.
    source: u16,
    meter: Arc<Meter>,
}

impl Publisher {
    /// Plans it; [`Publisher::negotiated`] tells what the server took.
    pub fn new(now: Instant, plan: Plan, source: u16, meter: Arc<Meter>) -> Self {
        let rids = plan.encodings.iter().map(|encoding| encoding.rid.clone());
        let encodings = plan.encodings.iter().map(|plan| Encoding {
            plan: plan.clone(),
            picture: 0,
            keyed: None,
            key_index: 0,
            frame: None,
            number: 0,
            active: true,
        });
        Self {
            // Synthetic packets are a load that is chosen.
            wire: Wire::new(
                rids,
                plan.audio,
                plan.video == Video::H264,
                Rate::new(plan.video != Video::Packets),
            ),
            encodings: encodings.collect(),
            begun: None,
            next_frame: now,
            next_audio: now,
            next_report: now + REPORTS,
            source,
            meter,
            plan,
        }
    }

    /// For [`crate::sdp::offer`].
    pub fn offered(&self) -> Offering {
        self.wire.offered()
    }

    /// The extensions of the answer.
    pub fn negotiated(&mut self, extensions: Extensions) {
        self.wire.negotiated(extensions);
    }

    /// Its counters.
    pub fn sent(&self) -> Arc<Sent> {
        self.wire.sent.clone()
    }

    /// Which of its layers somebody watches, from the smallest; the others rest.
    pub fn watched(&mut self, active: &[bool]) {
        for (n, (encoding, active)) in self.encodings.iter_mut().zip(active).enumerate() {
            if *active && !encoding.active {
                self.wire.want(n);
            }
            encoding.active = *active;
        }
    }

    fn send_frame(&mut self, now: Instant, due: Instant, peer: &mut Peer) {
        let ticks = (due.duration_since(self.begun.unwrap_or(due)).as_micros() * 90 / 1000) as u32;
        let rates: Vec<f64> = self.encodings.iter().map(|e| self.plan.rate(&e.plan)).collect();
        let wished = self.encodings.iter().zip(&rates).filter(|(e, _)| e.active).map(|(_, rate)| rate).sum();
        let mut room = self.wire.rate.allowed(now, wished);
        for (n, rate) in rates.into_iter().enumerate() {
            let Some(encoding) = self.encodings.get(n).filter(|e| e.active) else { continue };
            // The smallest is sent whatever comes, if need be at half of its frames.
            let (fits, smallest) = (rate <= room, n == 0);
            room -= rate;
            let halved = smallest
                && Fixture::of(self.plan.video, encoding.plan.size).may_be_left_out()
                && !self.wire.key_wanted(n)
                && (ticks / (self.plan.frame.as_micros() * 90 / 1000).max(1) as u32).is_multiple_of(2);
            if !fits && (!smallest || halved) {
                // What comes after a gap begins with a keyframe.
                if !smallest {
                    self.wire.want(n);
                }
                self.wire.sent.withheld.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.send_picture(now, due, peer, n, ticks);
        }
    }

    fn send_picture(&mut self, now: Instant, due: Instant, peer: &mut Peer, n: usize, ticks: u32) {
        let Some(encoding) = self.encodings.get_mut(n) else { return };
        let soon = encoding.keyed.is_some_and(|at| now.saturating_duration_since(at) < KEYFRAMES);
        let again = |every| encoding.keyed.is_some_and(|at| now.saturating_duration_since(at) >= every);
        let key = (self.wire.key_wanted(n) || self.plan.key_every.is_some_and(again)) && !soon;
        if key {
            self.wire.wanted(n);
            encoding.keyed = Some(now);
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
        encoding.number += count as u32;
        if self.meter.window().holds(stamp.at) {
            self.wire.sent.windowed.fetch_add(count as u64, Ordering::Relaxed);
            if let Some(closed) = self.wire.sent.closed.get(n) {
                closed.store(u64::from(stamp.number) + count as u64, Ordering::Relaxed);
            }
        }
        for (index, payload) in payloads.into_iter().enumerate() {
            self.wire.send_video(peer, n, payload, index + 1 == count, RtpTs(ticks));
        }
    }

    fn send_audio(&mut self, due: Instant, peer: &mut Peer) {
        if !self.wire.has_audio() {
            return;
        }
        let ticks = (due.duration_since(self.begun.unwrap_or(due)).as_millis() * 48) as u32;
        let (seq, at) = (self.wire.audio_seq().0, stamp::micros(due));
        let stamp = Stamp { layer: 255, source: self.source, number: seq as u32, at, check: 0 };
        let payload = packets::opus(fixtures::sound(seq), stamp);
        if self.meter.window().holds(at) {
            self.wire.sent.windowed.fetch_add(1, Ordering::Relaxed);
        }
        let level = self.plan.level(Duration::from_micros(at));
        self.wire.send_audio(peer, &payload, RtpTs(ticks), level);
    }
}

impl Media for Publisher {
    fn rtp(&mut self, _now: Instant, _packet: &[u8]) {}

    fn rtcp(&mut self, now: Instant, compound: &[u8]) {
        self.wire.rtcp(now, compound);
    }

    fn poll(&mut self, now: Instant, peer: &mut Peer) {
        if !peer.connected() {
            return;
        }
        if self.begun.is_none() {
            (self.begun, self.next_frame, self.next_audio) = (Some(now), now, now);
        }
        self.wire.turn(now);
        self.wire.repair_missed(peer);
        self.wire.probe(peer);
        while self.next_frame <= now {
            let due = self.next_frame;
            self.next_frame += self.plan.frame;
            let late = now.saturating_duration_since(due);
            self.meter.time(Timed::SendLag, late, self.meter.window().holds(stamp::micros(due)));
            if late > PATIENCE {
                self.wire.sent.skipped.fetch_add(1, Ordering::Relaxed);
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
            let ticks = now.duration_since(self.begun.unwrap_or(now)).as_micros() * 90 / 1000;
            self.wire.report(now, RtpTs(ticks as u32), peer);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.begun?;
        let audio = self.wire.has_audio().then_some(self.next_audio);
        let probe = self.wire.poll_timeout();
        Some(self.next_frame.min(self.next_report)).into_iter().chain(audio).chain(probe).min()
    }
}
