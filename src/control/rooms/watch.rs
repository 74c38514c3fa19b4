//! Watching: wishes come in, slots are filled, offers and commands go out.
//!
//! 1. `watch` records a wish; [`Rooms::arrange`] fills the slots with what is wished.
//! 2. Where slots run out their number is doubled, and the client gets an `offer`.
//! 3. Its `answer` opens the session, or adds the slots to it.
//! 4. Once a shard owns the session, [`Rooms::sync_slots`] tells it what each slot shows, and what changes.

use super::connection::Purpose;
use super::view::{Peer, Viewing, Wish, grown};
use super::{Effect, LinkId, Rooms, ToAll, secret};
use crate::control::ids::Gid;
use crate::control::negotiate::{Error, Subscriber};
use crate::router::command::{Claim, Command, Kind, SessionParams, View};
use crate::router::event::Why;
use crate::router::id::{LayerId, SessionId, SlotId, TrackId};
use crate::signal::message::{self, Notice, Refusal, StreamId, StreamRef, Watch};
use crate::sorted::Map;
use crate::units::{Instant, PictureSize};
use crate::wire::id::Ssrc;

/// Streams that one link may watch at once; more than are seen at once can be heard.
const MAX_WATCHES: usize = 512;
/// The source of a stream that is a screen: it counts one higher when not all fits.
const SCREEN: u8 = 2;
/// Connections in a row that may fail to be secured before we stop offering new ones.
const MAX_FAILURES: u8 = 3;

impl Rooms {
    /// Watches a stream, or changes how.
    pub fn watch(&mut self, id: LinkId, ask: &Watch) -> Result<(), Refusal> {
        let link = self.link(id)?;
        if !link.groups.get(&ask.gid).is_some_and(|member| member.rights.subscribe) {
            return Err(Refusal::new("NOTALLOWED", format!("You may not watch in group {}.", ask.gid)));
        }
        let key = StreamRef { gid: ask.gid, uid: ask.uid, sid: ask.sid };
        let new = !link.viewing.wishes.contains_key(&key);
        if new && link.viewing.wishes.len() >= MAX_WATCHES {
            return Err(Refusal::new("TOOMANY", format!("{MAX_WATCHES} streams at once are the most.")));
        }
        if new {
            self.may_watch_more(id, key.gid)?;
        }
        let published =
            self.streams.get_mut(&stream_id(key)).filter(|published| published.gids.contains(&key.gid));
        let Some(published) = published else { return Err(no_stream()) };
        published.viewers.insert((key.gid, id));
        if new {
            self.tell_viewer(id, key, true);
        }
        if let Some(link) = self.links.get_mut(id) {
            link.viewing.wishes.insert(key, Wish::new(ask));
        }
        self.arrange(id);
        Ok(())
    }

    /// Watches a stream no more.
    pub fn unwatch(&mut self, id: LinkId, key: StreamRef) -> Result<(), Refusal> {
        self.link(id)?;
        self.drop_wish(id, key);
        self.arrange(id);
        Ok(())
    }

    /// Watches nothing of a group any more.
    pub(super) fn unwatch_group(&mut self, id: LinkId, gid: Gid) {
        let Some(link) = self.links.get(id) else { return };
        let keys: Vec<_> = link.viewing.wishes.keys().copied().filter(|key| key.gid == gid).collect();
        for key in &keys {
            self.drop_wish(id, *key);
        }
        if !keys.is_empty() {
            self.arrange(id);
        }
        if self.is_follower(id) {
            self.done.push(id);
        }
    }

    /// A stream that was watched is gone.
    pub(super) fn forget_wish(&mut self, id: LinkId, gid: Gid, stream: StreamId) {
        if let Some(link) = self.links.get_mut(id) {
            link.viewing.wishes.remove(&StreamRef { gid, uid: stream.uid, sid: stream.sid });
        }
    }

