//! The sans-I/O core of one shard.
//!
//! A turn of the shard's loop: [`Router::handle_datagram`] for all that arrived, [`Router::handle_command`] and
//! [`Router::handle_peer`] for all that was sent, [`Router::handle_timeout`] if [`Router::poll_timeout`] is due; then
//! [`Router::poll_transmit`] until it answers false, and [`Router::poll_peer`] and [`Router::poll_event`] until `None`.
//! Everything is deterministic: time is what the caller says, randomness comes from seeds.
//!
//! A packet's way: `ice` knows its session by its address, `media` opens it and appends it to the log of its layer,
//! once. Fan-out happens in `poll_transmit`: sessions outside, packets inside, so that all packets of one viewer lie
//! together in the batch.

mod aim;
mod allocate;
mod allowance;
pub mod bandwidth;
pub mod command;
mod control;
pub mod counters;
mod crowd;
mod demand;
mod egress;
pub mod event;
mod history;
mod ice;
pub mod id;
mod ingest;
mod keyframes;
mod lobby;
mod media;
mod mirror;
mod news;
mod paths;
pub mod peer;
mod queue;
pub mod recorder;
mod reports;
mod session;
mod snapshot;
pub mod speakers;
mod target;
mod timers;
mod track;

use std::collections::VecDeque;

use counters::{Counters, GAUGED_LAYERS, Gauges};
use egress::outlet::Turn;
use event::Event;
use ice::Outbox;
use id::{SessionId, ShardId};
use lobby::Lobby;
use paths::Paths;
use peer::PeerMessage;
use queue::Queue;
use session::Session;
pub use snapshot::Snapshot;
use speakers::Speakers;
use timers::Timers;
use track::{Sub, Tracks};

use crate::batch::{Path, TxBatch};
use crate::units::{Bitrate, Duration, Instant};

/// From 1900 to 1970 (RFC 868).
const NTP_BEFORE_UNIX: Duration = Duration::from_secs(2_208_988_800);
/// How often tracks are looked after: which fell silent, whose keyframes are overdue, who is talking.
const TICK: Duration = Duration::from_millis(100);
/// DTLS datagrams and wishes that wait for the control plane; clients repeat theirs, and so do we.
const MAX_EVENTS: usize = 1024;
/// Messages that wait for other shards.
const MAX_PEER_MESSAGES: usize = 4096;

/// What a router must know at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// Which shard it is.
    pub shard: ShardId,
    /// How many there are.
    pub shards: u8,
    /// Seed of whatever must not be guessed from outside.
    pub seed: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    /// What our clock showed of NTP's era when it began.
    epoch: Duration,
    lobby: Lobby,
    paths: Paths,
    sessions: Vec<Option<Box<Session>>>,
    tracks: Tracks,
    queue: Queue,
    timers: Timers,
    tick_at: Instant,
    speakers: Speakers,
    outbox: Outbox,
    mirrors: mirror::Mirrors,
    to_peers: VecDeque<(ShardId, PeerMessage)>,
    /// TCP connections that belong to other shards.
    strays: Vec<(Path, ShardId)>,
    events: VecDeque<Event>,
    /// Sessions with news, and slots whose layer changed.
    news: Vec<u32>,
    slot_news: Vec<Sub>,
    /// Sessions whose slots are to be looked at again.
    aiming: Vec<u32>,
    /// Scratch for slots to look at again, and for what they ask.
    subs: Vec<Sub>,
    asks: Vec<allocate::Ask>,
    counters: Counters,
    /// Whose work is being done, for [`Router::suspect`].
    at_work: Option<u32>,
    /// When the turn in progress began, for what is noted while news are made.
    turn_at: Instant,
}

