//! What travels on a signalling stream: `docs/signalling.md`, as types. Server and native client share them.
//!
//! Every message is one line of JSON. From the client: `{"t":..., "id":...}`, a [`Request`]. From the server: an
//! answer `{"re":...}` with the members of an [`Answer`] or of a [`Refusal`], or a [`Notice`] `{"t":...}`.

mod chat;
mod moderate;

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use self::chat::{HistoryAsk, Mark, MarkOf, Named, Page, Said, Say};
pub use self::moderate::{Action, Edit, Moderate, RightsEdit};
use crate::control::ids::{Gid, MessageId, Sid, Uid};
use crate::control::rights::{Admin, Rights};

/// The version of this message set.
pub const VERSION: u32 = 1;
/// The longest line a client may send, its line feed included.
pub const CLIENT_LINE: usize = 256 * 1024;
/// The longest line a server may send.
pub const SERVER_LINE: usize = 1024 * 1024;

/// Text that must not reach a log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum Request {
    /// First message of every stream.
    Hello {
        /// The version the client speaks.
        v: u32,
        /// Who it is.
        token: Secret,
        /// The session to take up again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Secret>,
    },
    /// Enter a group.
    Join {
        /// Which.
        gid: Gid,
        /// A pin of it.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_number")]
        pin: Option<Secret>,
    },
    /// Leave a group.
    Leave {
        /// Which.
        gid: Gid,
    },
    /// Publish a stream.
    Publish(Publish),
    /// End a stream, or take it out of one group.
    Unpublish {
        /// Which stream.
        sid: Sid,
        /// Only there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gid: Option<Gid>,
    },
    /// Mute or unmute a stream of one's own.
    Mute {
        /// Which stream.
        sid: Sid,
        /// True is muted; absent is unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio: Option<bool>,
        /// True is muted; absent is unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video: Option<bool>,
    },
    /// Watch a stream, or change how.
    Watch(Watch),
    /// Watch it no more.
    Unwatch(StreamRef),
    /// The answer to an offer.
    Answer {
        /// Which offer.
        rev: u32,
        /// The session description.
        sdp: String,
    },
    /// Restart ICE.
    Restart {
        /// Of a published stream ...
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sid: Option<Sid>,
        /// ... with this offer;
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp: Option<String>,
        /// or of the connection on which one watches.
        #[serde(default, skip_serializing_if = "is_false")]
        watching: bool,
    },
    /// Do something to people of a group, or ask it of them.
    Moderate(Moderate),
    /// Change what members may do.
    Edit(Edit),
    /// Say something in a group.
    Message(Say),
    /// How far one got, and read, what was said.
    Receipt {
        /// In which group.
        gid: Gid,
        /// All up to this one arrived.
        #[serde(default)]
        delivered: MessageId,
        /// All up to this one was read.
        #[serde(default)]
        read: MessageId,
    },
    /// What was said before.
    History(HistoryAsk),
    /// Raise or lower one's hand.
    Hand {
        /// In which group.
        gid: Gid,
        /// Raise it.
        up: bool,
    },
    /// Show a reaction for a moment.
    React {
        /// In which group.
        gid: Gid,
        /// A few characters at most.
        text: String,
    },
    /// The session ends at once, everywhere.
    Bye {},
}

/// See [`Request::Publish`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Where to.
    pub gids: Vec<Gid>,
    /// Which of one's streams.
    pub sid: Sid,
    /// What it shows: 1 camera, 2 screen.
    #[serde(default = "camera")]
    pub source: u8,
    /// Instead of the user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The offer.
    pub sdp: String,
    /// What begins muted.
    #[serde(default)]
    pub muted: Muted,
    /// Simulcast layers, from the smallest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
}

/// One simulcast layer as the client means to send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name in the offer.
    pub rid: String,
    /// Its picture.
    pub width: u16,
    /// Its picture.
    pub height: u16,
}

/// See [`Request::Watch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// In which group.
    pub gid: Gid,
    /// Whose stream.
    pub uid: Uid,
    /// Which one.
    pub sid: Sid,
    /// Whether its sound is wanted.
    #[serde(default = "yes")]
    pub audio: bool,
    /// Whether its picture is wanted.
    #[serde(default = "yes")]
    pub video: bool,
    /// The tile in device pixels.
    #[serde(default)]
    pub width: u16,
    /// The tile in device pixels.
    #[serde(default)]
    pub height: u16,
    /// Whether the tile can be seen.
    #[serde(default = "yes")]
    pub visible: bool,
    /// Who gets more when not all fits.
    #[serde(default = "one")]
    pub priority: u8,
}

