//! ICE for a server with known addresses (RFC 8445 section 2.5, "lite"), and whose a datagram is.
//!
//! 1. A check arrives at whichever shard the kernel chose. Its user name finds the session in the lobby, its integrity
//!    proves that the sender has our password. Any shard answers it.
//! 2. A check with USE-CANDIDATE, or DTLS on a checked path, decides: the shard that sees it first claims the session.
//! 3. From then on other shards relay to the owner whatever arrives from the peer's checked paths.
//! 4. A later nomination from elsewhere moves the session's path; the owner stays.
//!
//! We never send checks, and so never see a response.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::Event;
use super::id::{SessionId, ShardId};
use super::paths::Route;
use super::session::Session;
use super::{MAX_EVENTS, Router, session_at};
use crate::batch::{Path, TxBatch};
use crate::units::Instant;
use crate::wire::demux::{self, Kind};
use crate::wire::stun::{self, Message, Role};

/// Answers to checks that wait to be sent: the peer repeats its checks.
const MAX_ANSWERS: usize = 512;
/// DTLS datagrams that wait to be sent: the handshake repeats its flights.
const MAX_DTLS: usize = 512;
/// The longest answer: header, mapped IPv6 address or error with its reason, integrity, fingerprint.
const ANSWER: usize = 128;

/// What goes out as it is.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    answers: VecDeque<(Path, usize, [u8; ANSWER])>,
    dtls: VecDeque<(Path, Vec<u8>)>,
}

impl Outbox {
    fn answer(&mut self, path: Path, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let mut buf = [0; ANSWER];
        let len = write(&mut buf).filter(|_| self.answers.len() < MAX_ANSWERS);
        if let Some(len) = len {
            self.answers.push_back((path, len, buf));
        }
        len.is_some()
    }

    pub(crate) fn dtls(&mut self, path: Path, datagram: Vec<u8>) -> bool {
        let room = self.dtls.len() < MAX_DTLS;
        if room {
            self.dtls.push_back((path, datagram));
        }
        room
    }

    /// Moves all into the batch; false if it is full.
    pub(crate) fn flush(&mut self, batch: &mut TxBatch) -> bool {
        while let Some((path, len, bytes)) = self.answers.front() {
            if !batch.has_room() {
                return false;
            }
            batch.push(*path, bytes.get(..*len).unwrap_or_default());
            self.answers.pop_front();
        }
        while let Some((path, datagram)) = self.dtls.front() {
            if !batch.has_room() {
                return false;
            }
            batch.push(*path, datagram);
            self.dtls.pop_front();
        }
        true
    }
}

