//! RTCP of a session: what it says and what it is told.

use super::command::Kind;
use super::counters::Counters;
use super::egress::outlet::Turn;
use super::id::LayerId;
use super::recorder::{Way, What};
use super::session::Session;
use super::track::{Clock, Tracks};
use crate::batch::TxBatch;
use crate::units::{Bitrate, Duration, Instant};
use crate::wire::id::{RtpTs, Ssrc};
use crate::wire::rtcp::{self, Delay, Packet, ReportBlock, SenderInfo, Writer};

/// One name for all that a connection sends: lip synchronisation goes by the msid of the offer.
const CNAME: &[u8] = b"millrace";
/// Room for a compound: a datagram less what SRTCP adds.
const ROOM: usize = 1200;
/// A keyframe wish so soon after a keyframe was sent does not know of it yet: a round trip, within these bounds; who has
/// just come has not reported one, and is busy.
const UNMEASURED: Duration = Duration::from_millis(200);
const MIN_STALE: Duration = Duration::from_millis(50);
const MAX_STALE: Duration = Duration::from_millis(400);
/// What time it was at a viewer says nothing of its way any more after this.
const FRESH: Duration = Duration::from_secs(5);
/// Blocks in one report (RFC 3550 section 6.4.1: a count of 5 bits).
const MAX_BLOCKS: usize = 31;

impl Session {
    /// Sends reports, feedback, NACKs and keyframe requests that are due. False: the batch is full.
    pub(crate) fn write_control(
        &mut self,
        turn: &Turn,
        batch: &mut TxBatch,
        tracks: &mut Tracks,
        counters: &mut Counters,
    ) -> bool {
        while self.due.report || self.due.feedback || self.due.ask || self.due.keyframes {
            let (Some(path), true) = (self.outlet.path, self.outlet.sealer.is_some()) else {
                self.due = super::session::Due::default();
                self.keyframes.clear();
                self.arrivals.clear();
                return true;
            };
            let Some(room) = batch.reserve() else { return false };
            let Some(compound) = room.get_mut(..ROOM) else { return false };
            let mut out = Writer::new(compound);
            if self.params.tracks.is_empty() {
                self.write_viewer(&mut out, turn.now, tracks);
            } else {
                self.write_publisher(&mut out, turn.now, tracks, counters);
            }
            let len = out.len();
            if let Some(compound) = room.get(..len).filter(|_| len > 0) {
                self.outlet.record(turn.now, Way::Out, compound, len);
            }
            let sealed = self.outlet.sealer.as_mut().filter(|_| len > 0).and_then(|s| s.seal_rtcp(room, len));
            batch.commit(path, sealed.unwrap_or(0));
        }
        true
    }

    /// To a viewer: a sender report of every slot that sends, as many as fit.
    fn write_viewer(&mut self, out: &mut Writer<'_>, now: Instant, tracks: &Tracks) {
        self.due = super::session::Due { report: self.due.report, ..Default::default() };
        let delay = self.viewer_delay(now);
        while let Some(slot) = self.slots.get(self.reported_slots) {
            if let Some((ts, packets, bytes)) = slot.report(now, tracks) {
                let info = SenderInfo { ntp: ntp(now + self.epoch), ts: RtpTs(ts), packets, bytes };
                if !out.sender_report(slot.ssrc(), &info, &[]) || !out.cname(slot.ssrc(), CNAME) {
                    return;
                }
                // What finds no room comes with the next report.
                if let Some(delay) = delay.filter(|_| slot.params.kind == Kind::Video) {
                    out.delay(slot.ssrc(), &delay);
                }
            }
            self.reported_slots += 1;
        }
        self.due.report = false;
    }

    /// How long ago a viewer told its time (RFC 3611 section 4.5): without that it does not know its round trip, nor when to
    /// ask again for what is lost.
    fn viewer_delay(&self, now: Instant) -> Option<Delay> {
        let (ssrc, last_rr, at) = self.viewer_time.filter(|(_, _, at)| now.since(*at) < FRESH)?;
        let since = u32::try_from(now.since(at).as_micros() * 65_536 / 1_000_000).ok()?;
        Some(Delay { ssrc, last_rr, since })
    }

