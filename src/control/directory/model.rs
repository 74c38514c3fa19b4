//! What the directory knows, as the store keeps it. Times are seconds since 1970; 0 is never.

use serde::{Deserialize, Serialize};

use super::files::File;
use super::random::{hex, unhex};
use crate::control::ids::{Gid, MessageId, Uid};
use crate::control::limits::{LimitChanges, Limits};
use crate::control::rights::{Admin, ChoiceChanges, Choices, Override, Preset, Rights, SayChanges};
use crate::signal::message::Secret;

/// Call flags of a group that sets none: valid, audio, video, screen, talking (platform API section 4).
pub const DEFAULT_CALL_FLAGS: u32 = 0x8107;

/// A person, or a guest who came with a pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As others see the person.
    pub name: String,
    /// Stable and unique.
    pub address: String,
    /// The group that a guest came for; `None` for a user.
    #[serde(default)]
    pub guest_of: Option<Gid>,
    /// The app whose user it is; `None` is the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// A customer's application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// What its backend shows that it is the app's.
    pub secret: Secret,
    /// What makes addresses of its users out of their e-mail addresses.
    pub key: Secret,
    /// Whether a token may be signed in several times at once.
    #[serde(default)]
    pub several: bool,
    /// The Ed25519 keys by which its signed tokens are verified: `x` of their JWK (RFC 8037), base64url.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<String>,
    /// Who is told what happens in groups of its users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// Where an app is told what happens, and what that is signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The address of the web that is posted to.
    pub url: Secret,
    /// As in the settings of the server.
    pub secret: Secret,
}

/// Names a token without being it: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TokenId(pub [u8; 32]);

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        hex(&id.0)
    }
}

impl TryFrom<String> for TokenId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = unhex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("not the name of a token")
    }
}

impl TokenId {
    /// The name of this token.
    pub fn of(token: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let mut id = [0; 32];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

impl std::fmt::Debug for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, ..] = self.0;
        write!(f, "TokenId({a:02x}{b:02x}..)")
    }
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The user.
    pub uid: Uid,
    /// When it dies.
    #[serde(default)]
    pub expires: u64,
    /// What its holder may send and get at most, wherever that is.
    #[serde(default)]
    pub limits: Limits,
}

/// Which of a new group's two pins it was, if it was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinRole {
    /// The participant's pin, `pin`.
    Participant,
    /// The viewer's pin, `spin`.
    Viewer,
    /// Any other.
    #[default]
    Further,
}

/// A number that lets its holder join with the rights attached to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Eight digits, no two alike in a group.
    pub digits: String,
    /// Which one.
    #[serde(default)]
    pub role: PinRole,
    /// The rights it gives.
    #[serde(default)]
    pub rights: Override,
    /// When it ceases to open.
    #[serde(default)]
    pub expires: u64,
    /// How many may come with it; 0 is without limit.
    #[serde(default)]
    pub count: u32,
    /// How many came; counted where there is a limit.
    #[serde(default)]
    pub used: u32,
    /// What who came with it may send and get at most.
    #[serde(default)]
    pub limits: Limits,
    /// Whether who came with it goes when it does.
    #[serde(default)]
    pub leave: bool,
    /// How long the call of who came with it may last, in seconds, in place of the group's; 0 inherits.
    #[serde(default)]
    pub call_duration: u32,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// As people see it.
    pub name: String,
    /// Whose it is.
    pub owner: Uid,
    /// Which preset its choices came from.
    #[serde(default)]
    pub preset: Preset,
    /// Who may do what.
    #[serde(default)]
    pub choices: Choices,
    /// The largest picture, as in the API's `STREAM_RESOLUTION_` constants; 0 is the default.
    #[serde(default)]
    pub resolution: u8,
    /// The API's call flags.
    #[serde(default = "default_call_flags")]
    pub call_flags: u32,
    /// How long a call may last, in seconds; 0 is without limit.
    #[serde(default)]
    pub call_duration: u32,
    /// What everybody in it may send and get at most.
    #[serde(flatten)]
    pub limits: Limits,
    /// When nobody joins or publishes any more.
    #[serde(default)]
    pub expires: u64,
    /// Whether a pin is enough to come in, with no user.
    #[serde(default)]
    pub guests: bool,
    /// The pins.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

fn default_call_flags() -> u32 {
    DEFAULT_CALL_FLAGS
}

impl Group {
    /// The digits of one of the two pins that every group is created with.
    pub fn pin(&self, role: PinRole) -> &str {
        self.pins.iter().find(|pin| pin.role == role).map_or("", |pin| pin.digits.as_str())
    }

