//! What there is to see of a live group from outside: people, streams, who gets what and why, and how their connections do.

use std::time::Duration;

use super::publish::Published;
use super::quality::Health;
use super::watch::told;
use super::{LinkId, Rooms};
use crate::control::ids::{Gid, Sid, Uid};
use crate::router::command::{Kind, TrackLimits};
use crate::router::id::SessionId;
use crate::signal::message::{Stream, StreamId, StreamRef, Why};
use crate::units::{Instant, PictureSize};

/// Statistics older than this are of a connection on which nothing flows.
const STALE: Duration = Duration::from_secs(5);

/// A stream, as it is published in a group.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// As the roster shows it.
    pub shown: Stream,
    /// How many watch it there.
    pub viewers: usize,
    /// Its pictures, from the smallest, and whether somebody wants them.
    pub layers: Vec<(PictureSize, bool)>,
    /// What its publisher may send of its picture at most.
    pub max: TrackLimits,
    /// Whether it is heard now.
    pub talking: bool,
    /// How the connection does on which it comes.
    pub connection: Option<Health>,
}

/// A stream that somebody watches, and what of it is sent.
#[derive(Clone, Copy, Debug)]
pub struct ViewReport {
    /// Which stream.
    pub stream: StreamRef,
    /// Whether its sound is wanted, and has a slot.
    pub audio: bool,
    /// The picture that is sent, and why this and no other; `None` where none is wanted, or nothing was sent yet.
    pub picture: Option<(PictureSize, Why)>,
}

/// Somebody who is in a group.
#[derive(Clone, Debug)]
pub struct PersonReport {
    /// Who.
    pub uid: Uid,
    /// As others see the person.
    pub name: String,
    /// Stable and unique.
    pub address: String,
    /// By how many sessions.
    pub sessions: usize,
    /// What the person publishes here.
    pub streams: Vec<StreamReport>,
    /// What the person watches here.
    pub views: Vec<ViewReport>,
    /// How the connection does on which that goes out, with what the person watches in other groups.
    pub connection: Option<Health>,
}

impl Rooms {
    /// The people in a group after this one, in the order of their numbers.
    pub fn people_after(&self, gid: Gid, after: Option<Uid>) -> Vec<Uid> {
        let people = self.groups.get(&gid).into_iter().flat_map(|group| group.people.keys());
        people.copied().filter(|uid| after.is_none_or(|after| *uid > after)).collect()
    }

    /// The streams that are published in a group, in their order.
    pub fn streams_in(&self, gid: Gid) -> Vec<StreamId> {
        self.groups.get(&gid).map(|group| group.streams.iter().copied().collect()).unwrap_or_default()
    }

    /// Somebody who is in a group.
    pub fn person(&self, now: Instant, gid: Gid, uid: Uid) -> Option<PersonReport> {
        let group = self.groups.get(&gid)?;
        let links = group.people.get(&uid)?;
        let user = &self.links.get(*links.first()?)?.user;
        let of = StreamId { uid, sid: Sid(0) }..=StreamId { uid, sid: Sid(u8::MAX) };
        let streams = group.streams.range(of).filter_map(|stream| self.stream(now, gid, *stream));
        let watching = links.iter().copied().find(|link| self.viewing_session(*link).is_some());
        Some(PersonReport {
            uid,
            name: user.name.clone(),
            address: user.address.clone(),
            sessions: links.len(),
            streams: streams.collect(),
            views: links.iter().flat_map(|link| self.views(*link, gid)).collect(),
            connection: watching.and_then(|link| self.health(now, self.viewing_session(link)?)),
        })
    }

    /// A stream that is published in a group.
    pub fn stream(&self, now: Instant, gid: Gid, stream: StreamId) -> Option<StreamReport> {
        let group = self.groups.get(&gid).filter(|group| group.streams.contains(&stream))?;
        let published = self.streams.get(&stream)?;
        Some(StreamReport {
            shown: self.entry(stream)?,
            viewers: published.viewers.iter().filter(|(at, _)| *at == gid).count(),
            layers: layers(published),
            max: published.allowed.video,
            talking: group.talking.contains(&stream),
            connection: self.health(now, published.session),
        })
    }

    fn viewing_session(&self, link: LinkId) -> Option<SessionId> {
        Some(self.links.get(link)?.viewing.peer.as_ref()?.session)
    }

    fn health(&self, now: Instant, session: SessionId) -> Option<Health> {
        self.sessions.get(session)?.quality.health(now, STALE)
    }

    fn views(&self, link: LinkId, gid: Gid) -> Vec<ViewReport> {
        let Some(viewing) = self.links.get(link).map(|link| &link.viewing) else { return Vec::new() };
        let here = viewing.wishes.keys().filter(|stream| stream.gid == gid);
        here.map(|stream| {
            let slots = || viewing.peer.iter().flat_map(|peer| &peer.slots);
            let carries = |kind| slots().find(move |s| s.kind == kind && s.fill == Some(*stream));
            let sends = carries(Kind::Video).and_then(|slot| slot.sends);
            let picture = sends.filter(|(of, ..)| of == stream).map(|(_, size, why)| (size, told(why)));
            ViewReport { stream: *stream, audio: carries(Kind::Audio).is_some(), picture }
        })
        .collect()
    }
}

/// The pictures of a stream; while it was not said, all are taken to be wanted.
fn layers(published: &Published) -> Vec<(PictureSize, bool)> {
    let mut sizes = published.sizes.clone();
    sizes.sort_unstable_by_key(|(_, size)| size.area());
    let wanted = |n: usize| published.active.get(n).copied().unwrap_or(true);
    sizes.into_iter().enumerate().map(|(n, (_, size))| (size, wanted(n))).collect()
}