    /// To a publisher: how its layers arrive, and what is wanted of it.
    fn write_publisher(
        &mut self,
        out: &mut Writer<'_>,
        now: Instant,
        tracks: &mut Tracks,
        counters: &mut Counters,
    ) {
        let us = self.params.rtcp_ssrc;
        let mut blocks = [ReportBlock::default(); MAX_BLOCKS];
        let mut count = 0;
        if self.due.report {
            for id in self.params.tracks.iter().map(|t| t.id) {
                let layers = tracks.find_mut(id).into_iter().flat_map(|t| &mut t.layers);
                for block in layers.filter_map(|l| l.reception.as_mut()?.report(now)) {
                    if let Some(place) = blocks.get_mut(count) {
                        *place = block;
                        count += 1;
                    }
                }
            }
        }
        // Compounds begin with a report (RFC 3550 section 6.1) even where it says nothing.
        out.receiver_report(us, blocks.get(..count).unwrap_or_default());
        if self.due.report {
            out.cname(us, CNAME);
            self.write_limit(out, tracks);
            self.due.report = false;
        }
        if self.due.keyframes {
            for (track, at) in self.keyframes.drain(..) {
                let Some(track) = tracks.at(track) else { continue };
                let layer = track.layers.get(usize::from(at));
                if let Some(reception) = layer.and_then(|l| l.reception.as_ref())
                    && out.pli(us, reception.ssrc)
                {
                    counters.keyframe_requests += 1;
                    self.notes.add(now, What::KeyframeAsked { track: track.id, layer: LayerId(at) });
                }
            }
            self.due.keyframes = false;
        }
        if self.due.ask {
            self.write_nacks(out, now, tracks, counters);
            self.due.ask = false;
        }
        if self.due.feedback {
            let media = self.any_media_ssrc();
            self.due.feedback = false;
            if !self.arrivals.write(out, us, media) {
                // It has a datagram of its own, or is too long for any.
                self.due.feedback = count > 0 || out.len() > 8;
                if !self.due.feedback {
                    self.arrivals.clear();
                }
            }
        }
    }

    fn write_limit(&self, out: &mut Writer<'_>, tracks: &Tracks) {
        let limits = self.params.tracks.iter().filter_map(|t| tracks.find(t.id));
        let (mut sum, mut ssrcs, mut count) = (0u64, [Ssrc(0); 16], 0);
        for track in limits.filter(|t| t.kind == Kind::Video) {
            if track.limit.most.max_bitrate == Bitrate::MAX || track.limit.most.max_bitrate == Bitrate::ZERO {
                return;
            }
            sum = sum.saturating_add(track.limit.most.max_bitrate.as_bps());
            for reception in track.layers.iter().filter_map(|l| l.reception.as_ref()) {
                if let Some(place) = ssrcs.get_mut(count) {
                    *place = reception.ssrc;
                    count += 1;
                }
            }
        }
        if count > 0 {
            out.remb(self.params.rtcp_ssrc, Bitrate::from_bps(sum), ssrcs.get(..count).unwrap_or_default());
        }
    }

    fn write_nacks(
        &mut self,
        out: &mut Writer<'_>,
        now: Instant,
        tracks: &mut Tracks,
        counters: &mut Counters,
    ) {
        let again = self.round_trip.again();
        let us = self.params.rtcp_ssrc;
        let mut next = Instant::NEVER;
        for id in self.params.tracks.iter().map(|t| t.id) {
            let layers = tracks.find_mut(id).into_iter().flat_map(|t| &mut t.layers);
            for reception in layers.filter_map(|l| l.reception.as_mut()) {
                if reception.asks_now(now) {
                    let ssrc = reception.ssrc;
                    out.nack(us, ssrc, reception.ask(now, again));
                    counters.nacks_out += 1;
                }
                next = next.min(reception.next_ask());
            }
        }
        self.ask_at = next;
    }

