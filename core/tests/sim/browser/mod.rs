//! A viewer as Chromium is one, as far as networks can tell: what it says of arrivals (`arrivals`), what it asks for again
//! (`nack`), which frames it can decode (`frames`), and when it shows them (`playout`).

pub mod arrivals;
pub mod frames;
pub mod nack;
pub mod playout;

use millrace::router::command::{Kind, SlotParams};
use millrace::units::{Duration, Instant};
use millrace::wire::id::{Seq, Seq16, Ssrc};
use millrace::wire::rtcp::{self, Packet, ReportBlock, SenderInfo, Writer};
use millrace::wire::rtp;

use super::EXTENSIONS;
use super::peer::{Clear, OURS};
use arrivals::Arrivals;
use frames::Frames;
use nack::Nack;

/// Transport-wide feedback ...
const FEEDBACK_EVERY: Duration = Duration::from_millis(50);
/// ... what is missing ...
const ASK_EVERY: Duration = Duration::from_millis(20);
/// ... and receiver reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// One m-line.
pub struct Slot {
    pub ssrc: Ssrc,
    rtx: Option<Ssrc>,
    kind: Kind,
    first: Option<u64>,
    highest: u64,
    /// Packets that came under the source's own SSRC, and those of the last report.
    pub received: u64,
    reported: (u64, u64),
    /// Retransmissions among all that came.
    pub resent: u64,
    sender_report: Option<(Instant, SenderInfo)>,
    pub nack: Nack,
    pub frames: Frames,
}

/// See the module.
pub struct Browser {
    pub slots: Vec<Slot>,
    arrivals: Arrivals,
    /// Bytes of all media that came, and of packets of padding among them.
    pub bytes: u64,
    pub padding: u64,
    next_feedback: Instant,
    next_ask: Instant,
    next_report: Instant,
    out: Vec<Clear>,
}

impl Browser {
    pub fn new(slots: &[SlotParams], now: Instant) -> Self {
        let slot = |slot: &SlotParams| Slot {
            ssrc: slot.ssrc,
            rtx: slot.rtx_ssrc,
            kind: slot.kind,
            first: None,
            highest: 0,
            received: 0,
            reported: (0, 0),
            resent: 0,
            sender_report: None,
            nack: Nack::default(),
            frames: Frames::default(),
        };
        Self {
            slots: slots.iter().map(slot).collect(),
            arrivals: Arrivals::default(),
            bytes: 0,
            padding: 0,
            next_feedback: now,
            next_ask: now,
            next_report: now,
            out: vec![],
        }
    }

    pub fn slot(&self, slot: u16) -> &Slot {
        &self.slots[usize::from(slot)]
    }

    pub fn next_wake(&self) -> Instant {
        if self.out.is_empty() {
            self.next_feedback.min(self.next_ask).min(self.next_report)
        } else {
            Instant::ZERO
        }
    }

    pub fn wake(&mut self, now: Instant) -> Vec<Clear> {
        if self.next_feedback <= now {
            self.next_feedback = now + FEEDBACK_EVERY;
            let arrivals = &mut self.arrivals;
            let media = self.slots.first().map(|s| s.ssrc).unwrap_or_default();
            write(&mut self.out, |out| arrivals.write(out, OURS, media));
        }
        if self.next_ask <= now {
            self.next_ask = now + ASK_EVERY;
            for slot in self.slots.iter_mut().filter(|s| s.kind == Kind::Video) {
                slot.frames.decode_due(now);
                slot.ask(now, &mut self.out);
            }
        }
        if self.next_report <= now {
            self.next_report = now + REPORT_EVERY;
            let blocks: Vec<_> = self.slots.iter_mut().filter_map(|s| s.block(now)).take(31).collect();
            write(&mut self.out, |out| {
                out.receiver_report(OURS, &blocks);
                out.receiver_time(OURS, ntp(now));
            });
        }
        std::mem::take(&mut self.out)
    }

