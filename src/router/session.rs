//! One peer of this shard: its path, its keys, what it publishes and what it watches.

use std::sync::Arc;

use super::allocate::{Allocation, Ask};
use super::allowance::Allowance;
use super::bandwidth::reported::Reported;
use super::command::{Kind, SessionParams, SlotParams, View};
use super::counters::Counters;
use super::egress::numbers::Numbers;
use super::egress::outlet::{Outlet, Sent, Turn};
use super::egress::pacer::next_on_grid;
use super::egress::repair::Repair;
use super::egress::slot::{Pulled, Slot};
use super::event::SessionStats;
use super::id::{SlotId, TrackId};
use super::ingest::arrivals::Arrivals;
use super::ingest::round_trip::RoundTrip;
use super::ingest::streams::Streams;
use super::queue::{Marks, Queue};
use super::recorder::{Notes, Recording, What};
use super::timers::Timers;
use super::track::{Sub, Tracks};
use crate::batch::{Path, TxBatch};
use crate::units::{Bitrate, Duration, Instant, PictureSize};
use crate::wire::id::Ssrc;
use crate::wire::srtp::{Keys, Material, Opener, Sealer, Windows};

/// Without a valid check for so long the peer's consent is over (RFC 7675 section 5.1).
pub(crate) const CONSENT: Duration = Duration::from_secs(30);
/// Between reports: often enough for lip synchronisation soon after a switch.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Deadlines are rounded up to multiples of this, so that a thousand sessions wake the shard together.
const GRID_US: u64 = 10_000;
/// Slots of one session.
pub(crate) const MAX_SLOTS: usize = 256;

/// What is to be sent besides media.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// Sender or receiver reports.
    pub(crate) report: bool,
    /// Transport-wide feedback.
    pub(crate) feedback: bool,
    /// NACKs.
    pub(crate) ask: bool,
    /// Keyframe requests.
    pub(crate) keyframes: bool,
}

/// News for the control plane that were not yet told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    pub(crate) claimed: bool,
    pub(crate) lost: bool,
    pub(crate) found: bool,
    pub(crate) stats: bool,
    pub(crate) listed: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) params: Arc<SessionParams>,
    pub(crate) outlet: Outlet,
    /// What happened to it of late.
    pub(crate) notes: Notes,
    pub(crate) opener: Option<Opener>,
    /// What its keys are made of, for a successor.
    pub(crate) material: Option<Material>,
    /// Media that came before the keys.
    early: Vec<Vec<u8>>,
    /// When the last valid check came, and whether that is too long ago.
    pub(crate) heard: Instant,
    pub(crate) lost: bool,
    // What it watches.
    pub(crate) slots: Vec<Slot>,
    /// What it hears while that is among the loudest.
    pub(crate) crowd: Vec<TrackId>,
    pub(crate) repair: Repair,
    /// How many more reports are taken from it.
    pub(crate) allowance: Allowance,
    /// What a peer without transport-wide feedback tells of its way.
    pub(crate) reported: Reported,
    /// Our clock plus this is NTP's.
    pub(crate) epoch: Duration,
    /// What time it was at a viewer, when it last said so: the middle of an NTP time, and when that came.
    pub(crate) viewer_time: Option<(Ssrc, u32, Instant)>,
    /// At most this much, whatever its way carries.
    pub(crate) limit: Bitrate,
    /// At most so many audio slots are filled.
    pub(crate) voices: u8,
    pub(crate) allocation: Allocation,
    /// In the list of those whose slots are to be looked at.
    pub(crate) aiming: bool,
    // What it publishes.
    pub(crate) streams: Streams,
    pub(crate) arrivals: Arrivals,
    /// Our clock minus the publisher's, in microseconds.
    pub(crate) clock_offset: Option<i64>,
    /// From asking for a packet until it comes.
    pub(crate) round_trip: RoundTrip,
    /// Layers of which keyframes are to be asked for: place of the track, layer.
    pub(crate) keyframes: Vec<(u32, u8)>,
    // What comes when.
    pub(crate) armed: Instant,
    report_at: Instant,
    feedback_at: Instant,
    pub(crate) ask_at: Instant,
    /// When what was held back is let through, and the marks of its slots.
    pace_at: Instant,
    held: u64,
    pub(crate) due: Due,
    /// Slots up to which the report in progress got.
    pub(crate) reported_slots: usize,
    pub(crate) news: News,
    pub(crate) stats: SessionStats,
    /// Packets and bytes in and out at the last statistics.
    counted: (u64, u64),
    counted_at: Instant,
    random: u64,
}

