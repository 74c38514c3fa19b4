//! Who asks, and what that one may do.
//!
//! The server's admin token may do everything. An app's secret may do the same with the app's own users and groups. A
//! user's token may do what the user may do by signalling: the owner of a group everything in it, an admin what the bits
//! say. What a caller may not see at all is not there for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::problem::{Problem, Sort};
use crate::base64;
use crate::control::directory::{Asker, Failure, Group};
use crate::control::ids::{Gid, Uid};
use crate::control::rights::Admin;
use crate::control::{Control, State};
use crate::rate::{Bucket, Rate};
use crate::signal::message::Secret;

/// What one user may ask, what one app, and what may be tried with wrong tokens from one address.
const REQUESTS: Rate = Rate { burst: 200, every: Duration::from_millis(50) };
const REQUESTS_OF_APP: Rate = Rate { burst: 2000, every: Duration::from_millis(5) };
const WRONG: Rate = Rate { burst: 20, every: Duration::from_secs(1) };
/// Callers remembered at once; beyond that they share one bucket until others are forgotten.
const REMEMBERED: usize = 10_000;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Whoever runs the server.
    Server,
    /// An app's backend, by the app's name.
    App(Arc<str>),
    /// A user.
    User(Asker),
}

/// How callers are known.
pub(super) struct Callers {
    /// The digest of the admin token.
    key: [u8; 32],
    users: Meter<Uid>,
    apps: Meter<Arc<str>>,
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
        Self {
            key: digest_of(key.0.as_bytes()),
            users: Meter(Mutex::default()),
            apps: Meter(Mutex::default()),
            wrong: Meter(Mutex::default()),
            epoch: Instant::now(),
        }
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
        if scheme.eq_ignore_ascii_case("basic") {
            return self.identify_app(control, from, token.trim()).await;
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            let detail = "Send `Authorization: Bearer TOKEN`, with a user's token or the server's admin token, \
                          or an app's id and secret by HTTP Basic.";
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

    /// The app whose id and secret came along (RFC 7617).
    async fn identify_app(&self, control: &Control, from: IpAddr, given: &str) -> Result<Caller, Problem> {
        let wrong = || {
            Problem::new(Sort::Unauthorized, "The appid or the secret is wrong: `millrace app` prints it.")
        };
        let given =
            base64::decode(given).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)?;
        let (appid, secret) = given.split_once(':').ok_or_else(wrong)?;
        let (appid, secret) = (Arc::<str>::from(appid), Secret(secret.to_owned()));
        let shown = Arc::clone(&appid);
        let authorized = control
            .with(move |state, now| state.directory.authorize_app(now.unix, from, &shown, &secret.0))
            .await?;
        authorized.map_err(|failure| match failure {
            Failure::RateLimit => slower("Too many wrong secrets came from this address: wait a moment."),
            _ => wrong(),
        })?;
        if !self.apps.may(Arc::clone(&appid), self.epoch.elapsed(), REQUESTS_OF_APP, true) {
            return Err(slower("Ask 200 times a second at most."));
        }
        Ok(Caller::App(appid))
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
            Self::App(appid) => format!("app {appid}").into_bytes(),
            Self::User(asker) => asker.uid.0.to_le_bytes().to_vec(),
        }
    }

    /// Refuses who does not run the server.
    pub(super) fn must_be_server(&self) -> Result<(), Problem> {
        match self {
            Self::Server => Ok(()),
            Self::App(_) | Self::User(_) => Err(Problem::forbidden("Ask with the server's admin token.")),
        }
    }

    /// Refuses users.
    pub(super) fn must_not_be_user(&self) -> Result<(), Problem> {
        match self {
            Self::Server | Self::App(_) => Ok(()),
            Self::User(_) => {
                Err(Problem::forbidden("Ask with an app's secret, or with the server's admin token."))
            }
        }
    }

    /// The app, if it is one.
    pub(super) fn appid(&self) -> Option<&str> {
        match self {
            Self::App(appid) => Some(appid),
            Self::Server | Self::User(_) => None,
        }
    }

    /// Whether a user is one's own: oneself, one of the app's, or anybody for who runs the server.
    pub(super) fn has_user(&self, state: &State, uid: Uid) -> bool {
        match self {
            Self::Server => state.directory.user(uid).is_some(),
            Self::App(appid) => state.directory.appid_of_user(uid) == Some(appid),
            Self::User(asker) => asker.uid == uid,
        }
    }

    /// Whether a group is for the caller to see, whatever is in it.
    pub(super) fn has_group(&self, state: &State, gid: Gid) -> bool {
        match self {
            Self::Server => true,
            Self::App(appid) => state.directory.appid_of_group(gid) == Some(appid),
            Self::User(asker) => {
                let (directory, uid) = (&state.directory, asker.uid);
                directory.group(gid).is_some_and(|group| group.owner == uid)
                    || directory.is_member(gid, uid)
                    || !directory.admin(gid, uid).is_none()
            }
        }
    }

    /// The user, if it is one.
    pub(super) const fn uid(&self) -> Option<Uid> {
        match self {
            Self::Server | Self::App(_) => None,
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
            Self::Server | Self::App(_) => true,
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
        self.has_group(state, gid).then_some(group).ok_or_else(|| Problem::not_found("group"))
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
