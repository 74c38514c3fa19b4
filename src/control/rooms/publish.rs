//! Publishing: a stream is a media session with up to one audio and one video track, shown in one or more groups.

use serde::{Deserialize, Serialize};

use super::connection::Purpose;
use super::limits::Allowed;
use super::watch::{bad_sdp, no_stream};
use super::{Effect, Happened, LinkId, Rooms, ToAll, Track, secret};
use crate::control::ids::{Gid, Sid};
use crate::control::limits::Codecs;
use crate::control::negotiate::{self, PublishIds};
use crate::handshake::Fingerprint;
use crate::router::command::{Claim, Command, Kind, SessionParams};
use crate::router::id::{LayerId, SessionId, TrackId};
use crate::signal::message::{Answer, Muted, Notice, Publish, Refusal, Stream, StreamId};
use crate::sorted::Set;
use crate::units::{Instant, PictureSize};
use crate::wire::id::{Rid, Ssrc};

/// Streams that one user may publish at once.
const MAX_STREAMS: usize = 8;
/// Groups that one stream may be published to.
const MAX_GIDS: usize = 8;
/// Longest name of a stream, in bytes; what is longer is cut.
const MAX_NAME: usize = 200;

/// The name of no track.
pub(super) const NO_TRACK: TrackId = TrackId { index: u32::MAX, generation: u32::MAX };

/// A stream that is published.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Published {
    pub(super) link: LinkId,
    pub(super) session: SessionId,
    pub(super) gids: Set<Gid>,
    pub(super) audio: Option<TrackId>,
    pub(super) video: Option<TrackId>,
    /// The pictures that arrive, or were promised, by layer.
    pub(super) sizes: Vec<(LayerId, PictureSize)>,
    /// Which layers somebody wants, from the smallest; empty while it was not said.
    pub(super) active: Vec<bool>,
    /// How much of it the shards let through.
    pub(super) allowed: Allowed,
    /// The codecs from which one was negotiated.
    codecs: Codecs,
    /// Who watches it where.
    pub(super) viewers: Set<(Gid, LinkId)>,
    pub(super) muted: Muted,
    name: Option<String>,
    pub(super) source: u8,
}

impl Published {
    /// Its track of a kind.
    pub(super) const fn track(&self, kind: Kind) -> Option<TrackId> {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }

    /// Its tracks, with their kinds.
    pub(super) fn tracks(&self) -> impl Iterator<Item = (Kind, TrackId)> + use<> {
        [(Kind::Audio, self.audio), (Kind::Video, self.video)]
            .into_iter()
            .filter_map(|(kind, track)| Some((kind, track?)))
    }
}

/// How a stream ends, as its publisher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The publisher asked for it.
    Silently,
    /// The right is gone.
    NotAllowed,
    /// The connection is gone.
    Complete,
}

impl End {
    const fn status(self) -> Option<u8> {
        match self {
            Self::Silently => None,
            Self::NotAllowed => Some(0x4a),
            Self::Complete => Some(0x40),
        }
    }
}

impl Rooms {
    /// Publishes a stream, in place of the one that the same user has under this sid.
    pub fn publish(&mut self, now: Instant, id: LinkId, ask: &Publish) -> Result<Answer, Refusal> {
        let gids: Set<_> = ask.gids.iter().copied().collect();
        self.may_publish_in(id, &gids)?;
        let uid = self.link(id)?.user.uid;
        let stream = StreamId { uid, sid: ask.sid };
        let others = self.streams.keys().filter(|other| other.uid == uid && **other != stream).count();
        if others >= MAX_STREAMS {
            return Err(Refusal::new("TOOMANY", format!("{MAX_STREAMS} streams at once are the most.")));
        }
        self.may_add(id, &gids, stream)?;
        self.admit(now)?;

        let session = self.new_session(Purpose::Publishing(stream))?;
        let (audio, video) = (self.new_track(stream, Kind::Audio), self.new_track(stream, Kind::Video));
        let limits = self.strictest(id, &gids);
        let allowed = self.allowed(id, &gids, &[]);
        let negotiated = match (audio, video) {
            (Some(audio), Some(video)) => {
                self.negotiate((allowed, limits.codecs), session, audio, video, ask)
            }
            _ => Err(Refusal::new("TOOMANY", "The server carries as many streams as it can.")),
        };
        let negotiated = negotiated.inspect_err(|_| {
            self.sessions.remove(session);
            for track in [audio, video].into_iter().flatten() {
                self.tracks.remove(track);
            }
        })?;

        // Nothing can fail from here on.
        let (params, answer, fingerprints) = negotiated;
        let has = |track: Option<TrackId>| track.filter(|id| params.tracks.iter().any(|t| t.id == *id));
        let (kept_audio, kept_video) = (has(audio), has(video));
        for track in [audio, video].into_iter().flatten() {
            if kept_audio != Some(track) && kept_video != Some(track) {
                self.tracks.remove(track);
            }
        }
        let layers = params.tracks.iter().flat_map(|track| &track.layers);
        let sizes = layers.filter_map(|layer| Some((layer.layer, layer.size?)));
        let published = Published {
            link: id,
            session,
            gids,
            audio: kept_audio,
            video: kept_video,
            sizes: sizes.collect(),
            active: Vec::new(),
            allowed,
            codecs: limits.codecs,
            viewers: Set::new(),
            muted: ask.muted,
            name: ask.name.as_deref().map(clipped),
            source: ask.source,
        };
        self.effects.push(Effect::Expect(session, fingerprints));
        self.open_session(now, session, params);

        self.put_in_place(stream, published);
        Ok(Answer::Published { sid: ask.sid, sdp: answer })
    }