/// Datagrams kept of what comes before the keys: some frames of three layers, and no more than 48 KB.
const MOST_EARLY: usize = 32;

/// What a slot shows before it is told.
const UNSEEN: View = View {
    tile: PictureSize::new(0, 0),
    active: false,
    cap: PictureSize::new(u16::MAX, u16::MAX),
    priority: 0,
};

impl Session {
    pub(crate) fn new(params: Arc<SessionParams>, more_slots: Vec<SlotParams>, now: Instant) -> Self {
        let streams = Streams::new(&params.tracks);
        let slots = params.slots.clone();
        let mut session = Self {
            outlet: Outlet::new(params.extensions),
            notes: Notes::default(),
            opener: None,
            material: None,
            early: Vec::new(),
            heard: now,
            lost: false,
            slots: Vec::new(),
            crowd: Vec::new(),
            repair: Repair::default(),
            allowance: Allowance::default(),
            reported: Reported::default(),
            epoch: Duration::ZERO,
            viewer_time: None,
            limit: Bitrate::MAX,
            voices: u8::MAX,
            allocation: Allocation::new(now),
            aiming: false,
            streams,
            arrivals: Arrivals::default(),
            clock_offset: None,
            round_trip: RoundTrip::default(),
            keyframes: Vec::new(),
            armed: Instant::NEVER,
            report_at: grid(now + REPORT_EVERY / 2),
            feedback_at: Instant::NEVER,
            ask_at: Instant::NEVER,
            pace_at: Instant::NEVER,
            held: 0,
            due: Due::default(),
            reported_slots: 0,
            news: News { claimed: true, ..News::default() },
            stats: SessionStats::default(),
            counted: (0, 0),
            counted_at: now,
            random: params.seed,
            params,
        };
        session.add_slots(slots);
        session.add_slots(more_slots);
        session
    }

    pub(crate) fn add_slots(&mut self, slots: Vec<SlotParams>) {
        self.slots.reserve_exact(slots.len().min(MAX_SLOTS));
        for params in slots {
            if self.slots.len() >= MAX_SLOTS || self.slots.iter().any(|s| s.params.slot == params.slot) {
                continue;
            }
            let random = self.next_random();
            let described = self.params.extensions.dependency_descriptor != 0;
            self.slots.push(Slot::new(params, UNSEEN, described, random));
        }
    }

    /// SplitMix64.
    const fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Place of a slot by its name: they are almost always the same.
    pub(crate) fn slot_place(&self, slot: u16) -> Option<usize> {
        let guess = usize::from(slot);
        if self.slots.get(guess).is_some_and(|s| s.params.slot.0 == slot) {
            return Some(guess);
        }
        self.slots.iter().position(|s| s.params.slot.0 == slot)
    }

    /// Media may flow; true if it could not before. Keys that come again while the old ones serve are not taken:
    /// indices would begin anew.
    pub(crate) fn install(&mut self, keys: &Keys) -> bool {
        let first = !self.is_secured();
        if first {
            self.outlet.sealer = Some(Sealer::new(keys));
            self.opener = Some(Opener::new(keys));
            self.material = Some(keys.material.clone());
        }
        first
    }

    /// Media flow again with keys that another process used so far.
    pub(crate) fn resume(&mut self, keys: &Keys, next_rtcp: u32, windows: Windows) {
        self.outlet.sealer = Some(Sealer::resume(keys, next_rtcp));
        self.opener = Some(Opener::resume(keys, windows));
        self.material = Some(keys.material.clone());
    }

