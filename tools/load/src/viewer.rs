//! A viewer: counts what comes, asks for what is missing, and reports as a browser does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millrace::wire::ext::transport_seq;
use millrace::wire::id::{RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::payload;
use millrace::wire::rtcp::{self, Feedback, Packet, ReportBlock};
use millrace::wire::rtp::View;

use crate::drive::Media;
use crate::peer::{Peer, random_ssrc};
use crate::sdp::{Offered, Payload};
use crate::stamp::{self, Stamp};

const REPORTS: Duration = Duration::from_secs(1);
/// Transport-wide feedback, 20 a second.
const FEEDBACKS: Duration = Duration::from_millis(50);
/// A packet that is asked for and does not come is asked for again after this ...
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// ... this often, and then is lost.
const ASKS: u8 = 10;
/// A wider gap is a new beginning.
const WIDEST_GAP: u64 = 1000;
/// A stream that does not begin with a keyframe: when one is first asked for, as browsers do ...
const FIRST_KEYFRAME: Duration = Duration::from_millis(200);
/// ... and again while none comes.
const KEYFRAMES: Duration = Duration::from_millis(500);
/// Statuses in one transport-wide feedback.
const STATUSES: u64 = 400;

/// The part of a run that is measured, by packet numbers of the publisher's first encoding; shared by all viewers.
#[derive(Debug)]
pub struct Window {
    from: AtomicU64,
    to: AtomicU64,
    /// Media packets that arrived at all viewers together, each once.
    pub arrived: AtomicU64,
}

impl Default for Window {
    fn default() -> Self {
        Self { from: AtomicU64::new(u64::MAX), to: AtomicU64::new(u64::MAX), arrived: AtomicU64::new(0) }
    }
}

impl Window {
    /// Packets from `number` on count.
    pub fn open(&self, number: u64) {
        self.from.store(number, Ordering::Relaxed);
    }

    /// Packets from `number` on do not count any more.
    pub fn close(&self, number: u64) {
        self.to.store(number, Ordering::Relaxed);
    }

    fn holds(&self, number: u32) -> bool {
        let number = u64::from(number);
        self.from.load(Ordering::Relaxed) <= number && number < self.to.load(Ordering::Relaxed)
    }
}

/// What a viewer saw.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Stamped video packets within the window, each once.
    pub counted: u64,
    /// Bytes of those, as RTP.
    pub bytes: u64,
    /// Their way from publisher to viewer, in microseconds; retransmissions not included.
    pub latency: Option<Histogram<u32>>,
    /// RTP packets of all kinds, window or not.
    pub packets: u64,
    /// Packets asked for again.
    pub asked: u64,
    /// Packets that came as retransmissions.
    pub repaired: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came twice.
    pub doubled: u64,
    /// Sequence numbers that jumped without need.
    pub jumps: u64,
    /// Keyframes.
    pub keyframes: u64,
    /// Keyframe requests sent.
    pub requests: u64,
    /// From the start of the connection to the first packet of a keyframe.
    pub first_frame: Option<Duration>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counted: 0,
            bytes: 0,
            // Up to a minute, to one part in a hundred: small enough for thousands of viewers.
            latency: Histogram::new_with_bounds(1, 60_000_000, 2).ok(),
            packets: 0,
            asked: 0,
            repaired: 0,
            lost: 0,
            doubled: 0,
            jumps: 0,
            keyframes: 0,
            requests: 0,
            first_frame: None,
        }
    }
}

impl Tally {
    /// Adds another viewer's.
    pub fn add(&mut self, other: &Self) {
        self.counted += other.counted;
        self.bytes += other.bytes;
        if let (Some(all), Some(one)) = (&mut self.latency, &other.latency) {
            // Both have the same range, so nothing can be out of it.
            let _ = all.add(one);
        }
        self.packets += other.packets;
        self.asked += other.asked;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.jumps += other.jumps;
        self.keyframes += other.keyframes;
        self.requests += other.requests;
    }
}

struct Missing {
    next: Instant,
    asks: u8,
}

