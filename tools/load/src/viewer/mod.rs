//! A viewer: counts what comes, asks for what is missing, and reports as a browser does.
//!
//! Opening every packet is most of what a viewer costs, and browsers' share of a machine is not what is measured. So an
//! ordinary viewer, once its picture has begun, reads headers and opens the last packet of every frame, where the stamp is;
//! a viewer that *checks* opens everything and puts frames together.

mod arrivals;
mod check;
mod frame;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use arrivals::Arrivals;
use frame::Frames;
pub use frame::{Coded, Frame};
use millrace::wire::ext::transport_seq;
use millrace::wire::id::{RtpTs, Seq16, Ssrc};
use millrace::wire::payload;
use millrace::wire::rtcp::{self, Packet};
use millrace::wire::rtp::View;
use stream::{Arrival, End, Stream};
use tokio::sync::{mpsc, watch};

use crate::drive::Media;
use crate::measure::{Count, Counts, Meter, Timed};
use crate::peer::{Peer, random_ssrc};
use crate::sdp::{Offered, Payload};
use crate::stamp::{self, Stamp};

const REPORTS: Duration = Duration::from_secs(1);
/// Transport-wide feedback, 20 a second.
const FEEDBACKS: Duration = Duration::from_millis(50);
/// A keyframe that does not come is asked for again.
const KEYFRAMES: Duration = Duration::from_millis(500);
/// Bytes that sealing adds to a packet.
const SEAL: usize = 16;

/// What a viewer saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// From the beginning.
    pub all: Counts,
    /// In the measured part.
    pub window: Counts,
    /// When the first keyframe was whole.
    pub first_frame: Option<Instant>,
    /// For how long it was there in the measured part.
    pub there: Duration,
}

/// A packet as its source numbered it, whether it came at first or as a retransmission.
#[derive(Clone, Copy)]
struct Came {
    ssrc: Ssrc,
    payload: Payload,
    seq: Seq16,
    ts: RtpTs,
    marker: bool,
    repair: bool,
}

/// The viewer.
pub struct Viewer {
    offered: Offered,
    /// Beside `streams`, to be searched.
    ssrcs: Vec<Ssrc>,
    streams: Vec<Stream>,
    arrivals: Arrivals,
    meter: Arc<Meter>,
    tally: Tally,
    /// What the meter has not been told yet.
    fresh: Counts,
    checks: bool,
    /// Who wants what comes.
    frames: Option<Frames>,
    reference: bool,
    first: watch::Sender<Option<Instant>>,
    came: Instant,
    ssrc: Ssrc,
    next_report: Instant,
    next_feedback: Instant,
    next_ask: Option<Instant>,
}

impl Viewer {
    /// A viewer of what the server offered. `checks`: whether it puts frames together and checks them.
    pub fn new(now: Instant, offered: Offered, meter: Arc<Meter>, checks: bool) -> Self {
        Self {
            offered,
            ssrcs: Vec::new(),
            streams: Vec::new(),
            arrivals: Arrivals::default(),
            meter,
            tally: Tally::default(),
            fresh: Counts::default(),
            checks,
            frames: None,
            reference: false,
            first: watch::Sender::new(None),
            came: now,
            ssrc: random_ssrc(),
            next_report: now + REPORTS,
            next_feedback: now + FEEDBACKS,
            next_ask: None,
        }
    }

    /// Somebody else opens its packets, and could not open or read one.
    pub fn refused(&mut self) {
        self.fresh.add(Count::Refused, 1);
    }

    /// Somebody else opens its packets: they are counted as such.
    #[must_use]
    pub fn by_reference(mut self) -> Self {
        self.reference = true;
        self
    }

    /// What comes is handed on, frame by frame. It has to put frames together, so it checks them, too.
    #[must_use]
    pub fn handing_on(self, frames: mpsc::Sender<Frame>) -> Self {
        let frames = Some(Frames::new(frames, &self.offered));
        Self { frames, checks: true, ..self }
    }

