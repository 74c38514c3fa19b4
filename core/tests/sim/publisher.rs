//! A browser that publishes: Opus with audio levels, VP8 in simulcast with real payload headers. It answers NACK with
//! RTX and PLI with a keyframe, and reports as libwebrtc does.

use std::collections::HashMap;

use millrace::router::command::{Kind, LayerParams, TrackLimits, TrackParams};
use millrace::router::id::{LayerId, TrackId};
use millrace::units::{Bitrate, Duration, Instant};
use millrace::wire::id::{Mid, Pt, Rid, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{self, Packet, SenderInfo, Writer};
use millrace::wire::rtp;

use super::encoder::{Encoder, Picture};
use super::network::Rng;
use super::peer::Clear;
use super::{EXTENSIONS, PUBLISHED_OPUS, PUBLISHED_RED, PUBLISHED_VP8};

const FRAME: Duration = Duration::from_micros(33_333);
const AUDIO: Duration = Duration::from_millis(20);
/// The clock of the publisher is ahead of the server's by this much.
const CLOCK: u64 = 1_234_567_890;

/// How the publisher's tracks are signalled.
pub fn tracks(audio: TrackId, video: TrackId, sizes: &[(u16, u16)]) -> Vec<TrackParams> {
    let layers = sizes.iter().enumerate().filter(|_| sizes.len() > 1).map(|(n, _)| LayerParams {
        layer: LayerId(n as u8),
        rid: Rid::new(&[b'q' + n as u8]).expect("a rid"),
        size: None,
    });
    vec![
        TrackParams {
            id: audio,
            kind: Kind::Audio,
            mid: Mid::new(b"0").expect("a mid"),
            payloads: vec![PUBLISHED_OPUS, PUBLISHED_RED],
            layers: vec![],
            ssrcs: vec![],
            clock_rate: 48_000,
            muted: false,
            limits: TrackLimits::NONE,
        },
        TrackParams {
            id: video,
            kind: Kind::Video,
            mid: Mid::new(b"1").expect("a mid"),
            payloads: vec![PUBLISHED_VP8],
            layers: layers.collect(),
            ssrcs: vec![],
            clock_rate: 90_000,
            muted: false,
            limits: TrackLimits { max_bitrate: Bitrate::from_kbps(2500), ..TrackLimits::NONE },
        },
    ]
}

/// One encoding.
struct Source {
    ssrc: Ssrc,
    rtx: Ssrc,
    size: (u16, u16),
    rid: Option<u8>,
    packets_per_frame: usize,
    /// If there is one, it says how large frames are.
    encoder: Option<Encoder>,
    sending: bool,
    resting: bool,
    seq: u64,
    rtx_seq: u64,
    ts_base: u32,
    picture: u16,
    tl0: u8,
    wants_key: bool,
    sent: HashMap<u16, Vec<u8>>,
    packets: u32,
}

pub struct Publisher {
    /// Bytes of the last packet of a frame; those before it have 1000.
    pub last_packet: usize,
    layers: Vec<Source>,
    audio_ssrc: Ssrc,
    audio_seq: u64,
    /// -dBov.
    pub level: u8,
    /// Whether layers that nobody wants rest.
    pub heeds: bool,
    /// Whether every packet of sound repeats the one before (RFC 2198).
    pub red: bool,
    began: Instant,
    awake: Instant,
    /// Whether it tells now and then when it captured.
    pub tells_capture: bool,
    next_frame: Instant,
    next_audio: Instant,
    next_report: Instant,
    transport_seq: u16,
    frames: u64,
    /// Keyframe requests that came: when, for which layer.
    pub plis: Vec<(Instant, usize)>,
    pub nacked: u64,
    pub keyframes: Vec<(Instant, usize)>,
    /// How many times as large as other pictures keyframes are.
    pub keyframe_factor: usize,
    /// Bytes of video, and those of keyframes among them.
    pub video_bytes: (u64, u64),
    /// Transport sequence numbers that feedback called received.
    pub acknowledged: u64,
    pub reports: Vec<rtcp::ReportBlock>,
    pub remb: Option<Bitrate>,
    out: Vec<Clear>,
}

impl Publisher {
    pub fn new(seed: u64, sizes: &[(u16, u16)], now: Instant) -> Self {
        let mut rng = Rng::new(seed ^ 0xabcd);
        let layers = sizes.iter().enumerate().map(|(n, size)| Source {
            ssrc: Ssrc(rng.next() as u32),
            rtx: Ssrc(rng.next() as u32),
            size: *size,
            rid: (sizes.len() > 1).then_some(b'q' + n as u8),
            packets_per_frame: [1, 2, 5][n.min(2)],
            encoder: None,
            sending: true,
            resting: false,
            // Near the rollover, so that every test crosses it.
            seq: 65_300 + rng.next() % 200,
            rtx_seq: rng.next() & 0x7fff,
            ts_base: rng.next() as u32,
            picture: rng.next() as u16 & 0x7fff,
            tl0: rng.next() as u8,
            wants_key: true,
            sent: HashMap::new(),
            packets: 0,
        });
        let layers: Vec<_> = layers.collect();
        Self {
            last_packet: 700,
            layers,
            audio_ssrc: Ssrc(rng.next() as u32),
            audio_seq: rng.next() & 0x7fff,
            level: 127,
            heeds: true,
            red: false,
            began: now,
            awake: now,
            tells_capture: false,
            next_frame: now,
            next_audio: now,
            next_report: now + Duration::from_millis(300),
            transport_seq: rng.next() as u16,
            frames: 0,
            plis: vec![],
            nacked: 0,
            keyframes: vec![],
            keyframe_factor: 3,
            video_bytes: (0, 0),
            acknowledged: 0,
            reports: vec![],
            remb: None,
            out: vec![],
        }
    }

    /// Starts or stops an encoding, as a browser does for lack of bandwidth.
    pub fn send_layer(&mut self, layer: usize, sending: bool) {
        self.layers[layer].sending = sending;
        self.layers[layer].wants_key |= sending;
    }

    /// What a client does that is told which layers somebody wants.
    pub fn heed(&mut self, wanted: &[bool]) {
        for (layer, wanted) in self.layers.iter_mut().zip(wanted).filter(|_| self.heeds) {
            layer.wants_key |= *wanted && layer.resting;
            layer.resting = !wanted;
        }
    }

    /// Which layers rest.
    pub fn resting(&self) -> Vec<bool> {
        self.layers.iter().map(|layer| layer.resting).collect()
    }

    /// Fills these rates, one for each layer, with frames of many sizes.
    pub fn encode_at(&mut self, rates: &[Bitrate]) {
        self.encode_differently(rates, 0);
    }

    /// The same with frames of other sizes.
    pub fn encode_differently(&mut self, rates: &[Bitrate], seed: u64) {
        for (layer, rate) in self.layers.iter_mut().zip(rates) {
            layer.encoder = Some(Encoder::new(*rate, u64::from(layer.ssrc.0) ^ seed << 32));
        }
    }

    /// Begins again under other SSRCs, as after a reload of the track.
    pub fn change_ssrcs(&mut self) {
        for layer in &mut self.layers {
            layer.ssrc = Ssrc(layer.ssrc.0 ^ 0x5555);
            layer.rtx = Ssrc(layer.rtx.0 ^ 0x5555);
            layer.seq = layer.seq % 7919 + 20_000;
            layer.wants_key = true;
        }
    }

    /// Fills a probe of the way with the last packets of a layer, as libwebrtc does: over RTX, though nobody asked for them.
    pub fn probe(&mut self, layer: usize, packets: u64) {
        let last = self.layers[layer].seq;
        for seq in last - packets + 1..=last {
            self.again(layer, Seq(seq).wire());
        }
    }

    pub fn next_wake(&self) -> Instant {
        if !self.out.is_empty() {
            return Instant::ZERO;
        }
        self.next_frame.min(self.next_audio).min(self.next_report)
    }

    pub fn wake(&mut self, now: Instant) -> Vec<Clear> {
        self.awake = now;
        if self.next_frame <= now {
            self.next_frame += FRAME;
            self.frames += 1;
            for layer in 0..self.layers.len() {
                self.frame(layer, now);
            }
        }
        if self.next_audio <= now {
            self.next_audio += AUDIO;
            self.sound(now);
        }
        if self.next_report <= now {
            self.next_report = now + Duration::from_secs(1);
            self.report(now);
        }
        std::mem::take(&mut self.out)
    }

    fn ts(&self, base: u32, rate: u64, now: Instant) -> u32 {
        base.wrapping_add((now.since(self.began).as_micros() as u64 * rate / 1_000_000) as u32)
    }

    fn frame(&mut self, at: usize, now: Instant) {
        let Some(ts) = self.layers.get(at).map(|l| self.ts(l.ts_base, 90_000, now)) else { return };
        let frames = self.frames;
        let source = &mut self.layers[at];
        if !source.sending || source.resting {
            return;
        }
        let key = source.wants_key && source.encoder.as_ref().is_none_or(|e| e.allows_keyframe(now));
        if key {
            source.wants_key = false;
            self.keyframes.push((now, at));
        }
        source.picture = source.picture.wrapping_add(1) & 0x7fff;
        let Picture { temporal, sync, sizes } = match source.encoder.as_mut() {
            Some(encoder) => encoder.frame(key, now),
            None => {
                let count = source.packets_per_frame * if key { self.keyframe_factor } else { 1 };
                let sizes =
                    (0..count).map(|n| if n + 1 == count { self.last_packet } else { 1000 }).collect();
                Picture { temporal: 0, sync: false, sizes }
            }
        };
        source.tl0 = source.tl0.wrapping_add(u8::from(temporal == 0));
        let count = sizes.len();
        for (n, size) in sizes.into_iter().enumerate() {
            let source = &mut self.layers[at];
            let mut payload = vec![if n == 0 { 0x90 } else { 0x80 }, 0xe0];
            payload.extend((source.picture | 0x8000).to_be_bytes());
            payload.extend([source.tl0, temporal << 6 | u8::from(sync) << 5]);
            if n == 0 {
                // RFC 6386 section 9.1: the frame tag, and for a keyframe its start code and size.
                payload.extend([u8::from(!key) | 0x10, 0, 0]);
                if key {
                    payload.extend([0x9d, 0x01, 0x2a]);
                    payload.extend(source.size.0.to_le_bytes());
                    payload.extend(source.size.1.to_le_bytes());
                }
            }
            payload.extend([at as u8, n as u8, count as u8]);
            payload.extend(frames.to_be_bytes());
            payload.resize(size.max(payload.len()), at as u8);
            self.video_bytes.0 += payload.len() as u64;
            self.video_bytes.1 += if key { payload.len() as u64 } else { 0 };
            source.seq += 1;
            source.packets += 1;
            let header = rtp::Header {
                marker: n + 1 == count,
                pt: PUBLISHED_VP8.pt,
                seq: Seq(source.seq).wire(),
                ts: RtpTs(ts),
                ssrc: source.ssrc,
            };
            source
                .sent
                .insert(header.seq.0, [&ts.to_be_bytes()[..], &[header.marker.into()], &payload].concat());
            let (seq, rid) = (Seq(source.seq), source.rid);
            self.push(seq, &header, EXTENSIONS.rid, rid, None, &payload);
        }
    }

    fn push(
        &mut self,
        seq: Seq,
        header: &rtp::Header,
        rid_id: u8,
        rid: Option<u8>,
        level: Option<u8>,
        payload: &[u8],
    ) {
        self.transport_seq = self.transport_seq.wrapping_add(1);
        let transport_seq = self.transport_seq.to_be_bytes();
        let (rid_bytes, level_bytes) = ([rid.unwrap_or(0)], [level.unwrap_or(0)]);
        let mid: &[u8] = if level.is_some() { b"0" } else { b"1" };
        let mut extensions: Vec<(u8, &[u8])> = vec![(EXTENSIONS.mid, mid), (EXTENSIONS.twcc, &transport_seq)];
        if rid.is_some() {
            extensions.push((rid_id, &rid_bytes));
        }
        if level.is_some() {
            extensions.push((EXTENSIONS.audio_level, &level_bytes));
        }
        let captured =
            (((u128::from(self.awake.as_micros() + CLOCK) << 32) / 1_000_000) as u64).to_be_bytes();
        if self.tells_capture && self.transport_seq.is_multiple_of(17) {
            extensions.push((EXTENSIONS.capture_time, &captured));
        }
        let mut packet = vec![0; 100 + payload.len()];
        let len = header.write(&mut packet, &extensions).expect("fits");
        packet.truncate(len);
        packet.extend(payload);
        self.out.push(Clear::Rtp(seq, packet));
    }

    fn sound(&mut self, now: Instant) {
        self.audio_seq += 1;
        let header = rtp::Header {
            marker: false,
            pt: if self.red { PUBLISHED_RED.pt } else { PUBLISHED_OPUS.pt },
            seq: Seq(self.audio_seq).wire(),
            ts: RtpTs(self.ts(4711, 48_000, now)),
            ssrc: self.audio_ssrc,
        };
        let own = [self.audio_seq as u8; 80];
        let mut payload = vec![];
        if self.red {
            // One block of 80 bytes from 960 ticks ago.
            payload.extend([0x80 | PUBLISHED_OPUS.pt.0, (960u16 >> 6) as u8, 0, 80, PUBLISHED_OPUS.pt.0]);
            payload.extend([(self.audio_seq - 1) as u8; 80]);
        }
        payload.extend(own);
        self.push(Seq(self.audio_seq), &header, 0, None, Some(self.level | 0x80), &payload);
    }

    fn report(&mut self, now: Instant) {
        let there = u128::from(now.as_micros() + CLOCK);
        let ntp = ((there << 32) / 1_000_000) as u64;
        let video = self.layers.iter().map(|l| (l.ssrc, self.ts(l.ts_base, 90_000, now), l.packets));
        let audio = (self.audio_ssrc, self.ts(4711, 48_000, now), self.audio_seq as u32);
        let all: Vec<_> = video.chain([audio]).collect();
        for (ssrc, ts, packets) in all {
            let mut buf = [0; 100];
            let mut out = Writer::new(&mut buf);
            out.sender_report(ssrc, &SenderInfo { ntp, ts: RtpTs(ts), packets, bytes: 0 }, &[]);
            let len = out.len();
            self.out.push(Clear::Rtcp(buf[..len].to_vec()));
        }
    }

    pub fn receive(&mut self, now: Instant, clear: &Clear) {
        let Clear::Rtcp(compound) = clear else { panic!("media to a publisher") };
        for packet in rtcp::packets(compound).expect("well-formed") {
            match packet {
                Packet::Pli(pli) => {
                    let Some(at) = self.layers.iter().position(|l| l.ssrc == pli.media) else { continue };
                    self.plis.push((now, at));
                    self.layers[at].wants_key = true;
                }
                Packet::Nack(nack) => {
                    let Some(at) = self.layers.iter().position(|l| l.ssrc == nack.media) else { continue };
                    for seq in nack.seqs() {
                        self.nacked += 1;
                        self.again(at, seq);
                    }
                }
                Packet::Twcc(twcc) => {
                    self.acknowledged += twcc.statuses().filter(|(_, delta)| delta.is_some()).count() as u64;
                }
                Packet::ReceiverReport(report) => self.reports.extend(report.blocks()),
                Packet::Remb(remb) => self.remb = Some(remb.bitrate),
                _ => {}
            }
        }
    }

    fn again(&mut self, at: usize, seq: Seq16) {
        let source = &mut self.layers[at];
        let Some(sent) = source.sent.get(&seq.0) else { return };
        source.rtx_seq += 1;
        let ts = u32::from_be_bytes([sent[0], sent[1], sent[2], sent[3]]);
        let header = rtp::Header {
            marker: sent[4] != 0,
            pt: PUBLISHED_VP8.rtx.unwrap_or(Pt(0)),
            seq: Seq(source.rtx_seq).wire(),
            ts: RtpTs(ts),
            ssrc: source.rtx,
        };
        let payload = [&seq.0.to_be_bytes()[..], &sent[5..]].concat();
        let (seq, rid) = (Seq(source.rtx_seq), source.rid);
        self.push(seq, &header, EXTENSIONS.repaired_rid, rid, None, &payload);
    }
}
