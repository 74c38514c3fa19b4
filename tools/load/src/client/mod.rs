//! A participant: it joins a room, publishes encoded frames, watches others, and takes part in the chat.
//!
//! ```no_run
//! use millrace_load::client::{Client, Event, Tile};
//! use millrace_load::web::Room;
//!
//! # async fn run() -> Result<(), millrace_load::Error> {
//! let room = Room::from_link("http://localhost:8080/#gid=1000&pin=12345678")?;
//! let mut client = Client::join(&room, "Recorder").await?;
//! client.say("I am recording.", None).await?;
//! while let Some(event) = client.next().await? {
//!     match event {
//!         Event::Appeared(stream) => client.watch(stream.id, Tile::of(1280, 720)).await?,
//!         Event::Frame(stream, frame) => println!("{stream:?}: {} bytes", frame.data.len()),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod outgoing;
mod shared;
mod unrest;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::control::ids::{Gid, MessageId, Uid};
use millrace::router::command::IceCredentials;
pub use millrace::signal::message::{Muted, Notice, Person, Said, StreamId};
use millrace::signal::message::{Request, Say, StreamRef, Watch};
use tokio::sync::mpsc;

use self::outgoing::Line;
pub use self::outgoing::{Outgoing, Picture, Tracks};
pub use self::shared::Shared;
use crate::Error;
use crate::drive::{Engine, Running};
use crate::measure::Meter;
use crate::peer::random_credentials;
use crate::sdp::read_offer;
use crate::signal::Session;
use crate::viewer::Viewer;
pub use crate::viewer::{Coded, Frame};
use crate::web::Room;

/// Frames that wait to be fetched; those beyond are lost.
const WAITING_FRAMES: usize = 1024;
/// How long a publisher has to come to a new server before it counts as gone.
const GRACE: Duration = Duration::from_secs(8);

/// How a stream is shown: the server sends the layer that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// In pixels; 0 for no picture.
    pub width: u16,
    /// In pixels; 0 for no picture.
    pub height: u16,
    /// Whether the sound is wanted.
    pub audio: bool,
}

impl Tile {
    /// A tile of this size, with sound.
    pub const fn of(width: u16, height: u16) -> Self {
        Self { width, height, audio: true }
    }

    /// No picture.
    pub const SOUND: Self = Self::of(0, 0);
}

/// A stream that somebody else publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Whose, and which of theirs.
    pub id: StreamId,
    /// The name to show.
    pub name: String,
    /// 1 camera, 2 screen.
    pub source: u8,
    /// Whether it has sound, and a picture.
    pub has: (bool, bool),
    /// What of it is muted.
    pub muted: Muted,
}

/// What happens in the room.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody publishes.
    Appeared(Stream),
    /// Something of a stream changed, such as what is muted.
    Changed(Stream),
    /// Somebody ceased to publish.
    Left(StreamId),
    /// Something was said.
    Message(Said),
    /// Something of a watched stream came.
    Frame(StreamId, Frame),
    /// Everything else that the server says (`docs/signalling.md`).
    Other(Notice),
}

/// A participant in one room.
pub struct Client {
    gid: Gid,
    room: Room,
    session: Session,
    shared: Shared,
    streams: BTreeMap<StreamId, Stream>,
    /// What is watched, and how.
    tiles: BTreeMap<StreamId, Tile>,
    /// What is published.
    published: Option<Arc<Line>>,
    /// Streams of the server before that have not come to this one yet, and how long they are waited for.
    awaited: (BTreeSet<StreamId>, Option<tokio::time::Instant>),
    /// Which stream fills which m-line.
    slots: BTreeMap<String, StreamId>,
    events: VecDeque<Event>,
    ice: IceCredentials,
    /// The server's, of the connection on which one watches.
    theirs: Option<IceCredentials>,
    viewer: Option<Running<Viewer>>,
    frames: (mpsc::Sender<Frame>, mpsc::Receiver<Frame>),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({} in {})", self.uid(), self.gid)
    }
}

impl Client {
    /// Enters a room as a guest.
    pub async fn join(room: &Room, name: &str) -> Result<Self, Error> {
        Self::join_on(room, name, Engine::new(1)?).await
    }