    /// The numbers of a slot go on.
    pub(crate) fn resume_slot(&mut self, slot: SlotId, numbers: Numbers) {
        let place = self.slot_place(slot.0);
        if let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) {
            slot.resume(numbers);
        }
    }

    /// What passed before is counted with what will.
    pub(crate) const fn count_from(&mut self, stats: SessionStats) {
        (self.outlet.packets, self.outlet.bytes) = (stats.packets_out, stats.bytes_out);
        self.counted = (stats.bytes_in, stats.bytes_out);
        self.stats = stats;
    }

    /// Keeps media that came before the keys; false if there is no use for it. In DTLS 1.3 the client is done first
    /// (RFC 9147 section 5), and what a publisher begins with is a keyframe.
    pub(crate) fn keep_early(&mut self, datagram: &[u8]) -> bool {
        let keeps = !self.params.tracks.is_empty() && self.early.len() < MOST_EARLY;
        if keeps {
            self.early.push(datagram.to_vec());
        }
        keeps
    }

    /// What its flight recorder has.
    pub(crate) fn recall(&self) -> Recording {
        let mut recording = Recording { notes: self.notes.to_vec(), ..Recording::default() };
        if let Some(headers) = &self.outlet.headers {
            headers.write(&mut recording);
        }
        recording
    }

    /// What was kept, once.
    pub(crate) fn take_early(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.early)
    }

    /// Whether media may flow.
    pub(crate) const fn is_secured(&self) -> bool {
        self.outlet.sealer.is_some()
    }

    /// A valid check came; `nominated` if it selects its path. True if the peer was lost before.
    pub(crate) fn check(&mut self, path: Path, nominated: bool, now: Instant) -> bool {
        self.heard = now;
        let found = self.lost;
        self.lost = false;
        if nominated || found || self.outlet.path.is_none() {
            if self.outlet.path != Some(path) {
                self.notes.add(now, What::Path(Box::new(path)));
                self.outlet.pacer.carried_by(path.is_stream());
            }
            self.outlet.path = Some(path);
        }
        if found {
            self.notes.add(now, What::Found);
        }
        self.news.found |= found;
        found
    }

    /// When this session wants to be woken.
    pub(crate) fn deadline(&self) -> Instant {
        let consent = if self.lost { Instant::NEVER } else { self.heard + CONSENT };
        let report = if self.is_secured() && !self.lost { self.report_at } else { Instant::NEVER };
        consent.min(report).min(self.feedback_at).min(self.ask_at).min(self.pace_at)
    }

    /// Sees to it that the session is woken in time.
    pub(crate) fn arm(&mut self, place: u32, timers: &mut Timers) {
        let at = self.deadline();
        timers.arm(place, &mut self.armed, at);
    }

    /// Notes a packet for transport-wide feedback.
    pub(crate) fn arrived(&mut self, seq: crate::wire::id::Seq16, now: Instant) {
        if self.arrivals.is_empty() {
            self.feedback_at = now + super::ingest::arrivals::EVERY;
        }
        self.arrivals.note(seq, now);
    }

    /// Does what time asks for. True if something is to be sent.
    pub(crate) fn tick(&mut self, now: Instant, tracks: &Tracks) -> bool {
        if !self.lost && now.since(self.heard) >= CONSENT {
            self.lost = true;
            self.news.lost = true;
            self.notes.add(now, What::Lost);
            self.outlet.path = None;
        }
        if self.feedback_at <= now {
            self.feedback_at = Instant::NEVER;
            self.due.feedback = true;
        }
        if self.ask_at <= now {
            self.due.ask = true;
            self.ask_at = Instant::NEVER;
        }
        if self.report_at <= now {
            self.report_at = grid(now + REPORT_EVERY);
            self.due.report = true;
            self.reported_slots = 0;
            self.snapshot(now, tracks);
            self.look_after_way(now);
            self.outlet.drop_headers(now);
        }
        let paced = self.pace_at <= now;
        if paced {
            self.pace_at = Instant::NEVER;
        }
        let due = self.due;
        paced || self.probes() || due.report || due.feedback || due.ask || due.keyframes
    }

    fn snapshot(&mut self, now: Instant, tracks: &Tracks) {
        let passed = now.since(self.counted_at);
        let (bytes_in, bytes_out) = (self.stats.bytes_in, self.outlet.bytes);
        self.stats.bitrate_in = Bitrate::of(bytes_in - self.counted.0, passed);
        self.stats.bitrate_out = Bitrate::of(bytes_out - self.counted.1, passed);
        self.stats.packets_out = self.outlet.packets;
        self.stats.estimate = self.estimate(now);
        self.stats.unheard = self.crowd.len() as u16;
        self.stats.bytes_out = bytes_out;
        let layers = self.params.tracks.iter().filter_map(|t| tracks.find(t.id)).flat_map(|t| &t.layers);
        self.stats.lost_in = layers.filter_map(|l| l.reception.as_ref()).map(|r| r.lost()).sum();
        self.news.stats |= self.counted != (bytes_in, bytes_out);
        self.counted = (bytes_in, bytes_out);
        self.counted_at = now;
    }

    /// What its slots may send together; `None` while nothing is known of its way.
    pub(crate) fn budget(&self, now: Instant) -> Option<Bitrate> {
        let limit = Some(self.limit).filter(|limit| *limit != Bitrate::MAX);
        match (self.estimate(now), limit) {
            (Some(estimate), Some(limit)) => Some(estimate.min(limit)),
            (one, other) => one.or(other),
        }
    }

    /// Whether it may be sent less than its way carries, as far as that is known.
    pub(crate) fn is_bounded(&self) -> bool {
        self.stats.estimate.is_none_or(|estimate| self.limit < estimate) && self.limit != Bitrate::MAX
    }

    /// What its way is taken to carry; `None` while nothing is known of it.
    pub(crate) fn estimate(&self, now: Instant) -> Option<Bitrate> {
        let measured = self.outlet.estimator.as_ref().and_then(|e| e.estimate());
        measured.or_else(|| self.reported.estimate(now))
    }

    /// Fits what the slots ask for to the budget.
    pub(crate) fn share(&mut self, now: Instant, sound: Bitrate, asks: &mut [Ask]) {
        let budget = self.budget(now);
        // What a limit says is no guess.
        let clear =
            self.limit == Bitrate::MAX && self.outlet.estimator.as_ref().is_some_and(|e| e.is_clear(now));
        self.allocation.way_is(clear);
        let all = self.allocation.give_out(now, budget, sound, asks);
        self.outlet.want(all.min(self.limit));
    }

    /// Whether a burst is being sent to find out what the way carries.
    pub(crate) fn probes(&self) -> bool {
        self.outlet.estimator.as_ref().is_some_and(|e| e.probes())
    }

    /// What is to be done about its way once a second.
    fn look_after_way(&mut self, now: Instant) {
        if let Some(estimator) = self.outlet.estimator.as_deref_mut() {
            estimator.on_tick(now);
        }
        let estimate = self.estimate(now);
        if let Some(rate) = estimate {
            self.notes.way_carries(now, rate);
        }
        let drains = self.outlet.estimator.as_ref().is_some_and(|e| e.drains(now));
        self.outlet.pacer.set(estimate, drains);
    }

    /// The marks of slots whose packets were held back and may now be sent.
    pub(crate) fn let_through(&mut self) -> u64 {
        if self.paces() { 0 } else { std::mem::take(&mut self.held) }
    }

    /// The TCP connection that carries it takes what it is given again, or does not; the marks of slots that this lets
    /// through.
    pub(crate) fn clog(&mut self, clogged: bool) -> u64 {
        self.outlet.pacer.clog(clogged);
        if clogged {
            return 0;
        }
        self.pace_at = Instant::NEVER;
        self.let_through()
    }

    /// Whether something waits for the pacer.
    pub(crate) fn paces(&self) -> bool {
        self.pace_at != Instant::NEVER
    }

    /// Sends everything that is marked. False: the batch is full, send it and call again.
    pub(crate) fn transmit(
        &mut self,
        (place, marks): (u32, Marks),
        turn: &Turn,
        batch: &mut TxBatch,
        tracks: &mut Tracks,
        counters: &mut Counters,
        changed: &mut Vec<Sub>,
    ) -> bool {
        self.outlet.pacer.fill(turn.now);
        if marks.control()
            && !(self.write_control(turn, batch, tracks, counters)
                && self.write_again(turn, batch, tracks, counters))
        {
            return false;
        }
        // Nothing can leave before the handshake is done, so nothing is begun: what is in the logs serves afterwards.
        if !self.is_secured() {
            return true;
        }
        let count = self.slots.len();
        // Sound last: what is shorter than the pictures before it leaves with them.
        let (pictures, sound) = (marks.slots(count), marks.slots(count));
        let all = pictures.map(|at| (at, Kind::Video)).chain(sound.map(|at| (at, Kind::Audio)));
        for (at, kind) in all {
            let Some(slot) = self.slots.get_mut(usize::from(at)) else { continue };
            if slot.params.kind != kind {
                continue;
            }
            let before = (slot.layer(), slot.spatial());
            let me = Sub { session: place, slot: at };
            let pulled = slot.pull(me, turn, &mut self.outlet, batch, tracks, counters);
            if (slot.layer(), slot.spatial()) != before {
                changed.push(me);
            }
            match pulled {
                Pulled::Full => return false,
                Pulled::Held => {
                    self.held |= Queue::mark_of(at);
                    self.pace_at = self.pace_at.min(self.outlet.pacer.hold(turn.now));
                }
                Pulled::All => {}
            }
            if (slot.waits() || slot.climbs(tracks))
                && let Some(track) = slot.track
            {
                tracks.want_keyframe(track.index, slot.target.layer);
            }
        }
        !self.probes() || self.write_probe(turn, batch, tracks, counters)
    }

    /// Fills a probing cluster up with what says nothing new.
    fn write_probe(
        &mut self,
        turn: &Turn,
        batch: &mut TxBatch,
        tracks: &Tracks,
        counters: &mut Counters,
    ) -> bool {
        // What fills a queue shows nothing of the way.
        if !self.outlet.pacer.has_room() {
            return true;
        }
        let Some(estimator) = self.outlet.estimator.as_deref_mut() else { return true };
        let mut due = estimator.poll_probe(turn.now);
        let mut back = 0;
        while due > 0 {
            let pad = |slot: &mut Slot| slot.pad(back, turn, &mut self.outlet, batch, tracks);
            match self.slots.iter_mut().find_map(pad) {
                Some(Sent::Full) => return false,
                Some(Sent::Yes(len)) => {
                    due = due.saturating_sub(len);
                    counters.packets_out += 1;
                    counters.bytes_out += len as u64;
                }
                Some(Sent::Never) | None => break,
            }
            back += 1;
        }
        if self.probes() {
            self.pace_at = self.pace_at.min(next_on_grid(turn.now));
        }
        true
    }

    /// Answers NACKs.
    fn write_again(
        &mut self,
        turn: &Turn,
        batch: &mut TxBatch,
        tracks: &Tracks,
        counters: &mut Counters,
    ) -> bool {
        while let Some((at, out)) = self.repair.next() {
            if !self.outlet.pacer.lets_repairs() {
                self.pace_at = self.pace_at.min(self.outlet.pacer.hold(turn.now));
                return true;
            }
            let slot = self.slots.get_mut(usize::from(at));
            let mut bytes = 0;
            match slot.and_then(|s| s.resend(out, turn, &mut self.outlet, batch, tracks)) {
                Some(Sent::Full) => return false,
                Some(Sent::Yes(len)) => {
                    bytes = len;
                    self.stats.retransmitted += 1;
                    counters.retransmitted += 1;
                    counters.packets_out += 1;
                    counters.bytes_out += len as u64;
                }
                Some(Sent::Never) | None => counters.drops.not_resent += 1,
            }
            self.repair.done(bytes);
        }
        true
    }

    /// The source that feedback names where it means the whole connection.
    pub(crate) fn any_media_ssrc(&self) -> Ssrc {
        self.streams.iter().next().map(|s| s.ssrc).unwrap_or_default()
    }
}

fn grid(at: Instant) -> Instant {
    Instant::from_micros(at.as_micros().next_multiple_of(GRID_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_costs_a_few_kilobytes() {
        // With two slots; what is negotiated adds some hundred bytes to each.
        let bytes = size_of::<Session>() + 2 * size_of::<Slot>();
        assert!(bytes < 8 * 1024, "{bytes}");
    }
}