    /// Whether it is over.
    pub const fn expired(&self, now: u64) -> bool {
        past(self.expires, now)
    }
}

/// A user in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// What an admin said of this member; wins over the pin.
    pub said: Override,
    /// What the pin gave with which the member came.
    pub given: Override,
    /// That pin's digits.
    pub pin: Option<String>,
    /// Overrides the group's; 0 inherits.
    pub resolution: u8,
    /// Overrides the group's; 0 inherits.
    pub call_flags: u32,
    /// Overrides the group's; 0 inherits.
    pub call_duration: u32,
    /// When the membership ends.
    pub expires: u64,
    /// What an admin lets this member send and get at most.
    pub limits: Limits,
    /// What the pin does with which the member came.
    pub given_limits: Limits,
    /// What that pin says of the length of a call.
    pub given_call_duration: u32,
    /// What the member may do to others.
    #[serde(skip_serializing_if = "Admin::is_none")]
    pub admin: Admin,
}

impl Member {
    /// What the record says of each right, all told.
    pub const fn says(&self) -> Override {
        self.said.or(self.given)
    }
}

/// Something that was said in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub from: Uid,
    /// That person's name then.
    pub name: String,
    /// To whom; to the group if to nobody.
    #[serde(default)]
    pub to: Option<Uid>,
    /// What was said.
    pub text: String,
    /// The file that was sent with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
}

/// Whether `expires` has come; 0 never comes.
pub(super) const fn past(expires: u64, now: u64) -> bool {
    expires != 0 && expires <= now
}

/// One thing for the store to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A user is new or changed.
    PutUser(Uid, User),
    /// A user is gone.
    RemoveUser(Uid),
    /// A token is new.
    PutToken(TokenId, Token),
    /// A token is dead.
    RemoveToken(TokenId),
    /// A group is new or changed.
    PutGroup(Gid, Group),
    /// A group is gone; its members are removed apart.
    RemoveGroup(Gid),
    /// A member is new or changed.
    PutMember(Gid, Uid, Member),
    /// A member is gone.
    RemoveMember(Gid, Uid),
    /// Something was said.
    PutMessage(Gid, MessageId, Message),
    /// What was said is forgotten.
    RemoveMessage(Gid, MessageId),
    /// An app is new or changed.
    PutApp(String, App),
    /// Numbers that were given away are not given again.
    Numbers(Numbers),
}

/// The next free numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Of a user.
    pub uid: u32,
    /// Of a group.
    pub gid: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { uid: 1, gid: 1000 }
    }
}

/// All that the store keeps, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The users.
    pub users: Vec<(Uid, User)>,
    /// The tokens.
    pub tokens: Vec<(TokenId, Token)>,
    /// The groups.
    pub groups: Vec<(Gid, Group)>,
    /// The members.
    pub members: Vec<((Gid, Uid), Member)>,
    /// What was said.
    pub messages: Vec<((Gid, MessageId), Message)>,
    /// The apps, by their ids.
    pub apps: Vec<(String, App)>,
    /// The next free numbers.
    pub numbers: Numbers,
}

/// What happened in the directory that live rooms must act upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The token is dead: its connections end.
    TokenDead(TokenId),
    /// The same, because its time was over.
    TokenExpired(TokenId),
    /// The group is gone: its call ends for all.
    GroupGone(Gid),
    /// The group's settings changed: everybody's rights in it are to be looked up again.
    GroupChanged(Gid),
    /// The member's rights or limits changed.
    MemberChanged(Gid, Uid),
    /// The user is no longer a member.
    MemberGone(Gid, Uid),
    /// The limits of a token changed.
    TokenChanged(TokenId),
}

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The token, by name.
    pub token: TokenId,
    /// As others see the person.
    pub name: String,
    /// Stable and unique.
    pub address: String,
    /// Whether it is a guest.
    pub guest: bool,
    /// Whether the token may be signed in several times at once.
    pub several: bool,
}

/// A token just made: the only time that it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// Whose.
    pub uid: Uid,
    /// As others see the person.
    pub name: String,
    /// Stable and unique.
    pub address: String,
}

/// A group as one person meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Which group.
    pub gid: Gid,
    /// Its name.
    pub name: String,
    /// Its preset.
    pub preset: Preset,
    /// The largest picture for this person, 0-5; 0 is the default.
    pub resolution: u8,
    /// The call flags for this person.
    pub call_flags: u32,
    /// How long this person's call may last, in seconds; 0 is without limit.
    pub call_duration: u32,
    /// What this person may send and get at most, all told.
    pub limits: Limits,
    /// When the person must go, in seconds since 1970; 0 is never.
    pub expires: u64,
    /// What the person may do.
    pub rights: Rights,
    /// What the person may do to others.
    pub admin: Admin,
    /// `pin` and `spin`, for the owner alone.
    pub pins: Option<(String, String)>,
}

