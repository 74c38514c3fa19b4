//! What there is to see of a live group from outside: people, streams, who gets what and why, and how their connections do.

use std::time::Duration;

use super::publish::Published;
use super::quality::Health;
use super::{LinkId, Rooms};
use crate::control::ids::{Gid, Sid, Uid};
use crate::router::command::{Kind, TrackLimits};
use crate::router::id::{LayerId, SessionId};
use crate::signal::message::{Muted, Stream, StreamId, StreamRef, Why};
use crate::sorted::sort_by_key;
use crate::units::{Bitrate, Instant, PictureSize};

/// Statistics older than this are of a connection on which nothing flows.
const STALE: Duration = Duration::from_secs(5);

/// One picture of a stream.
#[derive(Clone, Copy, Debug)]
pub struct LayerReport {
    /// Its size.
    pub size: PictureSize,
    /// Whether somebody wants it.
    pub wanted: bool,
    /// What came of it of late, and how many a second; `None` while it was not measured.
    pub arrives: Option<(Bitrate, u16)>,
}

/// A stream, as it is published in a group.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// As the roster shows it.
    pub shown: Stream,
    /// How many watch it there.
    pub viewers: usize,
    /// Its pictures, from the smallest.
    pub layers: Vec<LayerReport>,
    /// What of its sound came of late; `None` while it was not measured.
    pub sound: Option<Bitrate>,
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
    /// The simulcast layer of which the picture is, from the smallest.
    pub layer: Option<LayerId>,
    /// The tile for which a picture is wanted; `None` where none is.
    pub tile: Option<PictureSize>,
    /// What of its picture and of its sound was sent of late; `None` where it has no slot, or was not measured.
    pub picture_rate: Option<Bitrate>,
    /// See `picture_rate`.
    pub sound_rate: Option<Bitrate>,
}

/// What passes between the server and somebody, or all of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What is published here.
    pub incoming: Bitrate,
    /// What goes out, with what is watched in other groups.
    pub outgoing: Bitrate,
    /// The worst loss of all connections.
    pub loss_percent: u8,
    /// The longest round trip.
    pub rtt: Option<Duration>,
    /// What the narrowest way out is taken to carry.
    pub estimate: Option<Bitrate>,
    /// Pictures that bandwidth keeps below what their tiles ask for, and those that it pauses.
    pub limited: u32,
    /// See `limited`.
    pub paused: u32,
}