    pub(super) fn drop_wish(&mut self, id: LinkId, key: StreamRef) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.viewing.wishes.remove(&key).is_none() {
            return;
        }
        if let Some(published) = self.streams.get_mut(&stream_id(key)) {
            published.viewers.remove(&(key.gid, id));
        }
        self.tell_viewer(id, key, false);
    }

    /// Tells a publisher who began or ceased to watch; where people are only counted there are too many for that.
    fn tell_viewer(&mut self, viewer: LinkId, key: StreamRef, watching: bool) {
        let Some(link) = self.links.get(viewer) else { return };
        let Some(published) = self.streams.get(&stream_id(key)) else { return };
        if self.groups.get(&key.gid).is_none_or(|group| group.counted) {
            return;
        }
        let (uid, name) = (link.user.uid, link.user.name.clone());
        let notice = Notice::Viewer { gid: key.gid, sid: key.sid, uid, name, watching };
        self.tell(published.link, notice);
    }

    /// Brings the slots of a link in line with what it wishes and what there is.
    pub(super) fn arrange(&mut self, id: LinkId) {
        self.with_viewing(id, |rooms, viewing| {
            let before = viewing.peer.as_ref().map(Peer::map).unwrap_or_default();
            rooms.fill_slots(id, viewing);
            let after = viewing.peer.as_ref().map(Peer::map).unwrap_or_default();
            if before != after {
                rooms.tell(id, Notice::Slots { slots: after });
            }
            rooms.sync(id, viewing);
        });
    }

    /// Tells the shard of a link's connection what its slots show.
    pub(super) fn sync_slots(&mut self, id: LinkId) {
        self.with_viewing(id, |rooms, viewing| rooms.sync(id, viewing));
    }

    /// Works on a link's viewing beside all else; it is put back afterwards.
    pub(super) fn with_viewing<R: Default>(
        &mut self,
        id: LinkId,
        work: impl FnOnce(&mut Self, &mut Viewing) -> R,
    ) -> R {
        let Some(link) = self.links.get_mut(id) else { return R::default() };
        let mut viewing = std::mem::take(&mut link.viewing);
        let result = work(self, &mut viewing);
        if let Some(link) = self.links.get_mut(id) {
            link.viewing = viewing;
        }
        result
    }

    fn fill_slots(&mut self, id: LinkId, viewing: &mut Viewing) {
        if viewing.peer.is_none() {
            if viewing.wishes.is_empty() || self.is_posted(id) {
                return;
            }
            viewing.peer = self.new_peer(id, viewing.failures > 0);
        }
        let bounds = self.bounds(id, viewing);
        let Some(peer) = &mut viewing.peer else { return };
        let streams = &self.streams;
        let there = |key: StreamRef, kind| {
            streams.get(&stream_id(key)).is_some_and(|published| published.track(kind).is_some())
        };
        let voices = bounds.voices;
        let (video, audio) = peer.fill(&viewing.wishes, voices, there);
        let begun = peer.slots.is_empty();
        let (have_video, have_audio) = (peer.count(Kind::Video), peer.count(Kind::Audio));
        let more = |have, missing, kind| grown(have, missing, kind, voices);
        let counts = (more(have_video, video, Kind::Video), more(have_audio, audio, Kind::Audio));
        // One offer at a time: what its answer leaves short is offered next.
        if peer.subscriber.is_none() || peer.outstanding || (!begun && counts == (have_video, have_audio)) {
            return;
        }
        offer(peer, counts);
        peer.fill(&viewing.wishes, voices, there);
        viewing.rev += 1;
        let notice = Notice::Offer { rev: viewing.rev, sdp: peer.sdp.clone(), fresh: peer.fresh };
        self.tell(id, notice);
    }

    fn new_peer(&mut self, id: LinkId, fresh: bool) -> Option<Peer> {
        let session = self.new_session(Purpose::Watching(id)).ok()?;
        let ice = secret::ice();
        Some(Peer {
            subscriber: Some(Subscriber::new(self.ours(ice.clone()), secret::seed())),
            session,
            ice,
            sdp: String::new(),
            outstanding: false,
            fresh,
            slots: Vec::new(),
            answered: Vec::new(),
            crowd: Map::new(),
            bounds: None,
            known: 0,
        })
    }

    /// The client's answer to an offer: the session can begin, or has more slots.
    pub fn answer(&mut self, now: Instant, id: LinkId, rev: u32, sdp: &str) -> Result<(), Refusal> {
        self.link(id)?;
        let answered = self.with_viewing(id, |rooms, viewing| {
            let current = viewing.rev == rev;
            let peer = viewing.peer.as_mut().filter(|peer| peer.outstanding && current);
            let Some(peer) = peer else { return Some(Err(stale())) };
            Some(rooms.take_answer(now, peer, sdp))
        });
        answered.unwrap_or_else(|| Err(stale()))?;
        self.arrange(id);
        Ok(())
    }

    fn take_answer(&mut self, now: Instant, peer: &mut Peer, sdp: &str) -> Result<(), Refusal> {
        let begun = self.sessions.get(peer.session).is_some_and(|session| session.params.is_some());
        if !begun {
            self.admit(now)?;
        }
        let subscriber = peer.subscriber.as_mut().ok_or_else(stale)?;
        let answered = subscriber.answer(sdp).map_err(bad_sdp)?;
        peer.outstanding = false;
        peer.fresh = false;
        peer.sdp = String::new();
        for params in &answered.slots {
            let slot = peer.slots.iter_mut().find(|slot| slot.id == params.slot);
            if let Some(slot) = slot {
                slot.refused = params.payloads.is_empty();
            }
        }
        peer.answered.extend(answered.slots);
        if begun {
            return Ok(());
        }
        peer.known = peer.answered.len();
        let seed = secret::seed();
        let params = SessionParams {
            id: peer.session,
            local: peer.ice.clone(),
            claim: Claim::default(),
            extensions: answered.extensions,
            tracks: Vec::new(),
            slots: peer.answered.clone(),
            rtcp_ssrc: Ssrc(seed as u32),
            seed,
        };
        self.effects.push(Effect::Expect(peer.session, answered.remote.fingerprints));
        self.open_session(now, peer.session, params);
        Ok(())
    }

    /// What the owner of the connection has not been told yet.
    fn sync(&mut self, id: LinkId, viewing: &mut Viewing) {
        let bounds = self.bounds(id, viewing);
        let Some(peer) = &mut viewing.peer else { return };
        let session = peer.session;
        let Some(owner) = self.sessions.get(session).and_then(|session| session.owner) else { return };
        if let Some(slots) = peer.answered.get(peer.known..).filter(|slots| !slots.is_empty()) {
            let slots = slots.to_vec();
            peer.known = peer.answered.len();
            self.effects.push(Effect::Shard(owner, Command::AddSlots { session, slots }));
        }
        self.sync_bounds(owner, peer, bounds);
        let known: Vec<_> = peer.answered.iter().take(peer.known).map(|params| params.slot).collect();
        for slot in peer.slots.iter_mut().filter(|slot| known.contains(&slot.id)) {
            let shows = slot.fill.and_then(|key| self.shown(id, key, slot.kind, viewing.wishes.get(&key)?));
            let command = match (slot.told, shows) {
                (before, after) if before == after => continue,
                (Some((before, _)), Some((track, view))) if before == track => {
                    Command::SetView { session, slot: slot.id, view }
                }
                (_, Some((track, view))) => {
                    Command::Watch { session, slot: slot.id, track: Some(track), view }
                }
                (_, None) => Command::Watch { session, slot: slot.id, track: None, view: NOTHING },
            };
            slot.told = shows;
            self.effects.push(Effect::Shard(owner, command));
        }
        self.sync_crowd(id, owner, viewing);
    }

    /// What a slot shows that carries `key`.
    fn shown(&self, id: LinkId, key: StreamRef, kind: Kind, wish: &Wish) -> Option<(TrackId, View)> {
        let published = self.streams.get(&stream_id(key))?;
        let cap = self.links.get(id)?.groups.get(&key.gid)?.cap();
        let mut view = wish.view(kind, cap);
        if published.source == SCREEN {
            view.priority = view.priority.saturating_add(1);
        }
        let seat = self.links.get(published.link).and_then(|link| link.groups.get(&key.gid));
        view.priority = view.priority.saturating_add(seat.map_or(0, |seat| seat.limits.priority));
        Some((published.track(kind)?, view))
    }

    /// Restarts ICE of the connection on which a link watches: an offer with new credentials.
    pub fn restart_viewing(&mut self, id: LinkId) -> Result<(), Refusal> {
        self.link(id)?;
        let restarted = self.with_viewing(id, |rooms, viewing| {
            let peer = viewing.peer.as_mut()?;
            let ice = secret::ice();
            peer.ice = ice.clone();
            peer.sdp = peer.subscriber.as_mut()?.restart(ice.clone());
            peer.outstanding = true;
            if rooms.sessions.get(peer.session).is_some_and(|session| session.params.is_some()) {
                rooms.effects.push(Effect::Shards(ToAll::RestartIce(peer.session, ice)));
            }
            viewing.rev += 1;
            let notice = Notice::Offer { rev: viewing.rev, sdp: peer.sdp.clone(), fresh: peer.fresh };
            rooms.tell(id, notice);
            Some(())
        });
        restarted.ok_or_else(no_stream)
    }

    /// The connection could not be secured: a new one is offered, a few times.
    pub(super) fn renew_viewing(&mut self, id: LinkId, session: SessionId) {
        let renewed = self.with_viewing(id, |rooms, viewing| {
            if viewing.peer.as_ref().is_none_or(|peer| peer.session != session) {
                return false;
            }
            viewing.peer = None;
            viewing.failures = viewing.failures.saturating_add(1);
            rooms.close_session(session);
            viewing.failures <= MAX_FAILURES
        });
        if self.is_posted(id) {
            self.done.push(id);
        } else if renewed {
            self.arrange(id);
        }
    }

    /// The connection works.
    pub(super) fn viewing_works(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.viewing.failures = 0;
        }
    }

    /// The link is over.
    pub(super) fn drop_viewing(&mut self, id: LinkId) {
        let peer = self.links.get_mut(id).and_then(|link| link.viewing.peer.take());
        if let Some(peer) = peer {
            self.close_session(peer.session);
        }
    }

    /// Tells a link that was taken up again how its slots stand.
    pub(super) fn tell_viewing(&mut self, id: LinkId) {
        let Some(viewing) = self.links.get(id).map(|link| &link.viewing) else { return };
        let Some(peer) = &viewing.peer else { return };
        let offer = Notice::Offer { rev: viewing.rev, sdp: peer.sdp.clone(), fresh: peer.fresh };
        let slots = Notice::Slots { slots: peer.map() };
        if peer.outstanding {
            self.tell(id, offer);
        }
        self.tell(id, slots);
        self.tell_unheard(id);
    }

    /// What a slot sends changed.
    pub(super) fn slot_layer(
        &mut self,
        session: SessionId,
        slot: SlotId,
        layer: Option<(LayerId, Option<PictureSize>)>,
        why: Why,
    ) {
        let Some(Purpose::Watching(id)) = self.sessions.get(session).map(|session| session.purpose) else {
            return;
        };
        let peer = self.links.get(id).and_then(|link| link.viewing.peer.as_ref());
        let slot = peer.and_then(|peer| peer.slots.iter().find(|known| known.id == slot));
        let Some(slot) = slot.filter(|slot| slot.kind == Kind::Video) else { return };
        let Some(key) = slot.fill else { return };
        let size = layer.and_then(|(layer, size)| {
            size.or_else(|| {
                let published = self.streams.get(&stream_id(key))?;
                published.sizes.iter().find(|(known, _)| *known == layer).map(|(_, size)| *size)
            })
        });
        let size = size.unwrap_or_default();
        let place = slot.id;
        let peer = self.links.get_mut(id).and_then(|link| link.viewing.peer.as_mut());
        let slot = peer.and_then(|peer| peer.slots.iter_mut().find(|known| known.id == place));
        if let Some(slot) = slot {
            slot.sends = Some((key, size, why));
        }
        let PictureSize { width, height } = size;
        let StreamRef { gid, uid, sid } = key;
        self.tell(id, Notice::Layer { gid, uid, sid, width, height, why: why.into() });
    }
}