    /// Takes in a compound of the peer. True if something is to be sent at once.
    pub(crate) fn read_control(
        &mut self,
        compound: &[u8],
        now: Instant,
        tracks: &mut Tracks,
        counters: &mut Counters,
    ) -> bool {
        let Ok(packets) = rtcp::packets(compound) else {
            counters.drops.malformed += 1;
            return false;
        };
        for packet in packets {
            match packet {
                Packet::SenderReport(report) => {
                    self.read_sender_report(report.ssrc, &report.info, now, tracks);
                    report.blocks().for_each(|block| self.read_block(&block, now));
                }
                Packet::ReceiverReport(report) => {
                    report.blocks().for_each(|block| self.read_block(&block, now))
                }
                Packet::Nack(nack) => {
                    let Some(at) = self.slots.iter().position(|s| s.ssrc() == nack.media) else { continue };
                    self.repair.reckon(self.outlet.bytes, self.stats.bitrate_out);
                    for seq in nack.seqs() {
                        counters.nacked += 1;
                        let Some(number) = self.slots.get(at).map(|s| s.number(seq)) else { continue };
                        if !self.repair.ask((at as u16, number.0), self.stats.rtt, now) {
                            counters.drops.not_resent += 1;
                        }
                    }
                }
                Packet::Pli(pli) => self.read_keyframe_wish(pli.media, now, tracks, counters),
                Packet::Fir(fir) => {
                    let asked = fir.entries().map(|(ssrc, _)| ssrc);
                    asked.for_each(|ssrc| self.read_keyframe_wish(ssrc, now, tracks, counters));
                }
                Packet::Twcc(twcc) => {
                    counters.feedback_in += 1;
                    if let Some(estimator) = self.outlet.estimator.as_deref_mut() {
                        estimator.on_feedback(now, &twcc);
                        self.outlet.pacer.set(estimator.estimate(), estimator.drains(now));
                    }
                }
                Packet::Remb(remb) => self.reported.on_remb(now, remb.bitrate),
                Packet::Extended(extended) => {
                    if let Some(time) = extended.receiver_time() {
                        self.viewer_time = Some((extended.sender, middle(time), now));
                    }
                }
                Packet::Sdes(_) | Packet::Bye(_) | Packet::Unknown { .. } => {}
            }
        }
        !self.repair.is_empty() || self.probes()
    }

    fn read_keyframe_wish(
        &mut self,
        media: Ssrc,
        now: Instant,
        tracks: &mut Tracks,
        counters: &mut Counters,
    ) {
        let Some(slot) = self.slots.iter().find(|s| s.ssrc() == media) else { return };
        counters.keyframe_wishes += 1;
        self.notes.add(now, What::KeyframeWished(slot.params.slot));
        // Who asked before the keyframe that we just sent was there has what it wants; if it was lost, the wish comes again.
        let on_its_way = self.stats.rtt.map_or(UNMEASURED, |rtt| (rtt * 5 / 4).clamp(MIN_STALE, MAX_STALE));
        if now.since(slot.keyframe_at) < on_its_way {
            return;
        }
        // While it waits for its target a keyframe of the old layer would be wasted.
        if let Some(track) = slot.track {
            tracks.want_keyframe(track.index, slot.target.layer);
        }
    }

    fn read_block(&mut self, block: &ReportBlock, now: Instant) {
        let Some(slot) = self.slots.iter_mut().find(|s| s.ssrc() == block.ssrc) else { return };
        slot.acknowledged();
        self.stats.fraction_lost_out = block.fraction_lost;
        self.reported.on_loss(now, block.fraction_lost, self.stats.bitrate_out);
        if block.last_sr != 0 {
            // RFC 3550 section 6.4.1, in 65536ths of a second.
            let units =
                middle(ntp(now + self.epoch)).wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_sr);
            if units < 1 << 20 {
                self.stats.rtt = Some(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536));
            }
        }
    }

    fn read_sender_report(&mut self, ssrc: Ssrc, info: &SenderInfo, now: Instant, tracks: &mut Tracks) {
        let Some(stream) = self.streams.find(ssrc).filter(|s| !s.repair) else { return };
        let Some(id) = self.params.tracks.get(usize::from(stream.track)).map(|t| t.id) else { return };
        let there = micros(info.ntp);
        let offset = (now.as_micros() as i64).saturating_sub(there);
        // The first tells; later ones correct slowly, as the way varies. A jump is a clock that was set.
        let offset = match self.clock_offset {
            Some(old) if old.abs_diff(offset) < 5_000_000 => old + (offset - old) / 16,
            _ => offset,
        };
        self.clock_offset = Some(offset);
        let Some(track) = tracks.find_mut(id) else { return };
        track.clock_offset = Some(offset);
        if let Some(layer) = track.layers.get_mut(usize::from(stream.layer)) {
            layer.clock = Some(Clock { ntp: there, ts: info.ts.0 });
            if let Some(reception) = layer.reception.as_mut() {
                reception.sender_report = Some((middle(info.ntp), now));
            }
        }
        tracks.tell(id.index);
    }
}

/// A time as it travels.
fn ntp(now: Instant) -> u64 {
    ((u128::from(now.as_micros()) << 32) / 1_000_000) as u64
}

/// NTP's 32.32 fixed point in microseconds.
fn micros(ntp: u64) -> i64 {
    ((u128::from(ntp) * 1_000_000) >> 32) as i64
}

/// The middle 32 bits, as reports quote them.
const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}