    pub fn receive(&mut self, now: Instant, clear: &Clear) {
        match clear {
            Clear::Rtp(_, bytes) => {
                let packet = rtp::View::parse(bytes).expect("well-formed");
                if let Some(seq) = packet.extension(EXTENSIONS.twcc) {
                    self.arrivals.note(Seq16(u16::from_be_bytes([seq[0], seq[1]])), now);
                }
                self.bytes += bytes.len() as u64;
                self.padding += if packet.payload().is_empty() { packet.padding_len() as u64 } else { 0 };
                let ssrc = packet.ssrc();
                if let Some(slot) = self.slots.iter_mut().find(|s| s.ssrc == ssrc || s.rtx == Some(ssrc)) {
                    slot.take(now, &packet, &mut self.out);
                }
            }
            Clear::Rtcp(compound) => {
                for packet in rtcp::packets(compound).expect("well-formed") {
                    match packet {
                        Packet::SenderReport(report) => {
                            let slot = self.slots.iter_mut().find(|s| s.ssrc == report.ssrc);
                            slot.into_iter().for_each(|s| s.sender_report = Some((now, report.info)));
                        }
                        Packet::Extended(report) => {
                            for delay in report.delays().filter(|delay| delay.ssrc == OURS) {
                                let units = ((ntp(now) >> 16) as u32).wrapping_sub(delay.last_rr);
                                let units = u64::from(units.wrapping_sub(delay.since));
                                let round_trip = Duration::from_micros(units * 1_000_000 / 65_536);
                                self.slots.iter_mut().for_each(|s| s.nack.learn(round_trip));
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

impl Slot {
    fn take(&mut self, now: Instant, packet: &rtp::View<'_>, out: &mut Vec<Clear>) {
        let resent = packet.ssrc() != self.ssrc;
        let (wire, payload) = match packet.payload() {
            // Padding tells of the network and of nothing else.
            [a, b, payload @ ..] if resent => (Seq16(u16::from_be_bytes([*a, *b])), payload),
            [] if resent => return,
            payload => (packet.seq(), payload),
        };
        let first = *self.first.get_or_insert(0x1_0000 + u64::from(wire.0));
        self.highest = self.highest.max(first);
        let seq = Seq(self.highest).nearest(wire).0;
        self.highest = self.highest.max(seq);
        self.resent += u64::from(resent);
        self.received += u64::from(!resent);
        if self.kind == Kind::Audio {
            return;
        }
        self.nack.came(seq, resent, now);
        if payload.is_empty() {
            self.frames.skip(seq, now);
        } else {
            self.frames.take(seq, packet.ts().0, packet.marker(), payload, now);
        }
        if let Some(seq) = self.frames.decoded_up_to() {
            self.nack.forget_up_to(seq);
        }
        self.ask(now, out);
    }

    /// Asks for packets, and for a keyframe when nothing else helps.
    fn ask(&mut self, now: Instant, out: &mut Vec<Clear>) {
        let seqs = self.nack.due(now);
        let pli = self.nack.overflowed() | self.frames.wants_keyframe(now);
        let ssrc = self.ssrc;
        write(out, |out| {
            out.nack(OURS, ssrc, seqs.iter().map(|seq| Seq(*seq).wire()));
            if pli {
                out.pli(OURS, ssrc);
            }
        });
    }

    /// RFC 3550 appendix A.3.
    fn block(&mut self, now: Instant) -> Option<ReportBlock> {
        let expected = self.highest - self.first? + 1;
        let (at, info) = self.sender_report?;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let due = expected - expected_before;
        let lost = due.saturating_sub(self.received - received_before);
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(due).unwrap_or(0).min(255) as u8,
            lost: expected as i32 - self.received as i32,
            highest_seq: self.highest as u32,
            jitter: 0,
            last_sr: (info.ntp >> 16) as u32,
            delay_since_sr: (now.since(at).as_micros() * 65_536 / 1_000_000) as u32,
        })
    }
}

/// Its clock, as it travels.
fn ntp(now: Instant) -> u64 {
    ((u128::from(now.as_micros()) << 32) / 1_000_000) as u64
}

fn write(packets: &mut Vec<Clear>, write: impl FnOnce(&mut Writer<'_>)) {
    let mut buf = [0; 1200];
    let mut out = Writer::new(&mut buf);
    write(&mut out);
    let len = out.len();
    if len > 0 {
        packets.push(Clear::Rtcp(buf[..len].to_vec()));
    }
}