/// What an empty slot is told.
pub(super) const NOTHING: View =
    View { tile: PictureSize::new(0, 0), active: false, cap: PictureSize::new(0, 0), priority: 0 };

/// Makes an offer with so many video and audio slots.
fn offer(peer: &mut Peer, counts: (usize, usize)) {
    let Some(subscriber) = &mut peer.subscriber else { return };
    peer.sdp = subscriber.offer(counts.0, counts.1);
    peer.outstanding = true;
    let new: Vec<_> = subscriber.slots().skip(peer.slots.len()).collect();
    for (id, kind, mid) in new {
        peer.add_slot(id, kind, mid);
    }
}

pub(super) const fn stream_id(key: StreamRef) -> StreamId {
    StreamId { uid: key.uid, sid: key.sid }
}

impl From<Why> for message::Why {
    fn from(why: Why) -> Self {
        match why {
            Why::Tile => Self::Tile,
            Why::Cap => Self::Cap,
            Why::Source => Self::Source,
            Why::Bandwidth => Self::Bandwidth,
            Why::Paused => Self::Paused,
            Why::Keyframe => Self::Keyframe,
            Why::Inactive => Self::Inactive,
            Why::Silent => Self::Silent,
            Why::Codec => Self::Codec,
        }
    }
}

/// There is no such stream.
pub(super) fn no_stream() -> Refusal {
    Refusal::new("NOSTREAM", "There is no such stream; the roster lists those there are.")
}

/// A session description that cannot be used.
pub(super) fn bad_sdp(error: Error) -> Refusal {
    if let Error::CodecNotAllowed(_) = error {
        return Refusal::new("NOTALLOWED", format!("This cannot be published: {error}."));
    }
    Refusal::new("BADSDP", format!("The session description cannot be used: {error}."))
}

fn stale() -> Refusal {
    Refusal::new("STALE", "That offer is answered or replaced; answer the newest one.")
}
