//! Users, tokens, groups, members, pins and guests.
//!
//! Plain state without I/O: the time is passed in, randomness comes from an [`Entropy`], and what must be kept is
//! recorded as [`Change`]s that the actor takes and hands to the store. What live rooms must act upon is recorded as
//! [`Happening`]s.

mod amend;
mod apps;
mod edits;
mod files;
mod groups;
mod history;
mod jwt;
mod limit;
mod look;
mod model;
mod random;
mod signed;
mod signin;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

pub use self::apps::DEFAULT_APP;
use self::files::Files;
pub use self::files::{File, FileId, FileRules, NoFile};
use self::history::History;
use self::limit::Guesses;
pub use self::model::*;
pub use self::random::{Entropy, SystemEntropy, hex, unhex};
use self::signed::Signed;
use self::signin::SignIns;
pub use self::signin::{CODE_LIFE, SignIn, mail_address};
use super::ids::{Gid, Uid};
use super::limits::Limits;
use crate::rate::Rate;
use crate::sorted::{Map, Set, sort_by_key};

/// The address of the user who owns the demo group: `millrace token --address demo` gives an owner's token.
pub const DEMO_ADDRESS: &str = "demo";

/// Longest name of a person or a group, in characters; the rest is cut off.
const NAME_LENGTH: usize = 100;
/// How long a guest's token lives.
const GUEST_LIFE: u64 = 24 * 3600;
/// Guests at once: a flood of them ends here, well before memory does.
const GUESTS: usize = 100_000;
/// Groups that one user may own.
const GROUPS_OF_A_USER: usize = 1_000;
/// Numbers of users that the store does not keep begin here, so that none is ever also a kept user's.
const UNKEPT_UIDS: u32 = 1 << 31;

/// Wrong pins of one token.
const TOKEN_RATE: Rate = Rate { burst: 10, every: Duration::from_secs(6) };
/// Wrong pins from one address, which an office may share.
const ADDRESS_RATE: Rate = Rate { burst: 20, every: Duration::from_secs(3) };
/// Wrong secrets of apps from one address: apart, so that an app's backend that has an old one locks out nobody who joins.
const SECRET_RATE: Rate = Rate { burst: 20, every: Duration::from_secs(1) };

/// Who asks: pins are limited per token and per address.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The user.
    pub uid: Uid,
    /// The token.
    pub token: TokenId,
    /// Where from.
    pub from: IpAddr,
}

#[derive(Debug)]
struct UserEntry {
    user: User,
    /// False for guests of a webinar: they may come by the thousand.
    kept: bool,
    owns: Set<Gid>,
    member_of: Set<Gid>,
}

#[derive(Debug)]
struct MemberEntry {
    member: Member,
    kept: bool,
}

#[derive(Debug)]
struct GroupEntry {
    group: Group,
    members: HashMap<Uid, MemberEntry>,
}

/// Users, tokens, groups, members, pins and guests.
#[derive(Debug)]
pub struct Directory {
    users: HashMap<Uid, UserEntry>,
    addresses: HashMap<String, Uid>,
    tokens: HashMap<TokenId, Token>,
    /// Tokens that will die, the first first.
    dying: Set<(u64, TokenId)>,
    groups: Map<Gid, GroupEntry>,
    apps: Map<String, App>,
    history: History,
    files: Files,
    numbers: Numbers,
    next_unkept: u32,
    guests: usize,
    guesses_by_token: Guesses<TokenId>,
    guesses_by_address: Guesses<IpAddr>,
    secrets_by_address: Guesses<IpAddr>,
    sign_ins: SignIns,
    signed: Signed,
    entropy: Box<dyn Entropy>,
    changes: Vec<Change>,
    happenings: Vec<Happening>,
}

