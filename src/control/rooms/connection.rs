//! Media sessions: from the lobby to an owner, lost and found, and what the shards say of them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use tracing::info;

use super::publish::End;
use super::quality::Quality;
use super::{Config, Effect, GRACE, LinkId, Rooms, Timer, ToAll};
use crate::control::negotiate::Ours;
use crate::router::command::{IceCredentials, Kind, SessionParams};
use crate::router::event::Event;
use crate::router::id::{LayerId, SessionId, ShardId, TrackId};
use crate::signal::message::{Muted, Notice, Refusal, StreamId};
use crate::units::{Instant, PictureSize};

/// How often an unclaimed session's claim is looked at, in case the event was dropped.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a media session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// It carries a stream in.
    Publishing(StreamId),
    /// It carries what a link watches out.
    Watching(LinkId),
}

/// A media session.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) purpose: Purpose,
    /// Set once the shards know it.
    pub(super) params: Option<Arc<SessionParams>>,
    /// The shard that owns it.
    #[serde(skip)]
    pub(super) owner: Option<ShardId>,
    #[serde(skip)]
    pub(super) quality: Quality,
    /// Of our certificate when it began: it holds for the session's life, whatever certificate came since.
    pub(super) fingerprint: [u8; 32],
    /// Whether its handshake is in flight.
    pub(super) securing: bool,
    opened: Instant,
    pub(super) lost: Option<Instant>,
}

impl Rooms {
    pub(super) fn new_session(&mut self, purpose: Purpose) -> Result<SessionId, Refusal> {
        let session = Session {
            purpose,
            params: None,
            owner: None,
            quality: Quality::default(),
            fingerprint: self.config.fingerprint,
            securing: false,
            opened: Instant::NEVER,
            lost: None,
        };
        self.sessions
            .insert(session)
            .ok_or_else(|| Refusal::new("TOOMANY", "The server carries as many connections as it can."))
    }

    /// Tells the shards of a session: its peer may come.
    pub(super) fn open_session(&mut self, now: Instant, id: SessionId, params: SessionParams) {
        let params = Arc::new(params);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.params = Some(Arc::clone(&params));
        session.opened = now;
        self.effects.push(Effect::Shards(ToAll::AddSession(params)));
        self.wake_at(now + LOOK_EVERY, Timer::Claim(id));
        self.begin_securing(now, id);
    }

    /// Ends a session.
    pub(super) fn close_session(&mut self, id: SessionId) {
        self.end_securing(id);
        let Some(session) = self.sessions.remove(id) else { return };
        if session.params.is_some() {
            self.effects.push(Effect::Forget(id));
            self.effects.push(Effect::Shards(ToAll::RemoveSession(id)));
        }
    }

    pub(super) fn ours(&self, ice: IceCredentials) -> Ours {
        let Config { candidates, streams, fingerprint, .. } = &self.config;
        Ours { ice, candidates: candidates.clone(), streams: streams.clone(), fingerprint: *fingerprint }
    }

