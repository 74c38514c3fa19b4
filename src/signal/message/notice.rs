//! What the server says unasked.

use serde::{Deserialize, Serialize};

use super::{Action, Joined, MarkOf, Muted, Named, Refusal, Said, StreamId, StreamRef, is_false};
use crate::control::ids::{Gid, Sid, Uid};
use crate::control::limits::LimitChanges;
use crate::control::rights::{Admin, Rights};

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
    /// The group's settings changed, or one gained a right and is told all anew.
    Settings(Joined),
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
    /// What one may send and get at most changed.
    Limits {
        /// Which group.
        gid: Gid,
        /// What they are now; what is absent is without limit.
        limits: LimitChanges,
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
    /// When one's call in a group ends; told when it begins, and when that changes.
    Ends {
        /// Which group.
        gid: Gid,
        /// From now on; absent: it has no end any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// One is to go on in another group, of which one is a member now; `removed` follows.
    Moved {
        /// Which group it was.
        gid: Gid,
        /// Which one to join, with no pin.
        to: Gid,
    },
    /// One is no longer in the group.
    Removed {
        /// Which group.
        gid: Gid,
        /// `EXPIRED`, `DELETED`, `REMOVED`, `DURATION` or `MOVED`.
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
    /// Somebody begins a call in a group of which one is a member, and is not in.
    Call {
        /// In which group.
        gid: Gid,
        /// Its name.
        group: String,
        /// Who.
        #[serde(flatten)]
        by: Person,
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