impl Router {
    /// Takes in one datagram; media are decrypted in place.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.counters.datagrams_in += 1;
        self.at_work = None;
        self.take_in(now, path, datagram, false);
    }

    /// `relayed`: another shard says that we own the session. It is not sent on again, or two shards that each hold
    /// the other for the owner would never end.
    pub(super) fn take_in(&mut self, now: Instant, path: Path, datagram: &mut [u8], relayed: bool) {
        match demux::classify(datagram) {
            Some(Kind::Rtp) => match self.paths.find(&path) {
                Some(Route::Here(place)) => self.take_media(now, place, datagram),
                route => self.pass_on(route, path, datagram, relayed),
            },
            Some(Kind::Rtcp) => match self.paths.find(&path) {
                Some(Route::Here(place)) => self.take_control(now, place, datagram),
                route => self.pass_on(route, path, datagram, relayed),
            },
            Some(Kind::Stun) => self.take_check(now, path, datagram, relayed),
            Some(Kind::Dtls) => self.take_dtls(now, path, datagram, relayed),
            // QUIC shares the port, but not this way in.
            Some(Kind::Quic) | None => self.counters.drops.malformed += 1,
        }
    }

    /// Hands to its owner what is not ours; drops what is nobody's.
    fn pass_on(&mut self, route: Option<Route>, path: Path, datagram: &[u8], relayed: bool) {
        match route {
            Some(Route::Relay(owner)) if !relayed => self.relay(owner, path, datagram),
            Some(Route::Lobby(_)) => self.counters.drops.no_keys += 1,
            _ => self.counters.drops.stranger += 1,
        }
    }

    fn take_check(&mut self, now: Instant, path: Path, datagram: &[u8], relayed: bool) {
        let Some(check) = Message::parse(datagram).ok().filter(Message::is_binding_request) else {
            self.counters.drops.malformed += 1;
            return;
        };
        let Some(ufrag) = check.local_ufrag() else {
            self.counters.drops.malformed += 1;
            return;
        };
        let Some((place, key)) = self.lobby.by_ufrag(ufrag) else {
            self.counters.drops.unknown_ufrag += 1;
            return;
        };
        self.at_work = Some(place);
        if !check.verify(key) {
            self.counters.drops.wrong_password += 1;
            return;
        }
        let transaction = check.transaction_id();
        // We are always controlled (RFC 8445 section 6.1.1), so who says the same has to change (section 7.3.1.1).
        if matches!(check.role(), Some(Role::Controlled(_))) {
            self.outbox
                .answer(path, |buf| stun::write_error(buf, transaction, 487, "Role Conflict", Some(key)));
            return;
        }
        let key = key.clone();
        match self.settle(now, place, path, check.use_candidate()) {
            Some(owner) if owner != self.config.shard => {
                self.set_route(place, path, Route::Relay(owner));
                if relayed {
                    self.counters.drops.stranger += 1;
                } else {
                    self.relay(owner, path, datagram);
                }
            }
            owner => {
                self.lobby.used(place, ufrag);
                let route = if owner.is_some() { Route::Here(place) } else { Route::Lobby(place) };
                self.set_route(place, path, route);
                if self.outbox.answer(path, |buf| stun::write_success(buf, transaction, path.remote, &key)) {
                    self.counters.checks += 1;
                } else {
                    self.counters.drops.overflow += 1;
                }
            }
        }
    }

    /// Who owns the session, after a valid check or DTLS from `path`. Where it decides so, the session becomes ours.
    fn settle(&mut self, now: Instant, place: u32, path: Path, nominated: bool) -> Option<ShardId> {
        let params = Arc::clone(&self.lobby.at(place)?.params);
        let us = self.config.shard;
        let owner = match params.claim.owner() {
            Some(owner) => owner,
            None if nominated => params.claim.claim(us),
            None => return None,
        };
        if owner != us {
            return Some(owner);
        }
        if session_at(&mut self.sessions, place).is_none_or(|s| s.params.id != params.id) {
            self.adopt(now, place, params);
        }
        if let Some(session) = session_at(&mut self.sessions, place) {
            let found = session.check(path, nominated, now);
            session.arm(place, &mut self.timers);
            if found {
                self.note(place);
                self.queue.mark_control(place);
            }
        }
        Some(us)
    }

    /// A session becomes ours.
    pub(super) fn adopt(&mut self, now: Instant, place: u32, params: Arc<super::command::SessionParams>) {
        let more = self.lobby.at_mut(place).map(|g| std::mem::take(&mut g.more_slots)).unwrap_or_default();
        if self.sessions.len() <= place as usize {
            self.sessions.resize_with(place as usize + 1, || None);
        }
        self.tracks.describe(&params);
        for track in &params.tracks {
            if let Some(track) = self.tracks.find_mut(track.id) {
                track.home = Some(self.config.shard);
                track.publisher = Some(place);
            }
        }
        self.start_ticking(now);
        if let Some(seat) = self.sessions.get_mut(place as usize) {
            let mut session = Box::new(Session::new(params, more, now));
            session.epoch = self.epoch;
            *seat = Some(session);
        }
        self.note(place);
    }

    fn set_route(&mut self, place: u32, path: Path, route: Route) {
        if self.paths.find(&path) == Some(route) {
            return;
        }
        let selected = session_at(&mut self.sessions, place).and_then(|s| s.outlet.path);
        // An address whose last user is gone without a word may come back as another's.
        if let Some(Route::Lobby(other) | Route::Here(other)) = self.paths.find(&path)
            && other != place
            && let Some(guest) = self.lobby.at_mut(other)
        {
            guest.paths.retain(|p| *p != path);
        }
        if let (Route::Relay(owner), true) = (route, path.is_stream()) {
            self.strays.push((path, owner));
        }
        if let Some(forgotten) = self.lobby.at_mut(place).and_then(|g| g.remember(path, selected)) {
            self.paths.remove(&forgotten);
        }
        self.paths.set(path, route);
    }

    fn take_dtls(&mut self, now: Instant, path: Path, datagram: &[u8], relayed: bool) {
        let place = match self.paths.find(&path) {
            Some(Route::Here(place)) => place,
            Some(Route::Lobby(place)) => {
                // Whoever begins a handshake on a path has chosen it.
                match self.settle(now, place, path, true) {
                    Some(owner) if owner == self.config.shard => {
                        self.set_route(place, path, Route::Here(place))
                    }
                    Some(owner) => {
                        self.set_route(place, path, Route::Relay(owner));
                        return self.pass_on(Some(Route::Relay(owner)), path, datagram, relayed);
                    }
                    None => return,
                }
                place
            }
            route => return self.pass_on(route, path, datagram, relayed),
        };
        let Some(id) = session_at(&mut self.sessions, place).map(|s| s.params.id) else { return };
        if self.events.len() >= MAX_EVENTS {
            self.counters.drops.overflow += 1;
            return;
        }
        self.events.push_back(Event::Dtls { session: id, datagram: datagram.to_vec() });
    }

    /// Something waits in the queue of a TCP connection, or nothing does any more.
    pub fn handle_clog(&mut self, path: Path, clogged: bool) {
        let Some(Route::Here(place)) = self.paths.find(&path) else { return };
        let session = session_at(&mut self.sessions, place);
        let Some(session) = session.filter(|s| s.outlet.path == Some(path)) else { return };
        let marks = session.clog(clogged);
        if !clogged {
            self.queue.mark_slots(place, marks);
            self.queue.mark_control(place);
        }
    }

    /// The session is over: forgets its paths.
    pub(super) fn forget_paths(&mut self, paths: &[Path]) {
        paths.iter().for_each(|path| self.paths.remove(path));
    }

    /// Sends DTLS on the selected path, which was validated by a check.
    pub(super) fn send_dtls(&mut self, id: SessionId, datagram: Vec<u8>) {
        let Some(path) = self.session(id).and_then(|s| s.outlet.path) else { return };
        if !self.outbox.dtls(path, datagram) {
            self.counters.drops.overflow += 1;
        }
    }
}
