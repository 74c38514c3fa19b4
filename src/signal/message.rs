//! What travels on a signalling stream: `docs/signalling.md`, as types. Server and native client share them.
//!
//! Every message is one line of JSON. From the client: `{"t":..., "id":...}`, a [`Request`]. From the server: an
//! answer `{"re":...}` with the members of an [`Answer`] or of a [`Refusal`], or a [`Notice`] `{"t":...}`.

mod chat;
mod moderate;
mod notice;
mod request;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::chat::{HistoryAsk, Mark, MarkOf, Named, Page, Said, Say};
pub use self::moderate::{Action, Edit, Moderate, RightsEdit};
pub use self::notice::{MediaKind, Notice, Person, Slot, Sound, Stream, Why};
pub use self::request::{BadLine, ClientLine, Layer, Muted, Publish, Request, StreamId, StreamRef, Watch};
use crate::control::ids::{Gid, MessageId, Sid, Uid};
use crate::control::limits::LimitChanges;
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
    /// To `file`.
    File {
        /// Where it is for a minute, relative to the server's page.
        url: String,
    },
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
    /// What one may send and get at most.
    #[serde(default, skip_serializing_if = "LimitChanges::is_none")]
    pub limits: LimitChanges,
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
        Self::new("BUSY", text).again_after(retry)
    }

    /// Another process is the server from now on.
    pub fn moved_on(text: &str, retry: Duration) -> Self {
        Self::new("RESTARTED", text).again_after(retry)
    }

    fn again_after(self, retry: Duration) -> Self {
        Self { retry_ms: Some(u32::try_from(retry.as_millis()).unwrap_or(u32::MAX)), ..self }
    }
}

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

const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests;
