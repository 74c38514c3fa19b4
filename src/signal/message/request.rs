//! What a client asks for, and the lines it asks in.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Edit, HistoryAsk, Moderate, Refusal, Say, Secret, is_false, line};
use crate::control::directory::FileId;
use crate::control::ids::{Gid, MessageId, Sid, Uid};
use crate::json;

/// What a client asks for. On a line its name is the member `t` beside those of its own; see [`ClientLine`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// Show a live stream in further groups.
    Share {
        /// Which of one's streams.
        sid: Sid,
        /// Where, too.
        gids: Vec<Gid>,
    },
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
    /// A link to a file that one may have.
    File {
        /// Which.
        file: FileId,
    },
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
    /// Is anybody there?
    Ping {},
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
            json::read(Value::Object(Map::from_iter([(t.clone(), Value::Object(members))])))
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
        let Ok(Value::Object(named)) = serde_json::to_value(request) else { return Vec::new() };
        let (t, members) = named.into_iter().next().unwrap_or_default();
        let mut members = members.as_object().cloned().unwrap_or_default();
        members.insert("t".to_owned(), t.into());
        members.extend(id.map(|id| ("id".to_owned(), id.into())));
        line(&members)
    }
}

const REQUESTS: [&str; 21] = [
    "hello",
    "join",
    "leave",
    "publish",
    "share",
    "file",
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
    "ping",
    "bye",
];

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