    /// News from a shard.
    pub fn handle_event(&mut self, now: Instant, shard: ShardId, event: Event) {
        match event {
            Event::Claimed { session, shard } => self.claimed(session, shard),
            // The wiring hands these to the handshake workers, and those to who asked.
            Event::Dtls { .. } | Event::Recalled { .. } => {}
            Event::Lost(session) => self.lost(now, session),
            Event::Found(session) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.lost = None;
                }
            }
            Event::TrackLive { track, layers, .. } => self.track_live(track, &layers),
            Event::LayersWanted { track, layers } => self.layers_wanted(track, layers),
            Event::Talking(tracks) => self.talking(shard, tracks),
            Event::SlotTrack { session, slot, track, out } => self.slot_track(session, slot, track, out),
            Event::SlotLayer { session, slot, layer, why } => self.slot_layer(session, slot, layer, why),
            Event::Stats { session, stats } => self.measured(now, session, &stats),
            Event::Measured { session, slots, layers } => self.passed(now, session, slots, layers),
        }
    }

    /// A session has an owner: it gets the commands that only the owner takes.
    fn claimed(&mut self, id: SessionId, shard: ShardId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.owner.is_some() {
            return;
        }
        session.owner = Some(shard);
        match session.purpose {
            Purpose::Watching(link) => self.sync_slots(link),
            Purpose::Publishing(stream) => {
                let begun = session.params.as_ref().map(|params| begun_muted(params)).unwrap_or_default();
                let tracks: Vec<_> = match self.streams.get(&stream) {
                    Some(published) if published.session == id => published.tracks().collect(),
                    _ => return,
                };
                for (kind, track) in tracks {
                    self.effects.push(Effect::Shards(ToAll::AnnounceTrack(track, kind, shard)));
                }
                self.sync_mutes(id, stream, begun);
                if let Some(link) = self.streams.get(&stream).map(|published| published.link) {
                    self.sync_limits(link);
                }
            }
        }
    }

    pub(super) fn claim_due(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.owner.is_some() {
            return;
        }
        let owner = session.params.as_ref().and_then(|params| params.claim.owner());
        match (owner, session.purpose) {
            (Some(owner), _) => self.claimed(id, owner),
            (None, _) if now.since(session.opened) < GRACE => {
                self.wake_at(now + LOOK_EVERY, Timer::Claim(id));
            }
            (None, Purpose::Publishing(stream)) => self.end_stream(stream, End::Complete),
            (None, Purpose::Watching(link)) if self.is_posted(link) => self.done.push(link),
            // A viewer's client restarts ICE when it can be reached again; its link decides how long it lives.
            (None, Purpose::Watching(_)) => self.wake_at(now + GRACE, Timer::Claim(id)),
        }
    }

    /// Nothing comes from the peer any more. A viewer's session lives as long as its link; a publisher's waits, and that
    /// of a link without signalling.
    fn lost(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.lost = Some(now);
        let waits = match session.purpose {
            Purpose::Publishing(_) => true,
            Purpose::Watching(link) => self.is_posted(link),
        };
        if waits {
            self.wake_at(now + GRACE, Timer::Lost(id));
        }
    }

    pub(super) fn lost_over(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.lost.is_none_or(|lost| lost + GRACE > now) {
            return;
        }
        match session.purpose {
            Purpose::Publishing(stream) => self.end_stream(stream, End::Complete),
            Purpose::Watching(link) => self.done.push(link),
        }
    }

    /// How a handshake ended. Where it failed the client is told: its stream ended, or it gets another connection.
    pub fn handle_handshake(&mut self, id: SessionId, outcome: Result<(), String>) {
        let Some(purpose) = self.sessions.get(id).map(|session| session.purpose) else { return };
        self.end_securing(id);
        match (outcome, purpose) {
            (Ok(()), Purpose::Publishing(_)) => {}
            (Ok(()), Purpose::Watching(link)) => self.viewing_works(link),
            (Err(reason), Purpose::Publishing(stream)) => {
                info!(session = %id, reason, "a stream could not be secured");
                self.end_stream(stream, End::Complete);
            }
            (Err(reason), Purpose::Watching(link)) => {
                info!(session = %id, reason, "a viewer's connection could not be secured");
                self.renew_viewing(link, id);
            }
        }
    }

    /// Which layers somebody wants: the publisher is told, and again when it takes its session up again.
    fn layers_wanted(&mut self, id: TrackId, active: Vec<bool>) {
        let Some(stream) = self.tracks.get(id).map(|track| track.stream) else { return };
        let Some(published) = self.streams.get_mut(&stream).filter(|p| p.video == Some(id)) else { return };
        published.active.clone_from(&active);
        let link = published.link;
        self.tell(link, Notice::Layers { sid: stream.sid, active });
    }

    /// Says again which layers of a link's streams are wanted.
    pub(super) fn tell_layers(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let uid = link.user.uid;
        let streams = link.streams.iter().filter_map(|sid| {
            let published = self.streams.get(&StreamId { uid, sid: *sid })?;
            Some((*sid, published.active.clone())).filter(|(_, active)| !active.is_empty())
        });
        for (sid, active) in streams.collect::<Vec<_>>() {
            self.tell(id, Notice::Layers { sid, active });
        }
    }

    /// Which pictures arrive: corrects what the publisher promised.
    fn track_live(&mut self, id: TrackId, layers: &[(LayerId, Option<PictureSize>)]) {
        let Some(track) = self.tracks.get(id) else { return };
        let Some(published) = self.streams.get_mut(&track.stream) else { return };
        if track.kind != Kind::Video {
            return;
        }
        for (layer, size) in layers {
            let Some(size) = *size else { continue };
            match published.sizes.iter_mut().find(|(known, _)| known == layer) {
                Some((_, known)) => *known = size,
                None => published.sizes.push((*layer, size)),
            }
        }
    }
}

fn begun_muted(params: &SessionParams) -> Muted {
    let muted = |kind| params.tracks.iter().any(|track| track.kind == kind && track.muted);
    Muted { audio: muted(Kind::Audio), video: muted(Kind::Video) }
}
