//! What admins do to others, on the wire.

use serde::{Deserialize, Serialize};

use super::StreamId;
use crate::control::ids::{Gid, Sid, Uid};
use crate::control::limits::LimitChanges;
use crate::control::rights::{Admin, Override, Say};

/// What is done to somebody, or asked of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Done: tracks are dropped from here on.
    Mute,
    /// Done: streams end.
    Hangup,
    /// Done: the person is put out.
    Remove,
    /// Done: the raised hand is lowered.
    Lower,
    /// Asked: unmute.
    Unmute,
    /// Asked: publish.
    Publish,
    /// Asked: stop publishing.
    Stop,
    /// Asked: watch a stream.
    Subscribe,
    /// Asked: show a stream as large as the screen.
    Fullscreen,
    /// Asked: leave.
    Leave,
}

/// See [`super::Request::Moderate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moderate {
    /// In which group.
    pub gid: Gid,
    /// What.
    pub action: Action,
    /// Whom; everyone else if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uids: Option<Vec<Uid>>,
    /// Which of their streams; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Sid>,
    /// Of a mute: the sound. Both where neither is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Of a mute: the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<bool>,
    /// Of a stream that is to be watched or shown large: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
}

/// Rights that are given or taken; absent ones stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RightsEdit {
    /// To send messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<bool>,
    /// To receive messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<bool>,
    /// To publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// To watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<bool>,
    /// To see the roster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<bool>,
}

impl RightsEdit {
    /// What is said of each right; of absent ones nothing.
    pub fn said(self) -> Override {
        let say = |right: Option<bool>| match right {
            None => Say::Unset,
            Some(true) => Say::Allow,
            Some(false) => Say::Deny,
        };
        Override {
            send: say(self.send),
            receive: say(self.receive),
            publish: say(self.publish),
            subscribe: say(self.subscribe),
            list: say(self.list),
        }
    }
}

/// See [`super::Request::Edit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// In which group.
    pub gid: Gid,
    /// Whom.
    pub uids: Vec<Uid>,
    /// Rights given or taken.
    #[serde(default)]
    pub rights: RightsEdit,
    /// What they may send and get at most; 0 takes a limit away.
    #[serde(default)]
    pub limits: LimitChanges,
    /// What they may do to others; only the owner says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
}
