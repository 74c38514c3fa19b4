//! Links without signalling: what WHIP and WHEP post. One publishes a stream or watches one, on a connection that its
//! client offered, and ends with it: when its stream ended, when it may not watch any more, or when its client is gone.

use serde::{Deserialize, Serialize};

use super::connection::Purpose;
use super::view::{Peer, WHOLE};
use super::watch::bad_sdp;
use super::{Effect, LinkId, Rooms, ToAll, secret};
use crate::control::directory::Identity;
use crate::control::ids::{Gid, Sid, Uid};
use crate::control::negotiate;
use crate::router::command::{Claim, SessionParams};
use crate::router::id::SessionId;
use crate::signal::message::{Refusal, StreamId, Watch};
use crate::sorted::Map;
use crate::units::Instant;
use crate::wire::id::Ssrc;

/// What a link without signalling is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// It publishes.
    Publishing,
    /// It shows whoever fits.
    Following(Follow),
}

/// Whom to show: of all who publish in a group those that fit. Who is shown stays until the stream ends; then comes the
/// loudest of the others, or where nobody talks the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// In which group.
    pub gid: Gid,
    /// Whose streams; anybody's if it is not said.
    pub uid: Option<Uid>,
    /// Which of them; any if it is not said.
    pub sid: Option<Sid>,
}

impl Follow {
    fn fits(&self, stream: StreamId) -> bool {
        self.uid.is_none_or(|uid| uid == stream.uid) && self.sid.is_none_or(|sid| sid == stream.sid)
    }
}

/// Our side of a connection whose ICE was restarted.
#[derive(Clone, Debug)]
pub struct Restart {
    /// Names the new ICE session.
    pub ufrag: String,
    /// For the client (RFC 8840 section 9).
    pub fragment: String,
}

impl Rooms {
    /// A link that publishes, or that shows whom `follow` says.
    pub fn attend(
        &mut self,
        now: Instant,
        user: Identity,
        follow: Option<Follow>,
    ) -> Result<LinkId, Refusal> {
        let role = follow.map_or(Role::Publishing, Role::Following);
        self.new_link(now, user, secret::resume(), Some(role))
    }

    /// Answers the offer of a link that follows, which has joined its group, and shows whoever fits.
    pub fn view(&mut self, now: Instant, id: LinkId, sdp: &str) -> Result<String, Refusal> {
        let Some(Role::Following(Follow { gid, .. })) = self.link(id)?.role else {
            return Err(Refusal::new("BADOP", "This session publishes."));
        };
        if !self.link(id)?.groups.get(&gid).is_some_and(|member| member.rights.subscribe) {
            return Err(Refusal::new("NOTALLOWED", format!("You may not watch in group {gid}.")));
        }
        self.admit(now)?;
        let (ice, seed) = (secret::ice(), secret::seed());
        let viewed = negotiate::view(sdp, &self.ours(ice.clone()), seed).map_err(bad_sdp)?;
        let session = self.new_session(Purpose::Watching(id))?;
        let mut peer = Peer {
            subscriber: None,
            session,
            ice: ice.clone(),
            sdp: String::new(),
            outstanding: false,
            fresh: false,
            slots: Vec::new(),
            answered: viewed.slots.clone(),
            crowd: Map::new(),
            bounds: None,
            known: viewed.slots.len(),
        };
        for slot in &viewed.slots {
            peer.add_slot(slot.slot, slot.kind, slot.mid);
        }
        if let Some(link) = self.links.get_mut(id) {
            link.viewing.peer = Some(peer);
        }
        let params = SessionParams {
            id: session,
            local: ice,
            claim: Claim::default(),
            extensions: viewed.extensions,
            tracks: Vec::new(),
            slots: viewed.slots,
            rtcp_ssrc: Ssrc(seed as u32),
            seed,
        };
        self.effects.push(Effect::Expect(session, viewed.remote.fingerprints));
        self.open_session(now, session, params);
        if let Some(group) = self.groups.get_mut(&gid) {
            group.followers.insert(id);
        }
        self.follow(id);
        Ok(viewed.answer)
    }