    /// The same on threads that others use as well.
    pub async fn join_on(room: &Room, name: &str, engine: Engine) -> Result<Self, Error> {
        Self::join_as(room, room.guest(name).await?, engine).await
    }

    /// The same, as who has this token.
    pub async fn join_as(room: &Room, token: String, engine: Engine) -> Result<Self, Error> {
        let shared = Shared::new(room, engine).await?;
        let session = shared.enter_by(room, token).await?;
        Ok(Self {
            gid: Gid(room.gid),
            room: room.clone(),
            session,
            shared,
            streams: BTreeMap::new(),
            tiles: BTreeMap::new(),
            published: None,
            awaited: (BTreeSet::new(), None),
            slots: BTreeMap::new(),
            events: VecDeque::new(),
            ice: random_credentials(),
            theirs: None,
            viewer: None,
            frames: mpsc::channel(WAITING_FRAMES),
        })
    }

    /// Who one is.
    pub fn uid(&self) -> Uid {
        self.session.welcome().uid
    }

    /// The streams that others publish now.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    /// Publishes; frames are given to what this returns, once it is connected.
    pub async fn publish(&mut self, tracks: Tracks) -> Result<Outgoing, Error> {
        let line = Line::new(tracks);
        line.publish(&self.shared, self.gid, &mut self.session).await?;
        self.published = Some(line.clone());
        Ok(Outgoing::over(line))
    }

    /// Ceases to publish.
    pub async fn unpublish(&mut self, outgoing: Outgoing) -> Result<(), Error> {
        self.published = None;
        self.session.request("unpublish", &outgoing.unpublish(self.gid)).await?;
        outgoing.stop().await
    }

    /// Watches a stream, or shows it otherwise.
    pub async fn watch(&mut self, stream: StreamId, tile: Tile) -> Result<(), Error> {
        let StreamId { uid, sid } = stream;
        let Tile { width, height, audio } = tile;
        let video = width > 0 && height > 0;
        let (gid, visible, priority) = (self.gid, true, 1);
        let watch = Watch { gid, uid, sid, audio, video, width, height, visible, priority };
        self.session.request("watch", &Request::Watch(watch)).await?;
        self.tiles.insert(stream, tile);
        Ok(())
    }

    /// Watches it no more.
    pub async fn unwatch(&mut self, stream: StreamId) -> Result<(), Error> {
        self.tiles.remove(&stream);
        let StreamId { uid, sid } = stream;
        let unwatch = Request::Unwatch(StreamRef { gid: self.gid, uid, sid });
        self.session.request("unwatch", &unwatch).await.map(drop)
    }

    /// Says something to all, or to one person. Its number.
    pub async fn say(&mut self, text: &str, to: Option<Uid>) -> Result<MessageId, Error> {
        #[derive(serde::Deserialize)]
        struct Sent {
            id: MessageId,
        }
        let say = Say { gid: self.gid, to, text: text.to_owned(), file: None, key: None };
        Ok(self.session.ask::<Sent>("message", &Request::Message(say)).await?.id)
    }

