//! What people say to each other, on the wire.

use serde::{Deserialize, Serialize};

use super::is_false;
use crate::control::directory::{File, FileId};
use crate::control::ids::{Gid, MessageId, Uid};

/// See [`super::Request::Message`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// In which group.
    pub gid: Gid,
    /// To one person; absent to the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Uid>,
    /// What; may be empty where there is a file.
    #[serde(default)]
    pub text: String,
    /// A file that was uploaded for this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileId>,
    /// Of the client's choice: who repeats it says nothing new, and gets the first answer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u64>,
}

/// See [`super::Request::History`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryAsk {
    /// Of which group.
    pub gid: Gid,
    /// Only what was said before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<MessageId>,
    /// Only what was said between oneself and this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Uid>,
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its number.
    pub id: MessageId,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who said it.
    pub uid: Uid,
    /// Who said it.
    pub name: String,
    /// To whom, if not to the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Uid>,
    /// What.
    pub text: String,
    /// A file that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
}

/// How far somebody got and read what was said in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The last message that the person's client has.
    pub delivered: MessageId,
    /// The last one that the person has read.
    pub read: MessageId,
}

/// Whose mark it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkOf {
    /// Whose.
    pub uid: Uid,
    /// How far.
    #[serde(flatten)]
    pub mark: Mark,
}

/// The answer to `history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The oldest first.
    pub messages: Vec<Said>,
    /// Whether there are older ones.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// How far one has read oneself.
    pub read: MessageId,
    /// How far others got and read, where that is told.
    pub marks: Vec<MarkOf>,
}

/// Somebody by number and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Who.
    pub uid: Uid,
    /// The name to show.
    pub name: String,
}
