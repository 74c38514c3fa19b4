//! Who shows a token that an app signed is let in: the user is made at first sight, with what the token says.
//!
//! From then on the token is held like any other, but nothing of it is kept: after a restart it is verified anew.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::apps::kept_appid;
use super::jwt::{self, Verified};
use super::{Directory, Token, TokenId, User, past, tidy};
use crate::control::ids::{Gid, Uid};
use crate::control::limits::Limits;
use crate::control::rights::Override;

/// Signed tokens held at once, and signed ones that were ended before their time.
const HELD: usize = 100_000;

/// What is known of signed tokens.
#[derive(Debug, Default)]
pub(super) struct Signed {
    /// Those that are held.
    held: HashSet<TokenId>,
    /// Those that were ended, until they would be over anyway.
    ended: HashMap<TokenId, u64>,
}

impl Signed {
    /// Whether this token was signed by an app.
    pub(super) fn holds(&self, id: TokenId) -> bool {
        self.held.contains(&id)
    }

    /// Holds a token no more. Whether it was one of these.
    pub(super) fn end(&mut self, id: TokenId, expires: u64) -> bool {
        let held = self.held.remove(&id);
        if held {
            self.ended.insert(id, expires);
        }
        held
    }
}

impl Directory {
    /// Lets in who shows a signed token, if it holds.
    pub(super) fn admit(&mut self, now: Duration, token: &str) -> Option<()> {
        let id = TokenId::of(token);
        if self.signed.ended.contains_key(&id) {
            return None;
        }
        if self.signed.holds(id) {
            return Some(());
        }
        let now = now.as_secs();
        self.signed.ended.retain(|_, expires| !past(*expires, now));
        if self.signed.held.len() + self.signed.ended.len() >= HELD {
            return None;
        }
        let Verified { appid, claims, expires } = jwt::verify(token, now, |appid| self.apps.get(appid))?;
        let uid = self.signed_user(&appid, &claims.sub, claims.name.as_deref())?;
        if let Some(gid) = claims.gid {
            self.enter_signed(&appid, gid, uid, claims.rights.said());
        }
        let limits = Limits::default().changed(&claims.limits);
        self.signed.held.insert(id);
        self.insert_token(id, Token { uid, expires, limits });
        Some(())
    }

    /// The user that a token names, made or renamed if need be. No app speaks for another's users, nor for guests.
    fn signed_user(&mut self, appid: &str, address: &str, name: Option<&str>) -> Option<Uid> {
        let address = tidy(address)?;
        let name = name.and_then(tidy);
        if self.addresses.contains_key(&address) {
            let uid = self.app_user(appid, &address).ok()?;
            if let Some(name) = name {
                self.rename(uid, &name);
            }
            return Some(uid);
        }
        let name = name.unwrap_or_else(|| address.clone());
        Some(self.add_user(User { name, address, guest_of: None, app: kept_appid(appid) }, true))
    }

    /// Makes the user a member with these rights, as a pin would, in a group of the same app.
    fn enter_signed(&mut self, appid: &str, gid: Gid, uid: Uid, given: Override) {
        let same = self.appid_of_group(gid) == Some(appid);
        let before = self.groups.get(&gid).and_then(|entry| entry.members.get(&uid));
        let known = before.is_some_and(|known| known.member.given == given && known.member.pin.is_none());
        if same && !known {
            // Both the group and the user are there.
            let _ = self.amend_member(gid, uid, |member| {
                (member.given, member.pin, member.given_limits) = (given, None, Limits::default());
            });
        }
    }
}
