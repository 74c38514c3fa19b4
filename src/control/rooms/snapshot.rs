//! Rooms that go over to another process. They are plain data, and go as they are; what the shards were told is told again,
//! since only the sessions go over there.

use std::collections::HashMap;
use std::sync::Arc;

use super::connection::LOOK_EVERY;
use super::publish::NO_TRACK;
use super::watch::NOTHING;
use super::{Config, GRACE, Rooms, Timer};
use crate::router::command::{Kind, SessionParams};
use crate::router::id::SessionId;
use crate::units::Instant;

impl Rooms {
    /// What the shards must know of each media session.
    pub fn connections(&self) -> HashMap<SessionId, Arc<SessionParams>> {
        let params = |id: SessionId| Some((id, Arc::clone(self.sessions.get(id)?.params.as_ref()?)));
        self.sessions.names().into_iter().filter_map(params).collect()
    }

    /// Goes on in another process: with its `config`, with the media sessions that went over, and with clients that come
    /// again and take up their links. What had no keys yet begins anew.
    pub fn resume(&mut self, now: Instant, config: Config, went_over: impl Fn(SessionId) -> bool) {
        self.config = config;
        let mut lost = Vec::new();
        for id in self.sessions.names() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.securing = false;
            match session.params.is_some() {
                true if went_over(id) => self.wake_at(now + LOOK_EVERY, Timer::Claim(id)),
                true => lost.push(id),
                false => {}
            }
        }
        for id in lost {
            self.handle_handshake(id, Err("the server was followed by another".to_owned()));
        }
        self.forget_limits();
        self.forget_views();
        for id in self.links.names() {
            let Some(link) = self.links.get_mut(id).filter(|link| link.role.is_none()) else { continue };
            let over_at = now + GRACE;
            link.over_at = Some(over_at);
            self.wake_at(over_at, Timer::Grace(id));
        }
    }

    /// Slots show what they showed when the shards ended: each is told what it shall.
    fn forget_views(&mut self) {
        for id in self.links.names() {
            let peer = self.links.get_mut(id).and_then(|link| link.viewing.peer.as_mut());
            for slot in peer.into_iter().flat_map(|peer| &mut peer.slots) {
                slot.told = Some((NO_TRACK, NOTHING));
            }
        }
    }

    /// The shards know of no limits but those with which a stream began.
    fn forget_limits(&mut self) {
        for published in self.streams.values_mut() {
            let session = self.sessions.get(published.session);
            let tracks = session.and_then(|session| session.params.as_ref()).map(|params| &params.tracks);
            for track in tracks.into_iter().flatten() {
                match track.kind {
                    Kind::Audio => published.allowed.audio = track.limits,
                    Kind::Video => published.allowed.video = track.limits,
                }
            }
        }
    }
}