/// A stream as one names it in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamRef {
    /// In which group.
    pub gid: Gid,
    /// Whose.
    pub uid: Uid,
    /// Which one.
    pub sid: Sid,
}

/// A stream within a group that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// Whose.
    pub uid: Uid,
    /// Which one.
    pub sid: Sid,
}

/// What of a stream is muted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muted {
    /// The sound.
    #[serde(default)]
    pub audio: bool,
    /// The picture.
    #[serde(default)]
    pub video: bool,
}

/// The members of a successful answer, beside `re`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `hello`.
    Welcome(Welcome),
    /// To `join`.
    Joined(Joined),
    /// To `publish`.
    Published {
        /// Which stream.
        sid: Sid,
        /// The answer to the offer.
        sdp: String,
    },
    /// To `restart` of a stream.
    Restarted {
        /// The answer to the offer.
        sdp: String,
    },
    /// To `message`.
    Sent {
        /// Its number.
        id: MessageId,
        /// When it was taken, in milliseconds since 1970.
        at: u64,
        /// Who got it, where one got it in turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<Uid>,
    },
    /// To `history`.
    History(Page),
    /// To everything else.
    Done {},
}

/// The answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What takes this session up again.
    pub resume: Secret,
    /// Whether a session was taken up again.
    pub resumed: bool,
    /// Who one is.
    pub uid: Uid,
    /// The stable name.
    pub address: String,
    /// The name that others see.
    pub name: String,
}

/// The answer to `join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Which group.
    pub gid: Gid,
    /// Its name.
    pub name: String,
    /// Its preset: 0 conference, 1 webinar, 2 classroom.
    #[serde(rename = "type")]
    pub preset: u8,
    /// Its resolution, 0 to 5.
    pub resolution: u8,
    /// Its call flags.
    #[serde(rename = "callFlags")]
    pub call_flags: u32,
    /// What one may do.
    pub rights: Rights,
    /// What one may do to others.
    #[serde(default, skip_serializing_if = "Admin::is_none")]
    pub admin: Admin,
    /// How many are here.
    pub people: u32,
}

/// Why a request failed: a name for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}: {text}")]
pub struct Refusal {
    /// The name.
    pub error: String,
    /// The sentence.
    pub text: String,
    /// Nothing is wrong with the request: asked again after so many milliseconds it may be granted.
    #[serde(default, rename = "retryMs", skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u32>,
}

impl Refusal {
    /// A refusal by name and sentence.
    pub fn new(error: &str, text: impl Into<String>) -> Self {
        Self { error: error.to_owned(), text: text.into(), retry_ms: None }
    }

    /// The server has too much to do at the moment.
    pub fn busy(text: &str, retry: Duration) -> Self {
        let retry_ms = Some(u32::try_from(retry.as_millis()).unwrap_or(u32::MAX));
        Self { retry_ms, ..Self::new("BUSY", text) }
    }
}