    /// Makes `published` what `stream` is from now on: in the groups where it was it changed, elsewhere it joined.
    fn put_in_place(&mut self, stream: StreamId, mut published: Published) {
        let (owner, gids) = (published.link, published.gids.clone());
        let dropped: Vec<_> = match self.streams.get(&stream) {
            Some(old) => old.gids.iter().filter(|gid| !gids.contains(gid)).copied().collect(),
            None => Vec::new(),
        };
        for gid in dropped {
            self.take_out(stream, gid, End::Silently);
        }
        let old = self.streams.remove(&stream);
        if let Some(old) = &old {
            self.close_session(old.session);
            self.withdraw(old.tracks());
            published.viewers.clone_from(&old.viewers);
            if old.link != owner {
                self.disown(old.link, stream.sid);
                self.tell_ended(old.link, &old.gids, stream.sid, End::Complete);
            }
        }
        let viewers: Set<_> = published.viewers.iter().map(|(_, viewer)| *viewer).collect();
        self.streams.insert(stream, published);
        if let Some(link) = self.links.get_mut(owner) {
            link.streams.insert(stream.sid);
        }
        for gid in gids {
            if let Some(group) = self.groups.get_mut(&gid) {
                group.streams.insert(stream);
            }
            let known = old.as_ref().is_some_and(|old| old.gids.contains(&gid));
            self.tell_stream(gid, stream, known);
            if let Some(entry) = self.entry(stream).filter(|_| !known) {
                self.effects.push(Effect::Report(gid, Happened::Publish(entry)));
            }
        }
        for viewer in viewers {
            self.arrange(viewer);
        }
        for gid in self.streams.get(&stream).map(|published| published.gids.clone()).unwrap_or_default() {
            self.follow_all(gid);
        }
    }

    /// Shows a stream that is live in further groups: the same media, by the same connection.
    pub fn share(&mut self, id: LinkId, sid: Sid, gids: &[Gid]) -> Result<(), Refusal> {
        let (stream, published) = self.own_stream(id, sid)?;
        let new: Set<_> = gids.iter().copied().filter(|gid| !published.gids.contains(gid)).collect();
        let all = published.gids.iter().chain(&new).copied().collect();
        self.may_publish_in(id, &all)?;
        self.may_add(id, &new, stream)?;
        if let Some(published) = self.streams.get_mut(&stream) {
            published.gids = all;
        }
        for gid in new {
            if let Some(group) = self.groups.get_mut(&gid) {
                group.streams.insert(stream);
            }
            self.tell_stream(gid, stream, false);
        }
        self.sync_limits(id);
        Ok(())
    }

    /// Ends a stream, or takes it out of one group.
    pub fn unpublish(&mut self, id: LinkId, sid: Sid, gid: Option<Gid>) -> Result<(), Refusal> {
        let (stream, published) = self.own_stream(id, sid)?;
        let gids: Vec<_> =
            published.gids.iter().copied().filter(|g| gid.is_none_or(|only| only == *g)).collect();
        if gids.is_empty() {
            return Err(no_stream());
        }
        for gid in gids {
            self.take_out(stream, gid, End::Silently);
        }
        Ok(())
    }

