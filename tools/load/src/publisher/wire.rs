//! The RTP side of a publisher: tracks, their sequence numbers, reports, and what is sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use millrace::wire::ext::{audio_level::AudioLevel, transport_seq};
use millrace::wire::id::{Pt, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{self, Packet, SenderInfo};
use millrace::wire::rtp::Header;

use super::Sent;
use super::rate::Rate;
use crate::peer::{Peer, random_ssrc};
use crate::sdp::{Extensions, H264, H264_RTX, OPUS, OfferedEncoding, Offering, VP8, VP8_RTX};
use crate::stamp;

/// What a packet has besides its payload, about: headers of IP, UDP and RTP, extensions, and the tag.
const OVERHEAD: usize = 76;
/// Packets kept for retransmission, per track.
const HISTORY: usize = 1024;

/// One encoding of the picture.
struct Track {
    rid: Option<String>,
    ssrc: Ssrc,
    rtx_ssrc: Ssrc,
    seq: Seq,
    rtx_seq: Seq,
    /// The next frame is to be a keyframe.
    key_wanted: bool,
    history: VecDeque<(Seq, Header, Vec<u8>)>,
    packets: u32,
    bytes: u32,
}

/// See the module.
pub(crate) struct Wire {
    tracks: Vec<Track>,
    audio: Option<Ssrc>,
    audio_seq: Seq,
    h264: bool,
    extensions: Extensions,
    transport: u16,
    /// The time of this turn.
    now: Instant,
    pub(crate) rate: Rate,
    /// Track and sequence number of packets that were asked for again.
    missed: Vec<(usize, Seq16)>,
    pub(crate) sent: Arc<Sent>,
}

impl Wire {
    /// A picture in these encodings, by their names, and sound or none.
    pub(crate) fn new(
        rids: impl Iterator<Item = Option<String>>,
        audio: bool,
        h264: bool,
        rate: Rate,
    ) -> Self {
        let start = || Seq(u64::from(u16::from_be_bytes(crate::identity::random()) & 0x7fff));
        let tracks = rids.map(|rid| Track {
            rid,
            ssrc: random_ssrc(),
            rtx_ssrc: random_ssrc(),
            seq: start(),
            rtx_seq: start(),
            key_wanted: true,
            history: VecDeque::new(),
            packets: 0,
            bytes: 0,
        });
        Self {
            tracks: tracks.collect(),
            audio: audio.then(random_ssrc),
            audio_seq: start(),
            h264,
            extensions: Extensions::default(),
            transport: 0,
            now: Instant::now(),
            rate,
            missed: Vec::new(),
            sent: Arc::default(),
        }
    }

    /// For [`crate::sdp::offer`].
    pub(crate) fn offered(&self) -> Offering {
        let video = self.tracks.iter().map(|track| OfferedEncoding {
            rid: track.rid.clone(),
            ssrc: track.ssrc,
            rtx_ssrc: track.rtx_ssrc,
        });
        Offering { audio: self.audio, video: video.collect(), h264: self.h264 }
    }

    /// The extensions of the answer.
    pub(crate) fn negotiated(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    /// A turn begins: what is sent in it is sent now.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.now = now;
    }

    /// The next frame of a track is to be a keyframe.
    pub(crate) fn want(&mut self, n: usize) {
        if let Some(track) = self.tracks.get_mut(n) {
            track.key_wanted = true;
        }
    }

    /// It is one.
    pub(crate) fn wanted(&mut self, n: usize) {
        if let Some(track) = self.tracks.get_mut(n) {
            track.key_wanted = false;
        }
    }

    /// Whether the next frame of a track is to be a keyframe.
    pub(crate) fn key_wanted(&self, n: usize) -> bool {
        self.tracks.get(n).is_some_and(|track| track.key_wanted)
    }

    /// The number of the next packet of sound.
    pub(crate) fn audio_seq(&self) -> Seq {
        self.audio_seq
    }

    pub(crate) fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// A packet of a picture; `marker`: the last of its frame.
    pub(crate) fn send_video(
        &mut self,
        peer: &mut Peer,
        n: usize,
        payload: Vec<u8>,
        marker: bool,
        ticks: RtpTs,
    ) {
        let transport = self.take_transport(payload.len());
        let (mid, (pt, _)) = (self.mid(), self.types());
        let Some(track) = self.tracks.get_mut(n) else { return };
        let header = Header { marker, pt, seq: track.seq.wire(), ts: ticks, ssrc: track.ssrc };
        let rid = track.rid.as_deref().unwrap_or_default();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, mid),
            (self.extensions.rid, rid.as_bytes()),
        ];
        if peer.send_rtp(&header, track.seq, &present(&extensions), &[&payload]) {
            track.packets = track.packets.wrapping_add(1);
            track.bytes = track.bytes.wrapping_add(payload.len() as u32);
            self.sent.packets.fetch_add(1, Ordering::Relaxed);
        }
        if track.history.len() == HISTORY {
            track.history.pop_front();
        }
        track.history.push_back((track.seq, header, payload));
        track.seq = track.seq.plus(1);
    }

    /// A packet of sound.
    pub(crate) fn send_audio(&mut self, peer: &mut Peer, payload: &[u8], ticks: RtpTs, level: AudioLevel) {
        let Some(ssrc) = self.audio else { return };
        let transport = self.take_transport(payload.len());
        let header = Header { marker: false, pt: OPUS, seq: self.audio_seq.wire(), ts: ticks, ssrc };
        let level = level.bytes();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, b"0"),
            (self.extensions.audio_level, &level),
        ];
        if peer.send_rtp(&header, self.audio_seq, &present(&extensions), &[payload]) {
            self.sent.packets.fetch_add(1, Ordering::Relaxed);
        }
        self.audio_seq = self.audio_seq.plus(1);
    }

    /// Sends again what was asked for.
    pub(crate) fn repair_missed(&mut self, peer: &mut Peer) {
        for (n, seq) in std::mem::take(&mut self.missed) {
            if self.repair(peer, n, seq) {
                self.sent.repaired.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends what the estimate asks for to find out whether more goes through: pictures' packets again, which nobody misses.
    pub(crate) fn probe(&mut self, peer: &mut Peer) {
        let mut due = self.rate.probe(self.now);
        let largest = self.tracks.iter().rposition(|track| !track.history.is_empty());
        let Some(n) = largest.filter(|_| due > 0) else { return };
        let last = self.tracks.get(n).and_then(|track| track.history.back());
        let Some((seq, bytes)) = last.map(|(seq, _, payload)| (seq.wire(), payload.len() + OVERHEAD)) else {
            return;
        };
        while due > 0 && self.repair(peer, n, seq) {
            due = due.saturating_sub(bytes);
        }
    }

    /// When the next turn is to be though nothing else is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.rate.probes(self.now)
    }

    /// RFC 4588: a new packet, under an index of its own, whose payload begins with the lost number.
    fn repair(&mut self, peer: &mut Peer, n: usize, missed: Seq16) -> bool {
        let (mid, (_, pt)) = (self.mid(), self.types());
        let kept = |track: &Track| track.history.iter().rposition(|(seq, ..)| seq.wire() == missed);
        let Some(place) = self.tracks.get(n).and_then(kept) else { return false };
        let bytes =
            self.tracks.get(n).and_then(|track| track.history.get(place)).map_or(0, |(.., p)| p.len());
        let transport = self.take_transport(bytes);
        let Some(track) = self.tracks.get_mut(n) else { return false };
        let Some((_, header, payload)) = track.history.get(place) else { return false };
        let header = Header { pt, seq: track.rtx_seq.wire(), ssrc: track.rtx_ssrc, ..*header };
        let rid = track.rid.as_deref().unwrap_or_default();
        let extensions: [(u8, &[u8]); 3] = [
            (self.extensions.transport_seq, &transport),
            (self.extensions.mid, mid),
            (self.extensions.repaired_rid, rid.as_bytes()),
        ];
        let parts: [&[u8]; 2] = [&missed.0.to_be_bytes(), payload];
        let sent = peer.send_rtp(&header, track.rtx_seq, &present(&extensions), &parts);
        track.rtx_seq = track.rtx_seq.plus(1);
        sent
    }

    /// Sender reports; `ticks`: the timestamp that a picture of now would have.
    pub(crate) fn report(&self, now: Instant, ticks: RtpTs, peer: &mut Peer) {
        /// Seconds from 1900 to 1970.
        const NTP_EPOCH: u64 = 2_208_988_800;
        let micros = stamp::micros(now);
        let ntp = ((micros / 1_000_000 + NTP_EPOCH) << 32) | (((micros % 1_000_000) << 32) / 1_000_000);
        for track in &self.tracks {
            let info = SenderInfo { ntp, ts: ticks, packets: track.packets, bytes: track.bytes };
            peer.send_rtcp(|writer| {
                writer.sender_report(track.ssrc, &info, &[]);
                writer.cname(track.ssrc, b"load");
            });
        }
    }

    /// Takes what the server says: wishes are kept until they can be fulfilled.
    pub(crate) fn rtcp(&mut self, now: Instant, compound: &[u8]) {
        let Ok(packets) = rtcp::packets(compound) else { return };
        for packet in packets {
            match packet {
                Packet::Pli(pli) => self.want_key(pli.media),
                Packet::Fir(fir) => fir.entries().for_each(|(ssrc, _)| self.want_key(ssrc)),
                Packet::Nack(nack) => {
                    if let Some(n) = self.tracks.iter().position(|track| track.ssrc == nack.media) {
                        self.missed.extend(nack.seqs().map(|seq| (n, seq)));
                    }
                }
                Packet::Twcc(twcc) => {
                    self.sent.feedbacks.fetch_add(1, Ordering::Relaxed);
                    self.rate.told(now, &twcc);
                }
                Packet::Remb(remb) => self.rate.remb(remb.bitrate.as_bps()),
                _ => {}
            }
        }
    }

    fn want_key(&mut self, ssrc: Ssrc) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == ssrc) {
            track.key_wanted = true;
            self.sent.keyframes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The m-line of the picture: after that of the sound, if there is one.
    fn mid(&self) -> &'static [u8] {
        if self.audio.is_some() { b"1" } else { b"0" }
    }

    /// The payload type of the picture, and of its retransmissions.
    fn types(&self) -> (Pt, Pt) {
        if self.h264 { (H264, H264_RTX) } else { (VP8, VP8_RTX) }
    }

    /// The transport-wide number of a packet with so much in it.
    fn take_transport(&mut self, payload: usize) -> [u8; 2] {
        self.transport = self.transport.wrapping_add(1);
        if self.extensions.transport_seq != 0 {
            self.rate.sent(self.now, self.transport, payload + OVERHEAD);
        }
        transport_seq::bytes(Seq16(self.transport))
    }
}

/// Extensions that were negotiated and have something to say.
fn present<'a>(extensions: &[(u8, &'a [u8])]) -> Vec<(u8, &'a [u8])> {
    extensions.iter().copied().filter(|(id, value)| *id != 0 && !value.is_empty()).collect()
}