/// One SSRC as its receiver sees it.
struct Stream {
    payload: Payload,
    highest: Seq,
    base: Seq,
    received: u64,
    missing: BTreeMap<Seq, Missing>,
    /// RFC 3550 section 6.4.1, in units of the timestamp, times 16.
    jitter: u32,
    transit: Option<u32>,
    last_sr: Option<(u32, Instant)>,
    reported: (u64, u64),
    has_key: bool,
    /// When a keyframe is asked for if none has come.
    ask_key: Instant,
}

/// A packet as its source numbered it, whether it came at first or as a retransmission.
#[derive(Clone, Copy)]
struct Came {
    ssrc: Ssrc,
    payload: Payload,
    seq: Seq16,
    ts: RtpTs,
    repair: bool,
}

/// What a sequence number turned out to be.
enum Arrival {
    New,
    Late,
    Double,
}

impl Stream {
    fn new(payload: Payload, seq: Seq16, now: Instant) -> Self {
        // Far from zero, so that what came just before is no underflow.
        let seq = Seq(0x1_0000 + u64::from(seq.0));
        Self {
            payload,
            highest: Seq(seq.0 - 1),
            base: seq,
            received: 0,
            missing: BTreeMap::new(),
            jitter: 0,
            transit: None,
            last_sr: None,
            reported: (0, 0),
            has_key: false,
            ask_key: now + FIRST_KEYFRAME,
        }
    }

    fn arrive(&mut self, now: Instant, seq: Seq16, tally: &mut Tally) -> Arrival {
        let seq = self.highest.nearest(seq);
        if seq <= self.highest {
            if self.missing.remove(&seq).is_some() {
                self.received += 1;
                return Arrival::Late;
            }
            tally.doubled += 1;
            return Arrival::Double;
        }
        let gap = self.highest.until(seq) - 1;
        if gap > WIDEST_GAP {
            tally.jumps += 1;
            tally.lost += self.missing.len() as u64;
            self.missing.clear();
            self.base = seq;
            self.received = 0;
            self.reported = (0, 0);
        } else {
            for n in 1..=gap {
                self.missing.insert(self.highest.plus(n), Missing { next: now, asks: 0 });
            }
        }
        self.highest = seq;
        self.received += 1;
        Arrival::New
    }