    /// What names the ICE session that a link's connection began with.
    pub fn ufrag(&self, id: LinkId) -> Option<String> {
        let params = self.sessions.get(self.connection(id)?)?.params.as_ref()?;
        Some(params.local.ufrag.clone())
    }

    /// New ICE credentials of our side for a link's connection.
    pub fn restart(&mut self, id: LinkId) -> Option<Restart> {
        let session = self.connection(id)?;
        let params = self.sessions.get(session)?.params.clone()?;
        let track = params.tracks.first().map(|track| (track.kind, track.mid));
        let (kind, mid) = track.or_else(|| params.slots.first().map(|slot| (slot.kind, slot.mid)))?;
        let ours = self.ours(secret::ice());
        let fragment = negotiate::restarted(&ours, kind, mid);
        let ufrag = ours.ice.ufrag.clone();
        self.effects.push(Effect::Shards(ToAll::RestartIce(session, ours.ice)));
        Some(Restart { ufrag, fragment })
    }

    /// Whether nothing comes from the client any more.
    pub fn is_lost(&self, id: LinkId) -> bool {
        let session = self.connection(id).and_then(|session| self.sessions.get(session));
        session.is_some_and(|session| session.lost.is_some())
    }

    /// The lowest number under which a user publishes nothing.
    pub fn free_sid(&self, uid: Uid) -> Sid {
        let free = |sid: &u8| !self.streams.contains_key(&StreamId { uid, sid: Sid(*sid) });
        Sid((0..u8::MAX).find(free).unwrap_or(u8::MAX))
    }

    /// How many watch a stream.
    pub fn viewers(&self, uid: Uid, sid: Sid) -> usize {
        self.streams.get(&StreamId { uid, sid }).map_or(0, |published| published.viewers.len())
    }

    /// The links without signalling that ended since the last call, after those that have nothing left to do.
    pub fn take_gone(&mut self, now: Instant) -> Vec<LinkId> {
        for id in std::mem::take(&mut self.done) {
            self.bye(now, id);
        }
        std::mem::take(&mut self.gone)
    }

    pub(super) fn is_posted(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| link.role.is_some())
    }

    pub(super) fn is_follower(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| matches!(link.role, Some(Role::Following(_))))
    }

    /// A stream came or went: whoever shows nothing now looks for another.
    pub(super) fn follow_all(&mut self, gid: Gid) {
        let followers = self.groups.get(&gid).map(|group| group.followers.clone()).unwrap_or_default();
        for id in followers {
            self.follow(id);
        }
    }

    fn follow(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let Some(Role::Following(follow)) = link.role else { return };
        let Some(group) = self.groups.get(&follow.gid).filter(|_| link.viewing.wishes.is_empty()) else {
            return;
        };
        let fits = |stream: &&StreamId| group.streams.contains(stream) && follow.fits(**stream);
        let loudest = group.talking.iter().find(fits);
        // Where pictures were asked for, somebody who shows some comes before one who is only heard.
        let has_video = |stream: &StreamId| self.streams.get(stream).is_some_and(|p| p.video.is_some());
        let first = || group.streams.iter().filter(fits).min_by_key(|stream| (!has_video(stream), **stream));
        let Some(StreamId { uid, sid }) = loudest.or_else(first).copied() else { return };
        let ask = Watch {
            gid: follow.gid,
            uid,
            sid,
            audio: true,
            video: true,
            width: WHOLE.width,
            height: WHOLE.height,
            visible: true,
            priority: 1,
        };
        // Who may not watch has been told so when it came.
        let _ = self.watch(id, &ask);
    }

    /// The connection of a link without signalling.
    fn connection(&self, id: LinkId) -> Option<SessionId> {
        let link = self.links.get(id)?;
        match link.role? {
            Role::Publishing => {
                let sid = *link.streams.first()?;
                Some(self.streams.get(&StreamId { uid: link.user.uid, sid })?.session)
            }
            Role::Following(_) => Some(link.viewing.peer.as_ref()?.session),
        }
    }
}
