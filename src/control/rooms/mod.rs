//! Live rooms: who is present, what is published, who watches what. Plain state: what is to be done comes out as
//! [`Effect`]s, and time comes in with each call.
//!
//! A *link* is a signalling session: one signed-in client, over however many transports it takes. It joins *groups*,
//! publishes *streams* (each a media session of its own, with up to one audio and one video track) and watches others
//! on one connection, its *viewing*, whose slots are filled as it asks. A resource of WHIP or WHEP is a link, too, one
//! without signalling (`posted`).

mod admission;
mod call;
mod chat;
mod connection;
mod crowd;
mod effect;
mod group;
mod limits;
mod link;
mod measure;
mod moderate;
mod news;
mod pick;
mod posted;
mod publish;
mod quality;
mod recorder;
mod report;
mod seat;
mod secret;
mod snapshot;
mod table;
mod talking;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::admission::Admission;
use self::connection::Session;
pub use self::effect::{Effect, Happened, ToAll};
use self::group::Group;
pub use self::link::Attachment;
use self::link::Link;
use self::measure::Measures;
pub use self::pick::{Encoding, Pick, Shown};
pub use self::posted::{Follow, Restart};
use self::publish::Published;
pub use self::quality::Health;
pub use self::recorder::Recalled;
pub use self::report::{LayerReport, PersonReport, StreamReport, SummaryReport, Traffic, ViewReport};
pub use self::seat::{Removal, Seat};
use self::table::Table;
use super::directory::TokenId;
use super::ids::{Gid, Uid};
use crate::router::command::Kind;
use crate::router::id::{SessionId, ShardId, TrackId};
use crate::router::speakers::{Ranking, Talker};
use crate::signal::message::{Notice, Refusal, StreamId};
use crate::sorted::{Map, Set};
use crate::units::Instant;

/// How long a link without a transport waits to be resumed, a lost publisher is kept, and a media session may take
/// until its peer's first nomination.
pub const GRACE: Duration = Duration::from_secs(30);
/// Links at once.
const MAX_LINKS: usize = 50_000;
/// Media sessions at once: every link may watch and publish.
const MAX_SESSIONS: usize = 2 * MAX_LINKS;
/// Tracks at once.
const MAX_TRACKS: usize = MAX_LINKS;

/// A signalling session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId {
    /// Place in the table.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

impl LinkId {
    /// Before all others, and behind them.
    const FIRST: Self = Self { index: 0, generation: 0 };
    const LAST: Self = Self { index: u32::MAX, generation: u32::MAX };
    /// No session.
    pub const NONE: Self = Self { index: u32::MAX, generation: u32::MAX };
}

/// What every session description of ours says.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where we can be reached over UDP.
    pub candidates: Vec<SocketAddr>,
    /// Where we can be reached over TCP.
    pub streams: Vec<SocketAddr>,
    /// SHA-256 of our DTLS certificate.
    pub fingerprint: [u8; 32],
    /// How many voices a viewer hears at once, the loudest, where nothing else is said. Of more than a few nobody
    /// understands a word.
    pub voices: u8,
    /// Handshakes of media connections in flight; who comes beyond them is told to ask again.
    pub handshakes: usize,
}

/// A track's place in the rooms.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Track {
    stream: StreamId,
    kind: Kind,
}

/// What is due at a time. A timer that comes when its reason is gone does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Timer {
    /// A link without a transport is over.
    Grace(LinkId),
    /// Somebody's membership ends.
    Expiry(LinkId, Gid),
    /// Somebody's call has lasted as long as it may.
    CallEnd(LinkId, Gid),
    /// A group tells how many people there are.
    People(Gid),
    /// A media session should have been claimed by a shard.
    Claim(SessionId),
    /// A lost publisher is over.
    Lost(SessionId),
    /// A handshake should have ended.
    Secured(SessionId),
    /// Nobody may look at a media session any more.
    Measured(SessionId),
}

/// What there is in the rooms, and what happened since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Groups with somebody in them.
    pub calls: usize,
    /// People in them; who is in two counts twice.
    pub people: usize,
    /// Signed-in clients.
    pub links: usize,
    /// Published streams.
    pub streams: usize,
    /// Media connections.
    pub connections: usize,
    /// Handshakes in flight.
    pub handshakes: usize,
    /// Handshakes that began.
    pub handshakes_begun: u64,
    /// Who was told to ask again, since too many were in flight.
    pub handshakes_refused: u64,
}