    fn measure(&mut self, now: Instant, ts: RtpTs) {
        let rate = u64::from(self.payload.clock_rate);
        let arrival = (u128::from(stamp::micros(now)) * u128::from(rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(ts.0);
        if let Some(before) = self.transit.replace(transit) {
            let d = (transit.wrapping_sub(before) as i32).unsigned_abs().min(1 << 24);
            self.jitter = self.jitter.saturating_add(d).saturating_sub((self.jitter + 8) >> 4);
        }
    }

    fn report(&mut self, now: Instant, ssrc: Ssrc) -> ReportBlock {
        let expected = self.base.until(self.highest) + 1;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let since = expected.saturating_sub(expected_before);
        let lost_since = since.saturating_sub(self.received.saturating_sub(received_before));
        let (last_sr, delay) = match self.last_sr {
            Some((sr, at)) => (sr, (now.duration_since(at).as_micros() * 65_536 / 1_000_000) as u32),
            None => (0, 0),
        };
        ReportBlock {
            ssrc,
            fraction_lost: (lost_since * 256).checked_div(since).unwrap_or(0).min(255) as u8,
            lost: (expected as i64 - self.received as i64) as i32,
            // The base was chosen one rollover up.
            highest_seq: (self.highest.0 - 0x1_0000) as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_sr: delay,
        }
    }
}

/// Arrivals by transport-wide sequence number, until they are reported.
struct Arrivals {
    highest: Option<Seq>,
    /// The first number that no feedback was about.
    next: Seq,
    at: BTreeMap<Seq, u64>,
    count: u8,
}

impl Arrivals {
    fn note(&mut self, now: Instant, seq: Seq16) {
        let seq = match self.highest {
            Some(highest) => highest.nearest(seq),
            None => {
                self.next = Seq(0x1_0000 + u64::from(seq.0));
                self.next
            }
        };
        self.highest = self.highest.max(Some(seq));
        if seq >= self.next {
            self.at.insert(seq, stamp::micros(now));
        }
    }

    /// The feedback that is due: its fixed part and one status a packet.
    fn take(&mut self, sender: Ssrc, media: Ssrc) -> Option<(Feedback, Vec<Option<i16>>)> {
        let (_, &first) = self.at.first_key_value()?;
        let base = self.next;
        let unit = Feedback::REFERENCE_MICROS as u64;
        let reference = (first / unit) & 0xff_ffff;
        let mut clock = first / unit * unit;
        let mut statuses = Vec::new();
        while let Some((&seq, &at)) = self.at.first_key_value() {
            let gap = base.until(seq);
            let ticks = (at as i64 - clock as i64) / Feedback::DELTA_MICROS;
            let Ok(delta) = i16::try_from(ticks) else { break };
            if gap >= STATUSES {
                break;
            }
            statuses.resize(gap as usize, None);
            statuses.push(Some(delta));
            clock = clock.wrapping_add_signed(ticks * Feedback::DELTA_MICROS);
            self.at.pop_first();
            self.next = seq.plus(1);
        }
        if statuses.is_empty() {
            // A hole wider than one feedback: nobody needs to hear of it.
            self.next = *self.at.first_key_value()?.0;
            return None;
        }
        let count = self.count;
        self.count = count.wrapping_add(1);
        // 24 bits with sign.
        let reference = ((reference as i32) << 8) >> 8;
        Some((Feedback { sender, media, base: base.wire(), reference, count }, statuses))
    }
}

/// The viewer.
pub struct Viewer {
    offered: Offered,
    streams: HashMap<Ssrc, Stream>,
    arrivals: Arrivals,
    window: Arc<Window>,
    tally: Tally,
    ssrc: Ssrc,
    begun: Instant,
    next_report: Instant,
    next_feedback: Instant,
    next_ask: Option<Instant>,
}

impl Viewer {
    /// A viewer of what the server offered.
    pub fn new(now: Instant, offered: Offered, window: Arc<Window>) -> Self {
        Self {
            offered,
            streams: HashMap::new(),
            arrivals: Arrivals { highest: None, next: Seq(0), at: BTreeMap::new(), count: 0 },
            window,
            tally: Tally::default(),
            ssrc: random_ssrc(),
            begun: now,
            next_report: now + REPORTS,
            next_feedback: now + FEEDBACKS,
            next_ask: None,
        }
    }

    /// The server made more slots: its newer offer.
    pub fn renegotiated(&mut self, offered: Offered) {
        self.offered = offered;
    }

    /// What it saw so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn take(&mut self, now: Instant, came: Came, body: &[u8]) {
        let Came { ssrc, payload, seq, ts, repair } = came;
        let stream = self.streams.entry(ssrc).or_insert_with(|| Stream::new(payload, seq, now));
        let arrival = stream.arrive(now, seq, &mut self.tally);
        if !stream.missing.is_empty() {
            self.next_ask.get_or_insert(now);
        }
        if matches!(arrival, Arrival::Double) {
            return;
        }
        self.tally.repaired += u64::from(repair);
        if !repair {
            stream.measure(now, ts);
        }
        // Padding only.
        if body.is_empty() {
            return;
        }
        self.window.arrived.fetch_add(1, Ordering::Relaxed);
        if payload.audio {
            return;
        }
        if let Some(codec) = payload.codec {
            let key = payload::inspect(codec, body).keyframe;
            if key {
                self.tally.keyframes += 1;
                let begun = self.begun;
                self.tally.first_frame.get_or_insert_with(|| now.duration_since(begun));
            }
            stream.has_key |= key;
        } else {
            stream.has_key = true;
        }
        if let Some(stamp) = Stamp::read(body)
            && self.window.holds(stamp.number)
        {
            self.tally.counted += 1;
            self.tally.bytes += body.len() as u64;
            if !repair && let Some(latency) = &mut self.tally.latency {
                let micros = stamp::micros(now).saturating_sub(stamp.at).clamp(1, 60_000_000);
                let _ = latency.record(micros);
            }
        }
    }

    fn ask(&mut self, now: Instant, peer: &mut Peer) {
        let mut next: Option<Instant> = None;
        for (&ssrc, stream) in &mut self.streams {
            let mut wanted = Vec::new();
            let tally = &mut self.tally;
            stream.missing.retain(|seq, missing| {
                if missing.next <= now {
                    if missing.asks == ASKS {
                        tally.lost += 1;
                        stream.has_key = false;
                        return false;
                    }
                    missing.asks += 1;
                    missing.next = now + ASK_AGAIN;
                    wanted.push(seq.wire());
                }
                next = Some(next.map_or(missing.next, |n| n.min(missing.next)));
                true
            });
            if !wanted.is_empty() && !stream.payload.audio {
                tally.asked += wanted.len() as u64;
                peer.send_rtcp(|writer| {
                    writer.receiver_report(self.ssrc, &[]);
                    writer.nack(self.ssrc, ssrc, wanted);
                });
            }
        }
        self.next_ask = next;
    }

    fn ask_keyframes(&mut self, now: Instant, peer: &mut Peer) {
        for (&ssrc, stream) in &mut self.streams {
            if stream.payload.audio || stream.has_key || now < stream.ask_key {
                continue;
            }
            stream.ask_key = now + KEYFRAMES;
            self.tally.requests += 1;
            peer.send_rtcp(|writer| {
                writer.receiver_report(self.ssrc, &[]);
                writer.pli(self.ssrc, ssrc);
            });
        }
    }

    fn report(&mut self, now: Instant, peer: &mut Peer) {
        let blocks: Vec<_> =
            self.streams.iter_mut().map(|(ssrc, stream)| stream.report(now, *ssrc)).collect();
        for blocks in blocks.chunks(24) {
            peer.send_rtcp(|writer| {
                writer.receiver_report(self.ssrc, blocks);
                writer.cname(self.ssrc, b"load");
            });
        }
    }

    fn feed_back(&mut self, peer: &mut Peer) {
        let Some((&media, _)) = self.streams.iter().next() else { return };
        while let Some((feedback, statuses)) = self.arrivals.take(self.ssrc, media) {
            peer.send_rtcp(|writer| {
                writer.receiver_report(self.ssrc, &[]);
                writer.twcc(&feedback, statuses);
            });
        }
    }
}

impl Media for Viewer {
    fn rtp(&mut self, now: Instant, packet: &[u8]) {
        let Ok(view) = View::parse(packet) else { return };
        self.tally.packets += 1;
        let transport = self.offered.extensions.transport_seq;
        if transport != 0
            && let Some(seq) = view.extension(transport).and_then(transport_seq::read)
        {
            self.arrivals.note(now, seq);
        }
        let Some(&payload) = self.offered.payloads.iter().find(|p| p.pt == view.pt()) else { return };
        if !payload.rtx {
            let came = Came { ssrc: view.ssrc(), payload, seq: view.seq(), ts: view.ts(), repair: false };
            return self.take(now, came, view.payload());
        }
        let repaired =
            self.offered.repairs.iter().find(|(rtx, _)| *rtx == view.ssrc()).map(|(_, source)| *source);
        let Some(source) = repaired else { return };
        let Some(payload) = self.streams.get(&source).map(|s| s.payload) else { return };
        if let [high, low, body @ ..] = view.payload() {
            let seq = Seq16(u16::from_be_bytes([*high, *low]));
            self.take(now, Came { ssrc: source, payload, seq, ts: view.ts(), repair: true }, body);
        }
    }

    fn rtcp(&mut self, now: Instant, compound: &[u8]) {
        let Ok(packets) = rtcp::packets(compound) else { return };
        for packet in packets {
            if let Packet::SenderReport(report) = packet
                && let Some(stream) = self.streams.get_mut(&report.ssrc)
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