/// A group in the list of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The owner.
    pub uid: Uid,
    /// Which group.
    pub gid: Gid,
    /// Its name.
    pub name: String,
    /// The participant's pin.
    pub pin: String,
    /// The viewer's pin.
    pub spin: String,
}

/// A group's settings as its owner gives them; `None` leaves a setting as it is, or at its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Option<String>,
    /// Its preset.
    pub preset: Option<Preset>,
    /// Who may do what, where it is not what the preset says.
    pub choices: ChoiceChanges,
    /// The largest picture, 0-5.
    pub resolution: Option<u8>,
    /// What everybody in it may send and get at most.
    pub limits: LimitChanges,
    /// Whether a pin is enough to come in, with no user.
    pub guests: Option<bool>,
    /// The API's call flags.
    pub call_flags: Option<u32>,
    /// When nobody joins or publishes any more.
    pub expires: Option<u64>,
    /// How long a call may last, in seconds; 0 is without limit.
    pub call_duration: Option<u32>,
}

/// What an owner changes of a member; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberChanges {
    /// What is said of each right.
    pub said: Option<Override>,
    /// The largest picture in place of the group's, 0-5; 0 inherits.
    pub resolution: Option<u8>,
    /// The call flags in place of the group's; 0 inherits.
    pub call_flags: Option<u32>,
    /// When the membership ends.
    pub expires: Option<u64>,
    /// How long the member's call may last, in seconds, in place of the group's; 0 inherits.
    pub call_duration: Option<u32>,
    /// What the member may send and get at most.
    pub limits: LimitChanges,
    /// What the member may do to others.
    pub admin: Option<Admin>,
}

/// A member as the owner of the group sees one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The user.
    pub uid: Uid,
    /// As others see the person.
    pub name: String,
    /// Stable and unique.
    pub address: String,
    /// What the record says.
    pub member: Member,
    /// What the member may do, all told.
    pub rights: Rights,
}

/// What an owner changes of a pin; `None` leaves it as it is, or at nothing in a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PinChanges {
    /// The rights it gives.
    pub rights: SayChanges,
    /// When it ceases to open.
    pub expires: Option<u64>,
    /// How many may come with it.
    pub count: Option<u32>,
    /// What who came with it may send and get at most.
    pub limits: LimitChanges,
    /// Whether who came with it goes when it does.
    pub leave: Option<bool>,
    /// How long the call of who came with it may last, in seconds; 0 inherits.
    pub call_duration: Option<u32>,
}

/// Why the directory refused, under the names of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No such group, or not with this pin: both alike, so that nobody learns which rooms there are.
    #[error("there is no such room, or the pin does not open it: check the link you were given")]
    BadGroup,
    /// The token is unknown or dead.
    #[error("the token is not valid: sign in again")]
    AuthFail,
    /// The right is missing.
    #[error("you may not do this: ask the owner of the room")]
    NotAllowed,
    /// The group or the membership is over.
    #[error("this room has expired: ask its owner for another one")]
    Expired,
    /// Too many wrong guesses.
    #[error("too many wrong pins: wait a minute and try again")]
    RateLimit,
    /// A table is full.
    #[error("there are too many of these already: delete some first")]
    TooMany,
    /// A name is needed.
    #[error("give a name")]
    MissingName,
    /// An app is needed.
    #[error("give the appid")]
    MissingAppid,
    /// An address is needed.
    #[error("give an address")]
    MissingAddress,
    /// An e-mail address is needed.
    #[error("give an e-mail address")]
    MissingEmail,
    /// No such app.
    #[error("there is no app with this appid")]
    BadApp,
    /// The one-time code is wrong, used, or too old.
    #[error("the code is not right, or no longer: ask for another one")]
    BadCode,
    /// Nobody has this address.
    #[error("there is no user with this address")]
    BadUser,
}

impl Failure {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadGroup => "BADGROUP",
            Self::AuthFail => "AUTHFAIL",
            Self::NotAllowed => "NOTALLOWED",
            Self::Expired => "EXPIRED",
            Self::RateLimit => "RATELIMIT",
            Self::TooMany => "TOOMANY",
            Self::MissingName => "MISSINGNAME",
            Self::MissingAppid => "MISSINGAPPID",
            Self::MissingAddress => "MISSINGADDRESS",
            Self::MissingEmail => "MISSINGEMAIL",
            Self::BadApp => "BADAPP",
            Self::BadCode => "BADCODE",
            Self::BadUser => "BADUSER",
        }
    }
}