impl Directory {
    /// The directory as the store kept it.
    pub fn new(snapshot: Snapshot, mut entropy: Box<dyn Entropy>) -> Self {
        let mut directory = Self {
            users: HashMap::with_capacity(snapshot.users.len()),
            addresses: HashMap::with_capacity(snapshot.users.len()),
            tokens: HashMap::with_capacity(snapshot.tokens.len()),
            dying: Set::new(),
            groups: Map::new(),
            apps: snapshot.apps.into_iter().collect(),
            history: History::default(),
            files: Files::new(entropy.as_mut()),
            numbers: snapshot.numbers,
            next_unkept: UNKEPT_UIDS,
            guests: 0,
            guesses_by_token: Guesses::new(TOKEN_RATE),
            guesses_by_address: Guesses::new(ADDRESS_RATE),
            secrets_by_address: Guesses::new(SECRET_RATE),
            sign_ins: SignIns::default(),
            signed: Signed::default(),
            entropy,
            changes: Vec::new(),
            happenings: Vec::new(),
        };
        for (uid, user) in snapshot.users {
            directory.insert_user(uid, user, true);
        }
        for (gid, group) in snapshot.groups {
            if let Some(owner) = directory.users.get_mut(&group.owner) {
                owner.owns.insert(gid);
            }
            directory.groups.insert(gid, GroupEntry { group, members: HashMap::new() });
        }
        for ((gid, uid), member) in snapshot.members {
            directory.insert_member(gid, uid, member, true);
        }
        for ((gid, id), message) in snapshot.messages {
            if let Some(file) = &message.file {
                directory.files.said(message.from, gid, id, file);
            }
            directory.history.insert(gid, id, message);
        }
        for (id, token) in snapshot.tokens {
            directory.insert_token(id, token);
        }
        directory
    }

    /// What the store must keep since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What live rooms must act upon since the last call.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// All that is kept, as the store would load it.
    pub fn snapshot(&self) -> Snapshot {
        let kept = |uid: &Uid| self.users.get(uid).is_some_and(|entry| entry.kept);
        let mut users: Vec<_> = self.users.iter().filter(|(_, entry)| entry.kept).collect();
        sort_by_key(&mut users, |(uid, _)| **uid);
        let mut tokens: Vec<_> =
            self.tokens.iter().filter(|(id, token)| kept(&token.uid) && !self.signed.holds(**id)).collect();
        sort_by_key(&mut tokens, |(id, _)| **id);
        let mut members: Vec<_> = self
            .groups
            .iter()
            .flat_map(|(gid, entry)| entry.members.iter().map(|(uid, member)| ((*gid, *uid), member)))
            .filter(|(_, entry)| entry.kept)
            .collect();
        sort_by_key(&mut members, |(key, _)| *key);
        Snapshot {
            users: users.into_iter().map(|(uid, entry)| (*uid, entry.user.clone())).collect(),
            tokens: tokens.into_iter().map(|(id, token)| (*id, token.clone())).collect(),
            groups: self.groups.iter().map(|(gid, entry)| (*gid, entry.group.clone())).collect(),
            members: members.into_iter().map(|(key, entry)| (key, entry.member.clone())).collect(),
            messages: self.history.all(),
            apps: self.apps.iter().map(|(appid, app)| (appid.clone(), app.clone())).collect(),
            numbers: self.numbers,
        }
    }

    /// Who holds this token, if anybody.
    pub fn authenticate(&mut self, now: Duration, token: &str) -> Option<Identity> {
        // Ours are hexadecimal; those that apps sign have dots.
        if token.contains('.') {
            self.admit(now, token)?;
        }
        // Looked up by its digest: how long that takes says nothing of the token.
        let id = TokenId::of(token);
        let held = self.tokens.get(&id).filter(|held| !past(held.expires, now.as_secs()))?;
        let user = &self.users.get(&held.uid)?.user;
        Some(Identity {
            uid: held.uid,
            token: id,
            name: user.name.clone(),
            address: user.address.clone(),
            guest: user.guest_of.is_some(),
            several: self.app_of(user).is_some_and(|app| app.several),
        })
    }

    /// What is known of a user.
    pub fn user(&self, uid: Uid) -> Option<&User> {
        self.users.get(&uid).map(|entry| &entry.user)
    }

    /// A token of the user with this address, who is made, or renamed, if need be. Without an address the user is new.
    pub fn mint_token(&mut self, name: &str, address: Option<&str>) -> Result<Minted, Failure> {
        let name = tidy(name).ok_or(Failure::MissingName)?;
        let address = address.and_then(tidy).unwrap_or_else(|| random::address(self.entropy.as_mut()));
        let uid = match self.addresses.get(&address).copied() {
            Some(uid) => {
                self.rename(uid, &name);
                uid
            }
            None => {
                let user = User { name: name.clone(), address: address.clone(), guest_of: None, app: None };
                self.add_user(user, true)
            }
        };
        let token = self.add_token(uid, 0);
        Ok(Minted { token, uid, name, address })
    }

