//! Who asks, and what that one may do.
//!
//! The server's admin token may do everything. A user's token may do what the user may do by signalling: the owner of a
//! group everything in it, an admin what the bits say. What a caller may not see at all is not there for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::problem::{Problem, Sort};
use crate::control::directory::{Asker, Group};
use crate::control::ids::{Gid, Uid};
use crate::control::rights::Admin;
use crate::control::{Control, State};
use crate::rate::{Bucket, Rate};
use crate::signal::message::Secret;

/// What one user may ask, and what may be tried with wrong credentials from one address.
const REQUESTS: Rate = Rate { burst: 200, every: Duration::from_millis(50) };
const WRONG: Rate = Rate { burst: 20, every: Duration::from_secs(1) };
/// Callers remembered at once; beyond that they share one bucket until others are forgotten.
const REMEMBERED: usize = 10_000;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// Whoever runs the server.
    Server,
    /// A user.
    User(Asker),
}

/// How callers are known.
pub(super) struct Callers {
    /// The digest of the admin token.
    key: [u8; 32],
    users: Meter<Uid>,
    wrong: Meter<IpAddr>,
    epoch: Instant,
}

/// What callers still owe, and what those owe who found no place.
struct Meter<K>(Mutex<(HashMap<K, Bucket>, Bucket)>);

impl<K: std::hash::Hash + Eq> Meter<K> {
    /// Whether `who` may go on; pays for it if `pay`.
    fn may(&self, who: K, now: Duration, rate: Rate, pay: bool) -> bool {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (buckets, others) = &mut *guard;
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| !bucket.is_clean(now));
        }
        let full = buckets.len() >= REMEMBERED;
        let bucket = match buckets.get_mut(&who) {
            Some(bucket) => bucket,
            None if full => others,
            None if !pay => return true,
            None => buckets.entry(who).or_default(),
        };
        let may = bucket.may(now, rate);
        if may && pay {
            bucket.pay(now, rate);
        }
        may
    }
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

impl Callers {
    pub(super) fn new(key: &Secret) -> Self {
        let (users, wrong) = (Meter(Mutex::default()), Meter(Mutex::default()));
        Self { key: digest_of(key.0.as_bytes()), users, wrong, epoch: Instant::now() }
    }

    /// Who asks, by the credentials that came along.
    pub(super) async fn identify(
        &self,
        control: &Control,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Caller, Problem> {
        let given = headers.get(AUTHORIZATION).and_then(|given| given.to_str().ok()).unwrap_or_default();
        let (scheme, token) = given.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            let detail =
                "Send `Authorization: Bearer TOKEN`, with a user's token or the server's admin token.";
            return Err(Problem::new(Sort::Unauthorized, detail));
        }
        let token = token.trim().to_owned();
        // Digests are compared: how long that takes says nothing of the token.
        if bool::from(digest_of(token.as_bytes()).ct_eq(&self.key)) {
            return Ok(Caller::Server);
        }
        let now = self.epoch.elapsed();
        if !self.wrong.may(from, now, WRONG, false) {
            return Err(slower("Too many wrong tokens came from this address: wait a moment."));
        }
        let identity = control.with(move |state, now| state.directory.authenticate(now.unix, &token)).await?;
        let Some(identity) = identity else {
            self.wrong.may(from, now, WRONG, true);
            return Err(Problem::new(Sort::Unauthorized, "The token is not valid: get a new one."));
        };
        if !self.users.may(identity.uid, now, REQUESTS, true) {
            return Err(slower("Ask 20 times a second at most."));
        }
        Ok(Caller::User(Asker { uid: identity.uid, token: identity.token, from }))
    }
}

fn slower(detail: &str) -> Problem {
    Problem { retry_after: Some(1), ..Problem::new(Sort::TooMany, detail) }
}

impl Caller {
    /// Tells callers apart.
    pub(super) fn name(&self) -> Vec<u8> {
        match self {
            Self::Server => b"server".to_vec(),
            Self::User(asker) => asker.uid.0.to_le_bytes().to_vec(),
        }
    }

    /// Refuses who does not run the server.
    pub(super) fn must_be_server(&self) -> Result<(), Problem> {
        match self {
            Self::Server => Ok(()),
            Self::User(_) => Err(Problem::forbidden("Ask with the server's admin token.")),
        }
    }

    /// The user, if it is one.
    pub(super) const fn uid(&self) -> Option<Uid> {
        match self {
            Self::Server => None,
            Self::User(asker) => Some(asker.uid),
        }
    }

    /// The group, for who may do in it what `may` says; and its owner, in whose name it is done.
    pub(super) fn in_group(
        &self,
        state: &State,
        gid: Gid,
        may: impl Fn(&Admin) -> bool,
    ) -> Result<Uid, Problem> {
        let group = self.sees(state, gid)?;
        let permitted = match self {
            Self::Server => true,
            Self::User(asker) => asker.uid == group.owner || may(&state.directory.admin(gid, asker.uid)),
        };
        let detail = "Ask as the owner of the group, or as an admin who may do this.";
        permitted.then_some(group.owner).ok_or_else(|| Problem::forbidden(detail))
    }

    /// The group, for its owner or who runs the server.
    pub(super) fn owns(&self, state: &State, gid: Gid) -> Result<Uid, Problem> {
        self.in_group(state, gid, |_| false)
    }

    /// The group, for who has any right in it.
    pub(super) fn sees<'a>(&self, state: &'a State, gid: Gid) -> Result<&'a Group, Problem> {
        let group = state.directory.group(gid).ok_or_else(|| Problem::not_found("group"))?;
        let seen = match self {
            Self::Server => true,
            Self::User(asker) => {
                asker.uid == group.owner
                    || state.directory.is_member(gid, asker.uid)
                    || !state.directory.admin(gid, asker.uid).is_none()
            }
        };
        seen.then_some(group).ok_or_else(|| Problem::not_found("group"))
    }

    /// Refuses to touch the owner, and for who is not the owner also admins.
    pub(super) fn may_touch(&self, state: &State, gid: Gid, whom: Uid) -> Result<(), Problem> {
        let Self::User(asker) = self else { return Ok(()) };
        let owner = state.directory.group(gid).map(|group| group.owner);
        let above = owner == Some(whom) && asker.uid != whom;
        let equal =
            owner != Some(asker.uid) && asker.uid != whom && !state.directory.admin(gid, whom).is_none();
        if above || equal {
            let detail = "The owner is above this, and admins are but for the owner.";
            return Err(Problem::forbidden(detail));
        }
        Ok(())
    }
}