    /// Tells when the first keyframe was whole.
    pub fn first_frame(&self) -> watch::Receiver<Option<Instant>> {
        self.first.subscribe()
    }

    /// The server made more slots: its newer offer.
    pub fn renegotiated(&mut self, offered: Offered) {
        if let Some(frames) = &mut self.frames {
            frames.renegotiated(&offered);
        }
        self.offered = offered;
    }

    /// It is about to ask for another stream, or for one that it had before: what it was not sent in between is not lost.
    pub fn asks_anew(&mut self) {
        self.streams.iter_mut().for_each(Stream::begins_anew);
    }

    /// What it saw so far.
    pub fn tally(&mut self, now: Instant) -> Tally {
        self.flush(now);
        self.tally.there = self.meter.window().part(stamp::micros(self.came), stamp::micros(now));
        self.tally
    }

    /// The last stamp that it saw of each stream: source, encoding, number.
    pub fn accounted(&self) -> impl Iterator<Item = (u16, u8, u32)> {
        self.streams.iter().filter_map(Stream::accounted)
    }

    fn stream(&mut self, ssrc: Ssrc) -> Option<&mut Stream> {
        let n = self.ssrcs.iter().position(|known| *known == ssrc)?;
        self.streams.get_mut(n)
    }

    fn payload(&self, view: &View<'_>) -> Option<Payload> {
        self.offered.payloads.iter().find(|p| p.pt == view.pt()).copied()
    }

    /// A packet came, of whatever kind.
    fn note(&mut self, now: Instant, view: &View<'_>, bytes: usize) {
        self.fresh.add(Count::Packets, 1);
        self.fresh.add(Count::Bytes, bytes as u64);
        self.fresh.add(Count::Reference, u64::from(self.reference));
        let transport = self.offered.extensions.transport_seq;
        if transport != 0
            && let Some(seq) = view.extension(transport).and_then(transport_seq::read)
        {
            self.arrivals.note(now, seq);
        }
    }

    /// `body`: what is in it, if it was opened.
    fn take(&mut self, now: Instant, came: Came, body: Option<&[u8]>) {
        let Came { ssrc, payload, seq, ts, marker, repair } = came;
        let n = self.ssrcs.iter().position(|known| *known == ssrc).unwrap_or_else(|| {
            self.ssrcs.push(ssrc);
            self.streams.push(Stream::new(payload, seq, now, self.checks));
            self.streams.len() - 1
        });
        let Some(stream) = self.streams.get_mut(n) else { return };
        let (arrival, seq) = stream.arrive(now, seq, &mut self.fresh);
        if stream.misses() {
            self.next_ask.get_or_insert(now);
        }
        if arrival == Arrival::Double {
            // What is sent again unasked probes the way.
            self.fresh.add(Count::Doubled, u64::from(!repair));
            return;
        }
        if repair {
            self.fresh.add(Count::Repaired, 1);
        } else {
            stream.measure(now, ts);
        }
        // Padding only.
        if body.is_some_and(<[u8]>::is_empty) {
            return self.settle(now, n);
        }
        stream.media += 1;
        self.fresh.add(Count::Media, 1);
        let stamp = body.and_then(Stamp::read);
        if payload.audio {
            if let (Some(frames), Some(body)) = (&self.frames, body) {
                frames.sound(ssrc, ts, body);
            }
            return self.heard(now, stamp.as_ref());
        }
        match (body, payload.codec) {
            (Some(body), Some(codec)) => {
                if payload::inspect(codec, body).keyframe {
                    self.fresh.add(Count::Keyframes, 1);
                    stream.key(seq);
                }
                if let Some(checker) = &mut stream.checker {
                    checker.take(seq, body);
                }
            }
            // We cannot tell.
            (_, None) => stream.key(seq),
            (None, _) => {}
        }
        if marker {
            stream.end(End { seq, ts, stamp });
        }
        if let Some(stamp) = stamp {
            self.account(n, &stamp);
        }
        self.settle(now, n);
    }