    /// The next thing that happens; `None` when one is no longer there. What the server offers for watching is
    /// answered here, and where a successor took the server's place one goes on there, with all that was published and
    /// watched, so this is to be called again and again; who cancels it may leave an offer unanswered, and should
    /// only do so to leave. Frames are sent beside it, from a task that holds the [`Outgoing`].
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let patience = self.awaited.1;
            tokio::select! {
                biased;
                notice = self.session.notice() => match (self.session.goes_on(notice.as_ref()), notice) {
                    (Some(after), _) => {
                        tokio::time::sleep(after).await;
                        self.follow().await?;
                    }
                    (None, Some(notice)) => self.hear(notice).await?,
                    (None, None) => return Ok(None),
                },
                () = async { tokio::time::sleep_until(patience.unwrap_or_else(tokio::time::Instant::now)).await },
                    if patience.is_some() => self.wait_no_more(),
                Some(frame) = self.frames.1.recv() => {
                    // A slot that was given to somebody else in the meantime belongs to nobody until its next frame.
                    if let Some(stream) = self.slots.get(&frame.mid) {
                        return Ok(Some(Event::Frame(*stream, frame)));
                    }
                }
            }
        }
    }

    /// Leaves.
    pub async fn leave(self) -> Result<(), Error> {
        if let Some(viewer) = self.viewer {
            viewer.stop().await?;
        }
        self.session.bye().await;
        Ok(())
    }

    /// Goes on with the server's successor. If it knows nothing of us everything begins anew.
    async fn follow(&mut self) -> Result<(), Error> {
        if self.shared.follow(&self.room, &mut self.session).await? {
            return Ok(());
        }
        self.slots.clear();
        self.awaited = (self.streams.keys().copied().collect(), Some(tokio::time::Instant::now() + GRACE));
        if let Some(viewer) = self.viewer.take() {
            // How it ended without its server is of no interest.
            let _ = viewer.stop().await;
        }
        if let Some(line) = self.published.clone() {
            line.publish(&self.shared, self.gid, &mut self.session).await?;
        }
        Ok(())
    }

    /// Who has not come to this server by now is gone.
    fn wait_no_more(&mut self) {
        self.awaited.1 = None;
        for id in std::mem::take(&mut self.awaited.0) {
            self.tiles.remove(&id);
            if self.streams.remove(&id).is_some() {
                self.events.push_back(Event::Left(id));
            }
        }
    }

    async fn hear(&mut self, notice: Notice) -> Result<(), Error> {
        match notice {
            Notice::Roster { all, joined, changed, left, .. } => {
                let gone = if all { self.streams.keys().copied().collect() } else { left };
                for id in gone {
                    let stays = all && joined.iter().any(|s| (s.uid, s.sid) == (id.uid, id.sid));
                    let awaited = all && self.awaited.0.contains(&id);
                    if !awaited && !stays && self.streams.remove(&id).is_some() {
                        self.tiles.remove(&id);
                        self.events.push_back(Event::Left(id));
                    }
                }
                let own = self.uid();
                for (stream, is_new) in
                    joined.into_iter().map(|s| (s, true)).chain(changed.into_iter().map(|s| (s, false)))
                {
                    if stream.uid == own {
                        continue;
                    }
                    let id = StreamId { uid: stream.uid, sid: stream.sid };
                    let returned = self.awaited.0.remove(&id);
                    let (name, source, muted) = (stream.name, stream.source, stream.muted);
                    let stream = Stream { id, name, source, has: (stream.audio, stream.video), muted };
                    let known = self.streams.insert(id, stream.clone()).is_some();
                    self.events.push_back(if is_new && !returned && !known {
                        Event::Appeared(stream)
                    } else {
                        Event::Changed(stream)
                    });
                    if let Some(tile) = self.tiles.get(&id).copied().filter(|_| returned) {
                        match self.watch(id, tile).await {
                            // It ended meanwhile.
                            Err(Error::Refused { .. }) => {}
                            watched => watched?,
                        }
                    }
                }
            }
            Notice::Slots { slots } => {
                let slots = slots.into_iter();
                let filled = slots.map(|s| (s.mid, StreamId { uid: s.stream.uid, sid: s.stream.sid }));
                self.slots = filled.collect();
            }
            Notice::Offer { rev, sdp, fresh } => self.answer(rev, &sdp, fresh).await?,
            Notice::Message { said, .. } => self.events.push_back(Event::Message(said)),
            Notice::Error(refusal) => return Err(Error::Signal(refusal.to_string())),
            other => self.events.push_back(Event::Other(other)),
        }
        Ok(())
    }

    /// Answers an offer, unless a newer one is on its way.
    async fn answer(&mut self, rev: u32, offer: &str, fresh: bool) -> Result<(), Error> {
        let answered = match self.viewer.is_some() && !fresh {
            true => self.answer_again(rev, offer).await,
            false => self.answer_first(rev, offer).await,
        };
        match answered {
            Err(Error::Refused { refusal, .. }) if refusal.error == "STALE" => Ok(()),
            answered => answered,
        }
    }

    async fn answer_first(&mut self, rev: u32, offer: &str) -> Result<(), Error> {
        self.ice = random_credentials();
        let frames = self.frames.0.clone();
        let viewer = |now: Instant, offered| {
            Viewer::new(now, offered, Arc::new(Meter::new(Arc::default())), true).handing_on(frames)
        };
        let running = self.shared.watch(&mut self.session, (rev, offer), &self.ice, None, viewer).await?;
        self.theirs = Some(read_offer(offer)?.remote.ice);
        self.viewer = Some(running);
        Ok(())
    }
}
