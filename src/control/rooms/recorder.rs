//! The flight recorders of people: whose packets' headers are kept, and what came of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::connection::Purpose;
use super::{Effect, Rooms};
use crate::batch::Path;
use crate::control::ids::{Gid, Sid, Uid};
use crate::router::command::{Command, Kind};
use crate::router::id::{SessionId, ShardId, TrackId};
use crate::router::recorder::{KEPT, Recording, What};
use crate::signal::message::{Refusal, StreamId};
use crate::units::Instant;

/// Connections whose headers are kept at once: 8 MB of them.
const MOST: usize = 32;

/// What the flight recorder of a connection had when it was asked.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// Which connection.
    pub session: SessionId,
    /// What it carries in; `None` is what somebody watches.
    pub stream: Option<StreamId>,
    /// What there was.
    pub recording: Arc<Recording>,
    /// Whose the tracks are that it names, of those that are still there.
    pub tracks: Vec<(TrackId, StreamId, Kind)>,
    /// Our own addresses on its paths.
    pub ours: Vec<SocketAddr>,
}

impl Rooms {
    /// Has the headers of all kept that somebody in a group publishes and watches, for so long; for no time forgets them.
    pub fn record(&mut self, now: Instant, gid: Gid, uid: Uid, lasts: Duration) -> Result<(), Refusal> {
        self.recorded.retain(|(_, over)| *over > now);
        let sessions = self.sessions_of(gid, uid);
        self.recorded.retain(|(session, _)| !sessions.contains(session));
        if !lasts.is_zero() && self.recorded.len() + sessions.len() > MOST {
            let text = format!(
                "Headers of {MOST} connections at most are kept at once: end the recorder of others first."
            );
            return Err(Refusal::new("TOOMANY", text));
        }
        let until = now + lasts;
        for session in sessions {
            let Some(owner) = self.owner(session) else { continue };
            if !lasts.is_zero() {
                self.recorded.push((session, until + KEPT));
            }
            self.effects.push(Effect::Shard(owner, Command::Record { session, until }));
        }
        Ok(())
    }

    /// Asks the shards what the recorders of somebody in a group have; which sessions these are.
    pub fn recall(&mut self, gid: Gid, uid: Uid) -> Vec<SessionId> {
        let mut sessions = self.sessions_of(gid, uid);
        sessions.retain(|session| {
            let owner = self.sessions.get(*session).and_then(|session| session.owner);
            let asks = owner.map(|owner| Effect::Shard(owner, Command::Recall(*session)));
            self.effects.extend(asks);
            owner.is_some()
        });
        sessions
    }

    /// A shard's answer, with what the rooms know of it.
    pub fn recalled(&self, session: SessionId, recording: Arc<Recording>) -> Option<Recalled> {
        let stream = match self.sessions.get(session)?.purpose {
            Purpose::Publishing(stream) => Some(stream),
            Purpose::Watching(_) => None,
        };
        let named = recording.notes.iter().filter_map(|note| match note.what {
            What::Watches { track, .. } => track,
            What::KeyframeAsked { track, .. } | What::Arrives { track, .. } => Some(track),
            _ => None,
        });
        let known = named.filter_map(|id| self.tracks.get(id).map(|track| (id, track.stream, track.kind)));
        let mut tracks: Vec<_> = known.collect();
        tracks.dedup();
        let ours = recording.paths.iter().map(|path| self.our_address(path)).collect();
        Some(Recalled { session, stream, recording, tracks, ours })
    }

    /// The sessions on which somebody in a group publishes and watches.
    pub(super) fn sessions_of(&self, gid: Gid, uid: Uid) -> Vec<SessionId> {
        let Some(group) = self.groups.get(&gid) else { return Vec::new() };
        let of = StreamId { uid, sid: Sid(0) }..=StreamId { uid, sid: Sid(u8::MAX) };
        let streams = group.streams.range(of).filter_map(|stream| Some(self.streams.get(stream)?.session));
        let links = group.people.get(&uid).into_iter().flatten();
        streams.chain(links.filter_map(|link| self.viewing_session(*link))).collect()
    }

    fn owner(&self, session: SessionId) -> Option<ShardId> {
        self.sessions.get(session)?.owner
    }

    /// Where the peer of a path sends to: the kernel says which of our addresses that is, unless it need not.
    fn our_address(&self, path: &Path) -> SocketAddr {
        let told = if path.is_stream() { &self.config.streams } else { &self.config.candidates };
        let of_family = |ours: &&SocketAddr| ours.is_ipv4() == path.remote.ip().to_canonical().is_ipv4();
        let ours = told.iter().find(of_family).or_else(|| told.first()).copied();
        let ours = ours.unwrap_or_else(|| SocketAddr::new(IpAddr::from([0; 4]), 0));
        match path.local.is_unspecified() {
            true => ours,
            false => SocketAddr::new(path.local, ours.port()),
        }
    }
}