/// What the server says unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum Notice {
    /// Published streams of a group.
    Roster {
        /// Which group.
        gid: Gid,
        /// Whether `joined` is everything.
        all: bool,
        /// New ones.
        #[serde(default)]
        joined: Vec<Stream>,
        /// Changed ones, as they are now.
        #[serde(default)]
        changed: Vec<Stream>,
        /// Ended ones.
        #[serde(default)]
        left: Vec<StreamId>,
    },
    /// Members present.
    People {
        /// Which group.
        gid: Gid,
        /// How many.
        count: u32,
        /// Whether `joined` is everyone.
        all: bool,
        /// New ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        joined: Vec<Person>,
        /// Those who left.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<Uid>,
    },
    /// Who is talking.
    Talking {
        /// Which group.
        gid: Gid,
        /// Loudest first.
        streams: Vec<StreamId>,
    },
    /// An offer of the connection on which one watches.
    Offer {
        /// Grows by one.
        rev: u32,
        /// The session description.
        sdp: String,
        /// Whether the client must begin a new connection for it: the one before could not be secured.
        #[serde(default, skip_serializing_if = "is_false")]
        fresh: bool,
    },
    /// The whole map of filled slots.
    Slots {
        /// What they carry.
        slots: Vec<Slot>,
    },
    /// What a watched stream's video slot sends now.
    Layer {
        /// Which group.
        gid: Gid,
        /// Whose stream.
        uid: Uid,
        /// Which one.
        sid: Sid,
        /// 0 while nothing is sent.
        width: u16,
        /// 0 while nothing is sent.
        height: u16,
        /// Why this and no other.
        why: Why,
    },
    /// Why the sound of watched streams is sent or not: of those for which that changed.
    Sound {
        /// Which, and why.
        streams: Vec<Sound>,
    },
    /// Someone began or ceased to watch one's stream.
    Viewer {
        /// Which group.
        gid: Gid,
        /// Which of one's streams.
        sid: Sid,
        /// Who.
        uid: Uid,
        /// Who.
        name: String,
        /// Began or ceased.
        watching: bool,
    },
    /// How a connection does.
    Quality {
        /// That of a published stream ...
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sid: Option<Sid>,
        /// ... or the one on which one watches.
        #[serde(default, skip_serializing_if = "is_false")]
        watching: bool,
        /// Round-trip time.
        #[serde(rename = "rttMs")]
        rtt_ms: u32,
        /// Share of packets lost.
        #[serde(rename = "lossPercent")]
        loss_percent: u8,
        /// 0 bad to 4 excellent.
        level: u8,
    },
    /// Which layers of one's stream somebody wants.
    Layers {
        /// Which of one's streams.
        sid: Sid,
        /// From the smallest up; what is false need not be sent.
        active: Vec<bool>,
    },
    /// One's rights changed.
    Rights {
        /// Which group.
        gid: Gid,
        /// What they are now.
        rights: Rights,
        /// What one may do to others.
        #[serde(default, skip_serializing_if = "Admin::is_none")]
        admin: Admin,
    },
    /// One's stream was ended by the server.
    Ended {
        /// Which group.
        gid: Gid,
        /// Which stream.
        sid: Sid,
        /// 0x4A not allowed, 0x40 complete.
        status: u8,
    },
    /// One is no longer in the group.
    Removed {
        /// Which group.
        gid: Gid,
        /// `EXPIRED`, `DELETED` or `REMOVED`.
        reason: String,
    },
    /// An admin muted one's stream.
    Muted {
        /// Where.
        gid: Gid,
        /// Which stream.
        sid: Sid,
        /// Who did it.
        by: Uid,
        /// Whether its sound is muted now.
        audio: bool,
        /// Whether its picture is.
        video: bool,
    },
    /// An admin asks one for something.
    Asked {
        /// Where.
        gid: Gid,
        /// Who asks.
        by: Uid,
        /// Who asks.
        name: String,
        /// For what.
        action: Action,
        /// Which of one's streams.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sid: Option<Sid>,
        /// To unmute: the sound.
        #[serde(default, skip_serializing_if = "is_false")]
        audio: bool,
        /// To unmute: the picture.
        #[serde(default, skip_serializing_if = "is_false")]
        video: bool,
        /// To watch, or to show large: which stream.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<StreamId>,
    },
    /// Something was said.
    Message {
        /// In which group.
        gid: Gid,
        /// What, by whom.
        #[serde(flatten)]
        said: Said,
    },
    /// Somebody got or read what one said.
    Status {
        /// In which group.
        gid: Gid,
        /// Who, and how far.
        #[serde(flatten)]
        mark: MarkOf,
    },
    /// Raised hands.
    Hands {
        /// In which group.
        gid: Gid,
        /// Whether `raised` is all.
        all: bool,
        /// In the order in which they were raised.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        raised: Vec<Named>,
        /// Those who lowered theirs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lowered: Vec<Uid>,
    },
    /// Somebody reacts.
    Reaction {
        /// In which group.
        gid: Gid,
        /// Who.
        uid: Uid,
        /// Who.
        name: String,
        /// How.
        text: String,
    },
    /// The same token signed in elsewhere; the session is over.
    Signout {},
    /// The client broke the rules; the session is over.
    Error(Refusal),
}

/// A roster entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Whose.
    pub uid: Uid,
    /// Which one.
    pub sid: Sid,
    /// The name to show.
    pub name: String,
    /// The user's stable name.
    pub address: String,
    /// 1 camera, 2 screen.
    pub source: u8,
    /// Whether it has sound.
    pub audio: bool,
    /// Whether it has a picture.
    pub video: bool,
    /// What is muted.
    pub muted: Muted,
}

/// A member who is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    pub uid: Uid,
    /// The name to show.
    pub name: String,
    /// The stable name.
    pub address: String,
}

/// A filled slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its m-line.
    pub mid: String,
    /// Sound or picture.
    pub kind: MediaKind,
    /// Of which stream.
    #[serde(flatten)]
    pub stream: StreamRef,
}