    fn heard(&self, now: Instant, stamp: Option<&Stamp>) {
        if let Some(stamp) = stamp {
            let late = Duration::from_micros(stamp::micros(now).saturating_sub(stamp.at));
            self.meter.time(Timed::Sound, late, self.meter.window().holds(stamp.at));
        }
    }

    /// Frames that have become whole.
    fn settle(&mut self, now: Instant, n: usize) {
        let Some(stream) = self.streams.get_mut(n) else { return };
        while let Some(end) = stream.whole() {
            self.fresh.add(Count::Frames, 1);
            if let (Some(checker), Some(codec)) = (&mut stream.checker, stream.payload.codec) {
                let parts = checker.parts(&end);
                self.fresh.add(Count::Checked, 1);
                self.fresh.add(Count::Broken, u64::from(!checker.frame(&parts, &end, codec)));
                if let (Some(frames), Some(&ssrc)) = (&self.frames, self.ssrcs.get(n)) {
                    frames.picture(ssrc, codec, end.ts, &parts);
                }
            }
            if let Some(still) = stream.shown(now) {
                self.fresh.add(Count::Freezes, 1);
                self.fresh.add(Count::FrozenMs, still.as_millis() as u64);
            }
            if self.tally.first_frame.is_none() {
                self.tally.first_frame = Some(now);
                self.first.send_replace(Some(now));
            }
            if let Some(stamp) = end.stamp {
                let late = Duration::from_micros(stamp::micros(now).saturating_sub(stamp.at));
                self.meter.time(Timed::Latency, late, self.meter.window().holds(stamp.at));
            }
        }
    }

    /// Counts what was sent and what came since the stamp before.
    fn account(&mut self, n: usize, stamp: &Stamp) {
        let Some((sent, came, since)) = self.streams.get_mut(n).and_then(|s| s.account(stamp)) else {
            return;
        };
        let share = self.meter.window().share(since, stamp.at);
        // What is repaired later is counted then, and may be more than was sent since.
        let (expected, got) = ((sent as f64 * share) as u64, (came as f64 * share) as u64);
        if expected == 0 {
            return;
        }
        let layer = match stamp.layer {
            0 => Count::Layer0,
            1 => Count::Layer1,
            _ => Count::Layer2,
        };
        for (what, n) in [(Count::Expected, expected), (Count::Got, got), (layer, expected)] {
            self.tally.window.add(what, n);
            self.meter.add_windowed(what, n);
        }
    }

    fn flush(&mut self, now: Instant) {
        let fresh = std::mem::take(&mut self.fresh);
        self.tally.all.merge(&fresh);
        if self.meter.add(now, &fresh) {
            self.tally.window.merge(&fresh);
        }
    }

    fn ask(&mut self, now: Instant, peer: &mut Peer) {
        let mut next: Option<Instant> = None;
        for (&ssrc, stream) in self.ssrcs.iter().zip(&mut self.streams) {
            let (wanted, again) = stream.ask(now, &mut self.fresh);
            next = next.into_iter().chain(again).min();
            if !wanted.is_empty() && !stream.payload.audio {
                self.fresh.add(Count::Asked, wanted.len() as u64);
                peer.send_rtcp(|writer| {
                    writer.receiver_report(self.ssrc, &[]);
                    writer.nack(self.ssrc, ssrc, wanted);
                });
            }
        }
        self.next_ask = next;
    }

    fn ask_keyframes(&mut self, now: Instant, peer: &mut Peer) {
        for (&ssrc, stream) in self.ssrcs.iter().zip(&mut self.streams) {
            if stream.payload.audio || stream.has_key || now < stream.ask_key {
                continue;
            }
            stream.ask_key = now + KEYFRAMES;
            self.fresh.add(Count::Requests, 1);
            peer.send_rtcp(|writer| {
                writer.receiver_report(self.ssrc, &[]);
                writer.pli(self.ssrc, ssrc);
            });
        }
    }