impl Router {
    /// A router without sessions.
    pub fn new(config: RouterConfig) -> Self {
        Self {
            config,
            epoch: Duration::ZERO,
            lobby: Lobby::default(),
            paths: Paths::new(config.seed),
            sessions: Vec::new(),
            tracks: Tracks::default(),
            queue: Queue::default(),
            timers: Timers::default(),
            tick_at: Instant::NEVER,
            speakers: Speakers::default(),
            outbox: Outbox::default(),
            mirrors: mirror::Mirrors::default(),
            to_peers: VecDeque::new(),
            strays: Vec::new(),
            events: VecDeque::new(),
            news: Vec::new(),
            slot_news: Vec::new(),
            aiming: Vec::new(),
            subs: Vec::new(),
            asks: Vec::new(),
            counters: Counters::default(),
            at_work: None,
            turn_at: Instant::ZERO,
        }
    }

    /// Tells the time of day, as a time since 1970, for what leaves the host: sessions that begin from now on report by it.
    /// A clock that is set later changes nothing for them, so that sound and picture stay in step.
    pub fn set_time(&mut self, now: Instant, unix: Duration) {
        self.epoch = (unix + NTP_BEFORE_UNIX).saturating_sub(now.since(Instant::ZERO));
    }

    /// The session whose work was last begun: the one to end if that work panicked.
    pub fn suspect(&self) -> Option<SessionId> {
        self.at_work.and_then(|place| self.lobby.at(place)).map(|guest| guest.params.id)
    }