/// All live rooms.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rooms {
    #[serde(skip)]
    config: Config,
    links: Table<LinkId, Link>,
    /// Who is signed in, by the token and by the user.
    tokens: Set<(TokenId, LinkId)>,
    users: Set<(Uid, LinkId)>,
    /// When a call in a group may be told of again.
    rung: HashMap<Gid, Instant>,
    /// Links without signalling that have nothing left to do, ...
    done: Vec<LinkId>,
    /// ... and those that ended.
    gone: Vec<LinkId>,
    groups: HashMap<Gid, Group>,
    streams: HashMap<StreamId, Published>,
    sessions: Table<SessionId, Session>,
    tracks: Table<TrackId, Track>,
    /// Who is talking, by the shard that says so, and all of them in order.
    #[serde(skip)]
    talkers: Map<ShardId, Vec<Talker>>,
    #[serde(skip)]
    ranking: Ranking,
    #[serde(skip)]
    admission: Admission,
    #[serde(skip)]
    measures: Measures,
    /// Sessions whose packets' headers are kept, and until when.
    #[serde(skip)]
    recorded: Vec<(SessionId, Instant)>,
    timers: Set<(Instant, Timer)>,
    #[serde(skip)]
    effects: Vec<Effect>,
}

impl Rooms {
    /// Rooms with nobody in them.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            links: Table::new(MAX_LINKS),
            tokens: Set::new(),
            users: Set::new(),
            rung: HashMap::new(),
            done: Vec::new(),
            gone: Vec::new(),
            groups: HashMap::new(),
            streams: HashMap::new(),
            sessions: Table::new(MAX_SESSIONS),
            tracks: Table::new(MAX_TRACKS),
            talkers: Map::new(),
            ranking: Ranking::default(),
            admission: Admission::default(),
            measures: Measures::default(),
            recorded: Vec::new(),
            timers: Set::new(),
            effects: Vec::new(),
        }
    }

    /// Names another certificate in what is negotiated from now on.
    pub fn set_fingerprint(&mut self, fingerprint: [u8; 32]) {
        self.config.fingerprint = fingerprint;
    }

    /// Lets viewers hear so many voices, from when they next begin to watch, where nothing else is said.
    pub const fn set_voices(&mut self, voices: u8) {
        self.config.voices = voices;
    }

    /// What is to be done, in order; to be asked for after every other call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Rooms::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        self.timers.first().map_or(Instant::NEVER, |(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Grace(link) => self.grace_over(now, link),
                Timer::Expiry(link, gid) => self.expiry_due(now, link, gid),
                Timer::CallEnd(link, gid) => self.call_end_due(now, link, gid),
                Timer::People(gid) => self.people_due(now, gid),
                Timer::Claim(session) => self.claim_due(now, session),
                Timer::Lost(session) => self.lost_over(now, session),
                Timer::Secured(session) => self.end_securing(session),
                Timer::Measured(session) => self.measured_over(now, session),
            }
        }
    }

    /// The groups with somebody in them, and how many people and streams that is.
    pub fn live(&self) -> impl Iterator<Item = (Gid, usize, usize)> {
        self.groups.iter().map(|(gid, group)| (*gid, group.people.len(), group.streams.len()))
    }

    /// How many links, streams and media sessions there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.links.len(), self.streams.len(), self.sessions.len())
    }

    /// What there is and what happened, for whoever watches the server.
    pub fn report(&self) -> Report {
        Report {
            calls: self.groups.len(),
            people: self.groups.values().map(|group| group.people.len()).sum(),
            links: self.links.len(),
            streams: self.streams.len(),
            connections: self.sessions.len(),
            handshakes: self.admission.in_flight,
            handshakes_begun: self.admission.begun,
            handshakes_refused: self.admission.refused,
        }
    }

    fn wake_at(&mut self, at: Instant, timer: Timer) {
        if at != Instant::NEVER {
            self.timers.insert((at, timer));
        }
    }

    fn tell(&mut self, link: LinkId, notice: Notice) {
        self.effects.push(Effect::Tell(vec![link], notice));
    }

    fn tell_all(&mut self, links: Vec<LinkId>, notice: Notice) {
        if !links.is_empty() {
            self.effects.push(Effect::Tell(links, notice));
        }
    }

    fn link(&self, link: LinkId) -> Result<&Link, Refusal> {
        self.links.get(link).ok_or_else(|| Refusal::new("AUTHFAIL", "The session is over; say hello again."))
    }
}