    /// What the holder of a token may send and get at most, wherever that is.
    pub fn token_limits(&self, id: TokenId) -> Limits {
        self.tokens.get(&id).map(|token| token.limits).unwrap_or_default()
    }

    /// Ends a token at once.
    pub fn logout(&mut self, token: TokenId) {
        self.remove_token(token, Happening::TokenDead(token));
    }

    /// Ends a token at once, and with it the guest who came with it.
    pub fn dismiss(&mut self, token: TokenId) {
        let uid = self.tokens.get(&token).map(|token| token.uid);
        self.logout(token);
        if let Some(uid) = uid.filter(|uid| self.user(*uid).is_some_and(|user| user.guest_of.is_some())) {
            self.remove_user(uid);
        }
    }

    /// When [`Directory::handle_timeout`] wants to be called, since 1970.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.dying.first().map(|(expires, _)| Duration::from_secs(*expires))
    }

    /// Ends tokens whose time is over, and forgets guests who had one.
    pub fn handle_timeout(&mut self, now: Duration) {
        let now = now.as_secs();
        while let Some((expires, id)) = self.dying.first().copied() {
            if !past(expires, now) {
                return;
            }
            let uid = self.tokens.get(&id).map(|token| token.uid);
            self.remove_token(id, Happening::TokenExpired(id));
            self.dying.remove(&(expires, id));
            if let Some(uid) = uid
                && self.user(uid).is_some_and(|user| user.guest_of.is_some())
            {
                self.remove_user(uid);
            }
        }
    }

    fn add_user(&mut self, user: User, kept: bool) -> Uid {
        let uid = if kept {
            let uid = Uid(self.numbers.uid);
            self.numbers.uid = self.numbers.uid.saturating_add(1);
            self.changes.push(Change::Numbers(self.numbers));
            self.changes.push(Change::PutUser(uid, user.clone()));
            uid
        } else {
            let uid = Uid(self.next_unkept);
            self.next_unkept = self.next_unkept.checked_add(1).unwrap_or(UNKEPT_UIDS);
            uid
        };
        self.insert_user(uid, user, kept);
        uid
    }

    fn insert_user(&mut self, uid: Uid, user: User, kept: bool) {
        self.guests += usize::from(user.guest_of.is_some());
        self.addresses.insert(user.address.clone(), uid);
        self.users.insert(uid, UserEntry { user, kept, owns: Set::new(), member_of: Set::new() });
    }

    fn rename(&mut self, uid: Uid, name: &str) {
        let Some(entry) = self.users.get_mut(&uid) else { return };
        if entry.user.name != name {
            name.clone_into(&mut entry.user.name);
            self.changes.push(Change::PutUser(uid, entry.user.clone()));
        }
    }

    fn remove_user(&mut self, uid: Uid) {
        let Some(entry) = self.users.get(&uid) else { return };
        for gid in entry.member_of.clone() {
            self.remove_member(gid, uid);
        }
        let Some(entry) = self.users.remove(&uid) else { return };
        self.guests -= usize::from(entry.user.guest_of.is_some());
        self.addresses.remove(&entry.user.address);
        if entry.kept {
            self.changes.push(Change::RemoveUser(uid));
        }
    }

    fn add_token(&mut self, uid: Uid, expires: u64) -> String {
        let token = random::token(self.entropy.as_mut());
        let id = TokenId::of(&token);
        let held = Token { uid, expires, limits: Limits::default() };
        if self.users.get(&uid).is_some_and(|entry| entry.kept) {
            self.changes.push(Change::PutToken(id, held.clone()));
        }
        self.insert_token(id, held);
        token
    }

    fn insert_token(&mut self, id: TokenId, token: Token) {
        if token.expires != 0 {
            self.dying.insert((token.expires, id));
        }
        self.tokens.insert(id, token);
    }

    fn remove_token(&mut self, id: TokenId, happening: Happening) {
        let Some(token) = self.tokens.remove(&id) else { return };
        self.dying.remove(&(token.expires, id));
        self.happenings.push(happening);
        let signed = self.signed.end(id, token.expires);
        if !signed && self.users.get(&token.uid).is_some_and(|entry| entry.kept) {
            self.changes.push(Change::RemoveToken(id));
        }
    }
}

/// A name without control characters and outer blanks, not too long; `None` if nothing is left.
fn tidy(name: &str) -> Option<String> {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME_LENGTH).collect();
    (!name.is_empty()).then_some(name)
}