    /// Mutes or unmutes: others are told, and what is muted is dropped on arrival.
    pub fn mute(
        &mut self,
        id: LinkId,
        sid: Sid,
        audio: Option<bool>,
        video: Option<bool>,
    ) -> Result<(), Refusal> {
        let (stream, published) = self.own_stream(id, sid)?;
        let before = published.muted;
        let after = Muted { audio: audio.unwrap_or(before.audio), video: video.unwrap_or(before.video) };
        if before != after {
            self.set_muted(stream, after);
        }
        Ok(())
    }

    /// What is muted of a stream from now on.
    pub(super) fn set_muted(&mut self, stream: StreamId, after: Muted) {
        let Some(published) = self.streams.get_mut(&stream) else { return };
        let before = std::mem::replace(&mut published.muted, after);
        let (session, gids) = (published.session, published.gids.clone());
        self.sync_mutes(session, stream, before);
        for gid in gids {
            self.tell_stream(gid, stream, true);
        }
    }

    /// Tells the owner of a session which of its tracks are muted otherwise than `before`.
    pub(super) fn sync_mutes(&mut self, session: SessionId, stream: StreamId, before: Muted) {
        let Some(owner) = self.sessions.get(session).and_then(|session| session.owner) else { return };
        let Some(published) = self.streams.get(&stream) else { return };
        let after = published.muted;
        for (kind, track) in published.tracks() {
            let (was, muted) = match kind {
                Kind::Audio => (before.audio, after.audio),
                Kind::Video => (before.video, after.video),
            };
            if was != muted {
                self.effects.push(Effect::Shard(owner, Command::MuteTrack { track, muted }));
            }
        }
    }

    /// Restarts ICE of a published stream, with the client's new offer.
    pub fn restart_stream(&mut self, id: LinkId, sid: Sid, sdp: &str) -> Result<Answer, Refusal> {
        let (_, published) = self.own_stream(id, sid)?;
        let session = published.session;
        // The tracks are known already; only the answer is of use.
        let (audio, video) = (published.audio.unwrap_or(NO_TRACK), published.video.unwrap_or(NO_TRACK));
        let ids = PublishIds { codecs: published.codecs, ..PublishIds::new(audio, video) };
        let mut ours = self.ours(secret::ice());
        ours.fingerprint = self.sessions.get(session).map_or(ours.fingerprint, |session| session.fingerprint);
        let negotiated = negotiate::publish(sdp, &ours, &ids).map_err(bad_sdp)?;
        self.effects.push(Effect::Shards(ToAll::RestartIce(session, ours.ice)));
        Ok(Answer::Restarted { sdp: negotiated.answer })
    }

    /// Ends all that a link publishes in a group.
    pub(super) fn end_streams(&mut self, id: LinkId, gid: Gid, end: End) {
        let Some(link) = self.links.get(id) else { return };
        let uid = link.user.uid;
        for sid in link.streams.iter().copied().collect::<Vec<_>>() {
            self.take_out(StreamId { uid, sid }, gid, end);
        }
    }

    /// Ends a stream everywhere.
    pub(super) fn end_stream(&mut self, stream: StreamId, end: End) {
        let Some(published) = self.streams.get(&stream) else { return };
        for gid in published.gids.iter().copied().collect::<Vec<_>>() {
            self.take_out(stream, gid, end);
        }
    }

    /// Takes a stream out of a group; it ends with the last one.
    pub(super) fn take_out(&mut self, stream: StreamId, gid: Gid, end: End) {
        let Some(published) = self.streams.get_mut(&stream) else { return };
        if !published.gids.remove(&gid) {
            return;
        }
        let owner = published.link;
        let viewers: Vec<_> =
            published.viewers.iter().filter(|(at, _)| *at == gid).map(|(_, v)| *v).collect();
        published.viewers.retain(|(at, _)| *at != gid);
        if published.gids.is_empty() {
            let (session, tracks) = (published.session, published.tracks());
            self.streams.remove(&stream);
            self.disown(owner, stream.sid);
            self.close_session(session);
            self.withdraw(tracks);
        }
        self.sync_limits(owner);
        if let Some(group) = self.groups.get_mut(&gid) {
            group.streams.remove(&stream);
            group.talking.retain(|talker| *talker != stream);
        }
        let (joined, changed) = (Vec::new(), Vec::new());
        let listeners = self.listeners(gid, Some(stream.uid));
        self.tell_all(listeners, Notice::Roster { gid, all: false, joined, changed, left: vec![stream] });
        self.effects.push(Effect::Report(gid, Happened::Unpublish(stream)));
        self.tell_ended(owner, &Set::from([gid]), stream.sid, end);
        for viewer in viewers {
            self.forget_wish(viewer, gid, stream);
            self.arrange(viewer);
        }
        self.follow_all(gid);
    }