/// Why the sound of a watched stream is sent, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Of which stream.
    #[serde(flatten)]
    pub stream: StreamRef,
    /// [`Why::Source`]: all there is of it is sent; [`Why::Loudness`]: nothing is.
    pub why: Why,
}

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// Why a slot sends the layer it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It is the smallest that fills the tile.
    Tile,
    /// The rights or a limit allow no more.
    Cap,
    /// The publisher sends nothing larger.
    Source,
    /// The viewer's link carries no more.
    Bandwidth,
    /// The viewer's link carries not even the smallest.
    Paused,
    /// Others are louder, and no more voices are heard at once.
    Loudness,
    /// A keyframe is awaited.
    Keyframe,
    /// The viewer hides or muted it.
    Inactive,
    /// Nothing arrives from the publisher.
    Silent,
    /// The viewer can decode none of the publisher's codecs.
    Codec,
}

/// A line that the session cannot survive: no JSON object, or an `id` that is no whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line must be one JSON object, with a whole number as id if it has one")]
pub struct BadLine;

/// A line from a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientLine {
    /// Present when an answer is wanted.
    pub id: Option<u64>,
    /// What is asked; refused when it is not understood.
    pub request: Result<Request, Refusal>,
}

impl ClientLine {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, BadLine> {
        let members: Map<String, Value> = serde_json::from_slice(line).map_err(|_| BadLine)?;
        let id = match members.get("id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(id.as_u64().ok_or(BadLine)?),
        };
        let t = members.get("t").and_then(Value::as_str).unwrap_or_default().to_owned();
        let request = if REQUESTS.contains(&t.as_str()) {
            Request::deserialize(Value::Object(members))
                .map_err(|e| Refusal::new("BADARG", format!("The message {t} is not understood: {e}.")))
        } else {
            Err(Refusal::new(
                "BADOP",
                "There is no such message; see docs/signalling.md for those there are.",
            ))
        };
        Ok(Self { id, request })
    }

    /// Writes a line, its line feed included.
    pub fn write(id: Option<u64>, request: &Request) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<u64>,
            #[serde(flatten)]
            request: &'a Request,
        }
        line(&Wire { id, request })
    }
}

const REQUESTS: [&str; 18] = [
    "hello",
    "join",
    "leave",
    "publish",
    "unpublish",
    "mute",
    "watch",
    "unwatch",
    "answer",
    "restart",
    "moderate",
    "edit",
    "message",
    "receipt",
    "history",
    "hand",
    "react",
    "bye",
];

/// Writes the answer to the request `re`, its line feed included.
pub fn write_answer(re: u64, answer: &Result<Answer, Refusal>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Wire<'a, T> {
        re: u64,
        #[serde(flatten)]
        body: &'a T,
    }
    match answer {
        Ok(body) => line(&Wire { re, body }),
        Err(body) => line(&Wire { re, body }),
    }
}

/// Writes a notice, its line feed included.
pub fn write_notice(notice: &Notice) -> Vec<u8> {
    line(notice)
}

fn line(message: &impl Serialize) -> Vec<u8> {
    // Only a map with keys that are no strings can fail, and there is none here.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A line from a server, as a native client reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerLine {
    /// The answer to a request.
    Answer {
        /// Which request.
        re: u64,
        /// The answer's members; see [`ServerLine::members`].
        result: Result<Map<String, Value>, Refusal>,
    },
    /// Said unasked.
    Notice(Notice),
    /// A kind of notice that this version does not know.
    Unknown,
}

impl ServerLine {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, BadLine> {
        let members: Map<String, Value> = serde_json::from_slice(line).map_err(|_| BadLine)?;
        let Some(re) = members.get("re") else {
            return Ok(Notice::deserialize(Value::Object(members)).map_or(Self::Unknown, Self::Notice));
        };
        let re = re.as_u64().ok_or(BadLine)?;
        let result = if members.contains_key("error") {
            Err(Refusal::deserialize(Value::Object(members)).map_err(|_| BadLine)?)
        } else {
            Ok(members)
        };
        Ok(Self::Answer { re, result })
    }

    /// The members of an answer as one of [`Welcome`], [`Joined`] or another type of the caller's.
    pub fn members<T: serde::de::DeserializeOwned>(members: Map<String, Value>) -> Result<T, BadLine> {
        T::deserialize(Value::Object(members)).map_err(|_| BadLine)
    }
}

/// People write pins as numbers too.
fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Secret(text))),
        Some(Value::Number(number)) => Ok(number.as_u64().map(|number| Secret(format!("{number:08}")))),
        Some(_) => Err(D::Error::custom("a pin is text or a number")),
    }
}

const fn camera() -> u8 {
    1
}

const fn yes() -> bool {
    true
}

const fn one() -> u8 {
    1
}

const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests;
