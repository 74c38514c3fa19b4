//! What the control plane orders.

use std::sync::Arc;

use super::command::{Command, Kind, SessionParams, TrackLimits, View};
use super::event::Why;
use super::id::{SessionId, ShardId, SlotId, TrackId};
use super::recorder::What;
use super::target::Target;
use super::track::Sub;
use super::{Router, TICK, session_at};
use crate::units::{Bitrate, Instant};

/// The session that a command is about.
fn concerned(command: &Command) -> Option<SessionId> {
    match command {
        Command::AddSession(params) => Some(params.id),
        Command::RestartIce { session, .. }
        | Command::RemoveSession(session)
        | Command::SendDtls { session, .. }
        | Command::InstallKeys { session, .. }
        | Command::AddSlots { session, .. }
        | Command::Watch { session, .. }
        | Command::Crowd { session, .. }
        | Command::LimitSession { session, .. }
        | Command::Measure(session)
        | Command::Record { session, .. }
        | Command::Recall(session)
        | Command::SetView { session, .. } => Some(*session),
        Command::AnnounceTrack { .. }
        | Command::WithdrawTrack(_)
        | Command::MuteTrack { .. }
        | Command::LimitTrack { .. } => None,
    }
}

impl Router {
    /// Carries out one command. One that names what is not here, or not any more, does nothing.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.at_work = concerned(&command).map(|session| session.index);
        match command {
            Command::AddSession(params) => self.add_session(now, params),
            Command::RestartIce { session, local } => {
                self.lobby.restart(session, &local);
                self.note_of(session, now, What::Restarted);
            }
            Command::RemoveSession(session) => self.remove_session(session),
            Command::SendDtls { session, datagram } => self.send_dtls(session, datagram),
            Command::InstallKeys { session, keys } => {
                let place = session.index;
                if self.session(session).is_some_and(|session| session.install(&keys)) {
                    self.secured(now, place);
                }
            }
            Command::AddSlots { session, slots } => match self.session(session) {
                Some(session) => session.add_slots(slots),
                None => {
                    if let Some(guest) = self.lobby.find_mut(session) {
                        guest.more_slots.extend(slots);
                        guest.more_slots.truncate(super::session::MAX_SLOTS);
                    }
                }
            },
            Command::AnnounceTrack { track, kind, home } => self.announce(now, track, kind, home),
            Command::WithdrawTrack(track) => self.withdraw(track),
            Command::Watch { session, slot, track, view } => self.watch(now, session, slot, track, view),
            Command::SetView { session, slot, view } => self.set_view(session, slot, view),
            Command::Crowd { session, track, on } => self.set_crowd(now, session, track, on),
            Command::LimitSession { session, max_bitrate, max_voices } => {
                let place = session.index;
                if let Some(session) = self.session(session) {
                    (session.limit, session.voices) = (max_bitrate, max_voices);
                    self.hush(place);
                    self.aim(place);
                }
            }
            Command::MuteTrack { track, muted } => self.mute(track, muted),
            Command::LimitTrack { track, limits } => self.limit(track, limits),
            Command::Measure(session) => self.measure(session),
            Command::Record { session, until } => {
                if let Some(session) = self.session(session) {
                    session.outlet.keep_headers(now, until);
                }
            }
            Command::Recall(session) => self.recall(session),
        }
    }

    /// Notes what happened to a session of ours.
    fn note_of(&mut self, session: SessionId, now: Instant, what: What) {
        if let Some(session) = self.session(session) {
            session.notes.add(now, what);
        }
    }

    /// A session has its keys.
    pub(super) fn secured(&mut self, now: Instant, place: u32) {
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        session.notes.add(now, What::Secured);
        session.arm(place, &mut self.timers);
        let early = session.take_early();
        self.begin_slots(place);
        early.into_iter().for_each(|mut datagram| self.take_media(now, place, &mut datagram));
    }

    pub(super) fn add_session(&mut self, now: Instant, params: Arc<SessionParams>) {
        if self.lobby.has_as_new(params.id) {
            return;
        }
        // Whoever had the place before is over.
        if let Some(old) = self.lobby.at(params.id.index).map(|g| g.params.id) {
            self.remove_session(old);
        }
        self.tracks.describe(&params);
        let tracks: Vec<_> = params.tracks.iter().map(|t| t.id).collect();
        if self.lobby.add(params) && !tracks.is_empty() {
            self.start_ticking(now);
            tracks.into_iter().for_each(|track| self.reselect(track));
        }
    }

    pub(super) fn start_ticking(&mut self, now: Instant) {
        self.tick_at = self.tick_at.min(now + TICK);
    }

    fn remove_session(&mut self, id: SessionId) {
        let Some(guest) = self.lobby.remove(id) else { return };
        self.forget_paths(&guest.paths);
        for track in &guest.params.tracks {
            self.withdraw(track.id);
        }
        if self.session(id).is_none() {
            return;
        }
        let seat = self.sessions.get_mut(id.index as usize).and_then(Option::take);
        for track in seat.iter().flat_map(|s| &s.crowd) {
            self.leave_crowd(*track, id.index);
        }
        for (place, slot) in seat.iter().flat_map(|s| s.slots.iter().enumerate()) {
            if let Some(track) = slot.track {
                let me = Sub { session: id.index, slot: place as u16 };
                self.leave(track, me);
            }
        }
    }

    pub(super) fn announce(&mut self, now: Instant, id: TrackId, kind: Kind, home: ShardId) {
        let Some(track) = self.tracks.enter(id, kind) else { return };
        track.home = Some(home);
        self.start_ticking(now);
        self.reselect(id);
        self.want(id);
    }

    fn withdraw(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(id) else { return };
        for place in track.crowd {
            if let Some(session) = session_at(&mut self.sessions, place) {
                session.crowd.retain(|t| *t != id);
            }
        }
        for sub in track.watchers {
            let Some(session) = session_at(&mut self.sessions, sub.session) else { continue };
            let Some(slot) = session.slots.get_mut(usize::from(sub.slot)) else { continue };
            slot.stop();
            slot.track = None;
            slot.target = Target::NOTHING;
            slot.why = Why::Silent;
            self.slot_news.push(sub);
        }
    }

    /// A slot of ours no longer holds a track.
    fn leave(&mut self, id: TrackId, me: Sub) {
        if let Some(track) = self.tracks.find_mut(id) {
            track.watchers.retain(|w| *w != me);
            for layer in &mut track.layers {
                layer.subs.retain(|s| *s != me);
            }
        }
        self.want(id);
    }

    pub(super) fn watch(
        &mut self,
        now: Instant,
        id: SessionId,
        slot: SlotId,
        to: Option<TrackId>,
        view: View,
    ) {
        let Some(session) = self.session(id) else { return };
        let Some(place) = session.slot_place(slot.0) else { return };
        let me = Sub { session: id.index, slot: place as u16 };
        let Some(slot) = session.slots.get_mut(place) else { return };
        slot.view = view;
        let (unknown, taken) = (slot.moved.take(), slot.track);
        if slot.track != to {
            let slot = slot.params.slot;
            session.notes.add(now, What::Watches { slot, track: to });
            self.put(me, to);
            self.start_ticking(now);
        }
        if let Some(out) = unknown {
            self.take_back(id.index, out, taken);
        }
        self.slot_news.push(me);
        self.hush(id.index);
        self.aim(id.index);
        // Whatever its state here, its home must know that it is watched.
        if let Some(to) = to {
            self.want(to);
        }
    }

    /// Empties a slot and gives it something else.
    pub(super) fn put(&mut self, me: Sub, to: Option<TrackId>) {
        let Some(session) = session_at(&mut self.sessions, me.session) else { return };
        let Some(slot) = session.slots.get_mut(usize::from(me.slot)) else { return };
        let kind = slot.params.kind;
        let from = std::mem::replace(&mut slot.track, to);
        slot.stop();
        slot.target = Target::NOTHING;
        slot.why = if to.is_some() { Why::Silent } else { Why::Inactive };
        session.crowd.retain(|t| Some(*t) != to);
        if let Some(from) = from {
            self.leave(from, me);
        }
        // A track that is not known yet waits here for its announcement.
        let Some(track) = to.and_then(|to| self.tracks.enter(to, kind)) else { return };
        track.crowd.retain(|place| *place != me.session);
        if !track.watchers.contains(&me) {
            track.watchers.push(me);
        }
    }

    fn set_view(&mut self, id: SessionId, slot: SlotId, view: View) {
        let Some(session) = self.session(id) else { return };
        let Some(place) = session.slot_place(slot.0) else { return };
        let Some(slot) = session.slots.get_mut(place) else { return };
        slot.view = view;
        self.aim(id.index);
    }

    fn limit(&mut self, id: TrackId, mut limits: TrackLimits) {
        let Some(track) = self.tracks.find_mut(id) else { return };
        if track.kind == Kind::Video && track.limit.most.max_bitrate != Bitrate::MAX {
            // A browser holds to what it was told until it is told more.
            limits.max_bitrate = limits.max_bitrate.min(Bitrate::from_kbps(100_000));
        }
        let before = std::mem::replace(&mut track.limit.most, limits);
        if before.payloads != limits.payloads && track.publisher.is_some() {
            track.silence();
            self.begin_anew(id);
            self.tracks.changed(id.index);
            self.reselect(id);
        }
    }

    /// What was dropped of a track leaves a hole in the numbers that no viewer shall take for loss.
    fn begin_anew(&mut self, id: TrackId) {
        let layers = self.tracks.find(id).map_or(0, |track| track.layers.len());
        for layer in 0..layers {
            self.tracks.begin_epoch(id, layer as u8);
            if let Some(layer) = self.tracks.find_mut(id).and_then(|t| t.layers.get_mut(layer)) {
                layer.reception = None;
            }
        }
    }

    fn mute(&mut self, id: TrackId, muted: bool) {
        let Some(track) = self.tracks.find_mut(id) else { return };
        if std::mem::replace(&mut track.muted, muted) == muted {
            return;
        }
        track.silence();
        track.voice.forget();
        if !muted {
            self.begin_anew(id);
        }
        self.tracks.changed(id.index);
        self.reselect(id);
    }
}