    /// Counters since the beginning.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What there is now: a walk over all sessions, for once a second.
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges { tracks: self.tracks.published(), ..Gauges::default() };
        for session in self.sessions.iter().flatten() {
            gauges.sessions += 1;
            for slot in session.slots.iter().filter(|slot| slot.track.is_some()) {
                gauges.subscriptions += 1;
                if let Some((Some((layer, _)), _)) = slot.reported {
                    let at = usize::from(layer.0).min(GAUGED_LAYERS - 1);
                    gauges.layers.iter_mut().skip(at).take(1).for_each(|count| *count += 1);
                }
            }
        }
        gauges
    }

    /// What the way to a session's peer is taken to carry; `None` while nothing is known of it.
    pub fn estimate(&self, session: SessionId, now: Instant) -> Option<Bitrate> {
        let session =
            self.sessions.get(session.index as usize)?.as_ref().filter(|s| s.params.id == session)?;
        session.budget(now)
    }

    /// When [`Router::handle_timeout`] wants to be called; [`Instant::NEVER`] if nothing waits for time to pass.
    pub fn poll_timeout(&self) -> Instant {
        self.timers.next().min(self.tick_at)
    }

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, place)) = self.timers.pop(now) {
            let Some(session) = session_at(&mut self.sessions, place) else { continue };
            if session.armed != at {
                continue;
            }
            session.armed = Instant::NEVER;
            self.at_work = Some(place);
            if session.tick(now, &self.tracks) {
                self.queue.mark_control(place);
            }
            self.queue.mark_slots(place, session.let_through());
            session.arm(place, &mut self.timers);
            if session.allocation.is_old(now) && !session.slots.is_empty() {
                self.aim(place);
            }
            self.note(place);
        }
        self.at_work = None;
        if self.tick_at <= now {
            self.tick_at = if self.tracks.is_empty() { Instant::NEVER } else { now + TICK };
            self.tick_tracks(now);
        }
    }

    fn tick_tracks(&mut self, now: Instant) {
        let mut fell_silent = Vec::new();
        let mut asking = Vec::new();
        let mut measured = Vec::new();
        let mut demanded = Vec::new();
        for track in self.tracks.iter_mut() {
            track.layers.iter_mut().for_each(|layer| layer.log.rest(now));
            if track.publisher.is_some() {
                if track.listen(now) {
                    fell_silent.push(track.id);
                }
                if track.measure(now) {
                    measured.push(track.id);
                }
                if track.police(now) != 0 {
                    fell_silent.push(track.id);
                }
                self.counters.too_fast += track.too_fast() as u64;
                if track.tend(now) {
                    demanded.push(track.id);
                }
                let active = track.active();
                if active != track.told_active && self.events.len() < MAX_EVENTS {
                    track.told_active = active;
                    let layers = (0..track.layers.len()).map(|at| active >> at & 1 == 1).collect();
                    self.events.push_back(Event::LayersWanted { track: track.id, layers });
                }
            }
            if track.wants_keyframes() {
                asking.push(track.id.index);
            }
        }
        asking.into_iter().for_each(|index| self.tracks.ask(index));
        for id in measured.into_iter().chain(demanded) {
            self.tracks.tell(id.index);
            self.reselect(id);
        }
        for id in fell_silent {
            self.tracks.changed(id.index);
            self.reselect(id);
        }
        self.listen(now);
        self.remind_homes(now);
    }

    /// Writes what is to be sent. True: the batch is full, send it and call again. To be called after every
    /// `handle_` method, until it answers false.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut TxBatch) -> bool {
        self.turn_at = now;
        self.aim_all(now);
        self.at_work = None;
        if !self.outbox.flush(batch) {
            return true;
        }
        let turn = Turn::at(now);
        self.tracks.spread(|sub| self.queue.mark_slot(sub));
        loop {
            self.ask_keyframes(now);
            self.at_work = None;
            let Some((place, marks)) = self.queue.front() else { return false };
            self.at_work = Some(place);
            if let Some(session) = session_at(&mut self.sessions, place) {
                let done = session.transmit(
                    (place, marks),
                    &turn,
                    batch,
                    &mut self.tracks,
                    &mut self.counters,
                    &mut self.slot_news,
                );
                if !done {
                    return true;
                }
                // Only what was asked for again or held back sets another deadline.
                if marks.control() || session.paces() {
                    session.arm(place, &mut self.timers);
                }
            }
            self.queue.pop();
        }
    }

    /// The next message for another shard. To be called after [`Router::poll_transmit`], until `None`.
    pub fn poll_peer(&mut self) -> Option<(ShardId, PeerMessage)> {
        if self.to_peers.is_empty() {
            self.fill_peers();
        }
        self.to_peers.pop_front()
    }

    /// The next TCP connection that carries a session of another shard, which alone can send to it. To be called after
    /// [`Router::handle_datagram`], before the messages of [`Router::poll_peer`] are handed over.
    pub fn poll_stray(&mut self) -> Option<(Path, ShardId)> {
        self.strays.pop()
    }

    /// The next piece of news. To be called after [`Router::poll_transmit`], until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.next_event()
    }

    /// Passes keyframe requests that are due to publishers of ours or to the tracks' homes.
    fn ask_keyframes(&mut self, now: Instant) {
        while let Some(track) = self.tracks.next_asking() {
            let (id, home, publisher) = (track.id, track.home, track.publisher);
            for layer in track.due_keyframes(now) {
                if let Some(place) = publisher {
                    let Some(session) = session_at(&mut self.sessions, place) else { continue };
                    session.keyframes.push((id.index, layer.0));
                    session.due.keyframes = true;
                    self.queue.mark_control(place);
                } else if let Some(home) = home
                    && self.to_peers.len() < MAX_PEER_MESSAGES
                {
                    self.to_peers.push_back((home, PeerMessage::Keyframe { track: id, layer }));
                }
            }
        }
    }

    /// Puts a session on the list of those with news, if it has any.
    fn note(&mut self, place: u32) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        let news = &mut session.news;
        if (news.claimed || news.lost || news.found || news.stats) && !news.listed {
            news.listed = true;
            self.news.push(place);
        }
    }

    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        session_at(&mut self.sessions, id.index).filter(|s| s.params.id == id)
    }
}

/// The session at a place; a function of the table alone, so that the rest of the router stays free to use.
fn session_at(sessions: &mut [Option<Box<Session>>], place: u32) -> Option<&mut Session> {
    sessions.get_mut(place as usize)?.as_deref_mut()
}