    fn disown(&mut self, link: LinkId, sid: Sid) {
        let Some(known) = self.links.get_mut(link) else { return };
        known.streams.remove(&sid);
        if known.role.is_some() && known.streams.is_empty() {
            self.done.push(link);
        }
    }

    fn withdraw(&mut self, tracks: impl Iterator<Item = (Kind, TrackId)>) {
        for (_, track) in tracks {
            self.tracks.remove(track);
            self.effects.push(Effect::Shards(ToAll::WithdrawTrack(track)));
        }
    }

    fn tell_ended(&mut self, link: LinkId, gids: &Set<Gid>, sid: Sid, end: End) {
        let Some(status) = end.status() else { return };
        for gid in gids {
            self.tell(link, Notice::Ended { gid: *gid, sid, status });
        }
    }

    /// Tells a group of a stream that changed or joined.
    fn tell_stream(&mut self, gid: Gid, stream: StreamId, known: bool) {
        let entry = self.entry(stream).into_iter().collect();
        let (joined, changed) = if known { (Vec::new(), entry) } else { (entry, Vec::new()) };
        let listeners = self.listeners(gid, Some(stream.uid));
        self.tell_all(listeners, Notice::Roster { gid, all: false, joined, changed, left: Vec::new() });
    }

    /// A stream as the roster shows it.
    pub(super) fn entry(&self, stream: StreamId) -> Option<Stream> {
        let published = self.streams.get(&stream)?;
        let user = &self.links.get(published.link)?.user;
        Some(Stream {
            uid: stream.uid,
            sid: stream.sid,
            name: published.name.clone().unwrap_or_else(|| user.name.clone()),
            address: user.address.clone(),
            source: published.source,
            audio: published.audio.is_some(),
            video: published.video.is_some(),
            muted: published.muted,
        })
    }

    fn own_stream(&self, id: LinkId, sid: Sid) -> Result<(StreamId, &Published), Refusal> {
        let stream = StreamId { uid: self.link(id)?.user.uid, sid };
        let published = self.streams.get(&stream).filter(|published| published.link == id);
        published.map(|published| (stream, published)).ok_or_else(no_stream)
    }

    fn new_track(&mut self, stream: StreamId, kind: Kind) -> Option<TrackId> {
        self.tracks.insert(Track { stream, kind })
    }

    fn negotiate(
        &self,
        (allowed, codecs): (Allowed, Codecs),
        session: SessionId,
        audio: TrackId,
        video: TrackId,
        ask: &Publish,
    ) -> Result<(SessionParams, String, Vec<Fingerprint>), Refusal> {
        let ours = self.ours(secret::ice());
        let layers: Vec<_> = ask
            .layers
            .iter()
            .filter_map(|l| Some((Rid::new(l.rid.as_bytes())?, PictureSize::new(l.width, l.height))))
            .collect();
        let ids = PublishIds {
            audio_muted: ask.muted.audio,
            video_muted: ask.muted.video,
            layers: &layers,
            audio_limits: allowed.audio,
            video_limits: allowed.video,
            codecs,
            ..PublishIds::new(audio, video)
        };
        let published = negotiate::publish(&ask.sdp, &ours, &ids).map_err(bad_sdp)?;
        let seed = secret::seed();
        let params = SessionParams {
            id: session,
            local: ours.ice,
            claim: Claim::default(),
            extensions: published.extensions,
            tracks: published.tracks,
            slots: Vec::new(),
            rtcp_ssrc: Ssrc(seed as u32),
            seed,
        };
        Ok((params, published.answer, published.remote.fingerprints))
    }

    /// Whether the link may publish one stream in every one of these groups.
    fn may_publish_in(&self, id: LinkId, gids: &Set<Gid>) -> Result<(), Refusal> {
        let link = self.link(id)?;
        if gids.is_empty() {
            return Err(Refusal::new("BADGROUP", "Name at least one group to publish to."));
        }
        if gids.len() > MAX_GIDS {
            return Err(Refusal::new("TOOMANY", format!("A stream goes to {MAX_GIDS} groups at most.")));
        }
        for gid in gids {
            let member = link.groups.get(gid);
            let member =
                member.ok_or_else(|| Refusal::new("BADGROUP", format!("Join group {gid} first.")))?;
            if !member.rights.publish {
                return Err(Refusal::new(
                    "NOTALLOWED",
                    format!("You may watch in group {gid}, not publish."),
                ));
            }
        }
        Ok(())
    }
}

fn clipped(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_owned()
}