/// Somebody who is in a group, in a line.
#[derive(Clone, Copy, Debug)]
pub struct SummaryReport<'a> {
    /// Who.
    pub uid: Uid,
    /// As others see the person.
    pub name: &'a str,
    /// Stable and unique.
    pub address: &'a str,
    /// How many streams the person publishes here.
    pub streams: usize,
    /// How many the person watches here.
    pub views: usize,
    /// Whether the person is heard now.
    pub talking: bool,
    /// What all streams of the person that have it are muted of.
    pub muted: Muted,
    /// What passes.
    pub traffic: Traffic,
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
            views: links.iter().flat_map(|link| self.views(now, *link, gid)).collect(),
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
            layers: self.layers(now, published),
            sound: published.audio.and_then(|track| {
                self.measures.layer(now, published.session, track, LayerId(0)).map(|(rate, _)| rate)
            }),
            max: published.allowed.video,
            talking: group.talking.contains(&stream),
            connection: self.health(now, published.session),
        })
    }

    /// Everybody in a group, in the order of their numbers.
    pub fn summaries(&self, now: Instant, gid: Gid) -> impl Iterator<Item = SummaryReport<'_>> {
        let group = self.groups.get(&gid).into_iter();
        group.flat_map(move |group| group.people.keys().filter_map(move |uid| self.summary(now, gid, *uid)))
    }

    fn summary(&self, now: Instant, gid: Gid, uid: Uid) -> Option<SummaryReport<'_>> {
        let group = self.groups.get(&gid)?;
        let links = group.people.get(&uid)?;
        let user = &self.links.get(*links.first()?)?.user;
        let of = StreamId { uid, sid: Sid(0) }..=StreamId { uid, sid: Sid(u8::MAX) };
        let streams = || group.streams.range(of.clone());
        let published = || streams().filter_map(|stream| self.streams.get(stream));
        let muted = |kind, muted: fn(&Muted) -> bool| {
            let mut with = published().filter(|published| published.track(kind).is_some()).peekable();
            with.peek().is_some() && with.all(|published| muted(&published.muted))
        };
        let viewings = || links.iter().filter_map(|link| Some(&self.links.get(*link)?.viewing));
        let wishes = viewings().flat_map(|viewing| viewing.wishes.keys());
        let watching = viewings().filter_map(|viewing| Some(viewing.peer.as_ref()?.session));
        let sessions = published().map(|published| published.session).chain(watching);
        let health = sessions.filter_map(|session| self.health(now, session));
        Some(SummaryReport {
            uid,
            name: &user.name,
            address: &user.address,
            streams: streams().count(),
            views: wishes.filter(|stream| stream.gid == gid).count(),
            talking: streams().any(|stream| group.talking.contains(stream)),
            muted: Muted { audio: muted(Kind::Audio, |m| m.audio), video: muted(Kind::Video, |m| m.video) },
            traffic: health.fold(Traffic::default(), |sum, health| sum.and(Traffic::of(&health))),
        })
    }

    pub(super) fn viewing_session(&self, link: LinkId) -> Option<SessionId> {
        Some(self.links.get(link)?.viewing.peer.as_ref()?.session)
    }

    fn health(&self, now: Instant, session: SessionId) -> Option<Health> {
        self.sessions.get(session)?.quality.health(now, STALE)
    }

    fn views(&self, now: Instant, link: LinkId, gid: Gid) -> Vec<ViewReport> {
        let Some(viewing) = self.links.get(link).map(|link| &link.viewing) else { return Vec::new() };
        let here = viewing.wishes.iter().filter(|(stream, _)| stream.gid == gid);
        here.map(|(stream, wish)| {
            let slots = || viewing.peer.iter().flat_map(|peer| &peer.slots);
            let carries = |kind| slots().find(move |s| s.kind == kind && s.fill == Some(*stream));
            let session = viewing.peer.as_ref().map(|peer| peer.session);
            let sent = |kind| Some(self.measures.slot(now, session?, carries(kind)?.id));
            let (picture_sent, sound_sent) = (sent(Kind::Video), sent(Kind::Audio));
            let sends = carries(Kind::Video).and_then(|slot| slot.sends);
            ViewReport {
                stream: *stream,
                audio: carries(Kind::Audio).is_some(),
                picture: sends.filter(|(of, ..)| of == stream).map(|(_, size, why)| (size, why.into())),
                layer: picture_sent.and_then(|sent| sent.layer),
                tile: wish.tile(),
                picture_rate: picture_sent.and_then(|sent| sent.rate),
                sound_rate: sound_sent.and_then(|sent| sent.rate),
            }
        })
        .collect()
    }

    /// The pictures of a stream; while it was not said, all are taken to be wanted.
    fn layers(&self, now: Instant, published: &Published) -> Vec<LayerReport> {
        let mut sizes = published.sizes.clone();
        sort_by_key(&mut sizes, |(_, size)| size.area());
        let wanted = |n: usize| published.active.get(n).copied().unwrap_or(true);
        let arrives = |layer| self.measures.layer(now, published.session, published.video?, layer);
        let layers = sizes.into_iter().enumerate();
        layers
            .map(|(n, (layer, size))| LayerReport { size, wanted: wanted(n), arrives: arrives(layer) })
            .collect()
    }
}

impl Traffic {
    fn of(health: &Health) -> Self {
        let Health { stats, loss_percent } = *health;
        Self {
            incoming: stats.bitrate_in,
            outgoing: stats.bitrate_out,
            loss_percent,
            rtt: stats.rtt,
            estimate: stats.estimate,
            limited: stats.limited.into(),
            paused: stats.paused.into(),
        }
    }

    /// This and that.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |a: Bitrate, b: Bitrate| Bitrate::from_bps(a.as_bps().saturating_add(b.as_bps()));
        Self {
            incoming: sum(self.incoming, other.incoming),
            outgoing: sum(self.outgoing, other.outgoing),
            loss_percent: self.loss_percent.max(other.loss_percent),
            rtt: self.rtt.max(other.rtt),
            estimate: [self.estimate, other.estimate].into_iter().flatten().min(),
            limited: self.limited.saturating_add(other.limited),
            paused: self.paused.saturating_add(other.paused),
        }
    }
}