    fn report(&mut self, now: Instant, peer: &mut Peer) {
        let windowed = self.meter.window().holds(stamp::micros(now));
        for stream in self.streams.iter().filter(|stream| stream.media > 0) {
            self.meter.time(Timed::Jitter, stream.jitter(), windowed);
        }
        let streams = self.ssrcs.iter().zip(&mut self.streams);
        let blocks: Vec<_> = streams.map(|(ssrc, stream)| stream.report(now, *ssrc)).collect();
        for blocks in blocks.chunks(24) {
            peer.send_rtcp(|writer| {
                writer.receiver_report(self.ssrc, blocks);
                writer.cname(self.ssrc, b"load");
            });
        }
    }

    fn feed_back(&mut self, peer: &mut Peer) {
        let Some(&media) = self.ssrcs.first() else { return };
        while let Some((feedback, statuses)) = self.arrivals.take(self.ssrc, media) {
            peer.send_rtcp(|writer| {
                writer.receiver_report(self.ssrc, &[]);
                writer.twcc(&feedback, statuses);
            });
        }
    }
}

impl Media for Viewer {
    fn sealed(&mut self, now: Instant, packet: &[u8]) -> bool {
        // How much of it is padding is sealed.
        if self.checks || packet.first().is_none_or(|first| first & 0x20 != 0) {
            return false;
        }
        let Ok(view) = View::parse(packet) else { return false };
        let Some(payload) = self.payload(&view) else { return false };
        let begun = self.stream(view.ssrc()).is_some_and(|stream| stream.decodable);
        if payload.rtx || payload.audio || view.marker() || !begun {
            return false;
        }
        self.note(now, &view, packet.len().saturating_sub(SEAL));
        let (seq, ts) = (view.seq(), view.ts());
        self.take(now, Came { ssrc: view.ssrc(), payload, seq, ts, marker: false, repair: false }, None);
        true
    }

    fn rtp(&mut self, now: Instant, packet: &[u8]) {
        let Ok(view) = View::parse(packet) else { return };
        self.note(now, &view, packet.len());
        let Some(payload) = self.payload(&view) else { return };
        let (ts, marker) = (view.ts(), view.marker());
        if !payload.rtx {
            let came = Came { ssrc: view.ssrc(), payload, seq: view.seq(), ts, marker, repair: false };
            return self.take(now, came, Some(view.payload()));
        }
        let repaired =
            self.offered.repairs.iter().find(|(rtx, _)| *rtx == view.ssrc()).map(|(_, source)| *source);
        let Some(ssrc) = repaired else { return };
        let Some(payload) = self.stream(ssrc).map(|s| s.payload) else { return };
        if let [high, low, body @ ..] = view.payload() {
            let seq = Seq16(u16::from_be_bytes([*high, *low]));
            self.take(now, Came { ssrc, payload, seq, ts, marker, repair: true }, Some(body));
        }
    }

    fn rtcp(&mut self, now: Instant, compound: &[u8]) {
        let Ok(packets) = rtcp::packets(compound) else { return };
        for packet in packets {
            if let Packet::SenderReport(report) = packet
                && let Some(stream) = self.stream(report.ssrc)
            {
                stream.last_sr = Some(((report.info.ntp >> 16) as u32, now));
            }
        }
    }

    fn poll(&mut self, now: Instant, peer: &mut Peer) {
        if !peer.connected() {
            return;
        }
        if self.next_ask.is_some_and(|at| at <= now) {
            self.ask(now, peer);
        }
        if self.next_feedback <= now {
            self.next_feedback = now + FEEDBACKS;
            self.feed_back(peer);
            self.ask_keyframes(now, peer);
            self.flush(now);
        }
        if self.next_report <= now {
            self.next_report = now + REPORTS;
            self.report(now, peer);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_report.min(self.next_feedback)).into_iter().chain(self.next_ask).min()
    }
}
