//! Users and their tokens.

use serde_json::{Value, json};

use super::problem::{Problem, Sort};
use super::shape::{Field, Kind, Shape, known, maybe, needed, null};
use super::shown::{self, ANY, EXPIRES, LIMITS, Patch};
use super::{Answer, Call, Reply};
use crate::control::State;
use crate::control::directory::{DEFAULT_APP, User};
use crate::control::ids::Uid;
use crate::control::limits::Limits;

const NAME: Kind = Kind::Line(100);

/// Picks one user of the list.
pub(super) const ADDRESS: Field = maybe("address", NAME, "The one with this address.");

/// A user as one is made.
pub(super) static NEW: Shape = Shape {
    name: "UserNew",
    fields: &[
        needed("name", NAME, "As others see the person."),
        needed("address", NAME, "Stable and unique."),
        maybe("appid", Kind::Slug, "Whose user it is; `default`, or the app that asks, unless told."),
    ],
};

/// What is changed of a user (RFC 7396).
pub(super) static PATCH: Shape =
    Shape { name: "UserPatch", fields: &[maybe("name", NAME, "As others see the person.")] };

/// A user as one is shown.
pub(super) static USER: Shape = Shape {
    name: "User",
    fields: &[
        needed("uid", ANY, "The user's number."),
        known(
            "appid",
            Kind::Text,
            "Whose user it is: an app. A guest is of the app whose group it came for.",
        ),
        needed("name", NAME, "As others see the person."),
        needed("address", NAME, "Stable and unique."),
        known("guestOf", ANY, "The group that a guest came for; null for a user."),
    ],
};

/// A token as one is made.
pub(super) static TOKEN_NEW: Shape = Shape {
    name: "TokenNew",
    fields: &[
        null("expires", EXPIRES, "When it dies, in seconds since 1970; 0 is never."),
        null("limits", Kind::Object(&LIMITS), "What its holder may send and get at most, wherever that is."),
    ],
};

/// A token just made.
pub(super) static TOKEN: Shape = Shape {
    name: "Token",
    fields: &[
        needed("token", Kind::Text, "The token; it is shown this once."),
        needed("uid", ANY, "Whose it is."),
        needed("expires", EXPIRES, "When it dies, in seconds since 1970; 0 is never."),
        needed("limits", Kind::Object(&LIMITS), "What its holder may send and get at most; 0 is no limit."),
    ],
};

fn show(state: &State, uid: Uid, user: &User) -> Value {
    let appid = state.directory.appid_of_user(uid);
    json!({ "uid": uid, "appid": appid, "name": user.name, "address": user.address, "guestOf": user.guest_of })
}

/// The user of a path that begins with one, for oneself, the user's app, or who runs the server.
fn find<'a>(state: &'a State, call: &Call) -> Result<(Uid, &'a User), Problem> {
    let uid = Uid(call.number(0));
    let user = state.directory.user(uid).filter(|_| call.caller.has_user(state, uid));
    user.map(|user| (uid, user)).ok_or_else(|| Problem::not_found("user"))
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    call.caller.must_not_be_user()?;
    let directory = &state.directory;
    let own = |(uid, _): &(Uid, &User)| call.caller.has_user(state, *uid);
    let key = |(uid, user): (Uid, _)| (u64::from(uid.0), (uid, user));
    let show = |(uid, user): (Uid, &User)| show(state, uid, user);
    if let Some(address) = call.query.text("address") {
        let uid = directory.user_at(address);
        let user = uid.and_then(|uid| Some((uid, directory.user(uid)?)));
        return Ok(call.page(user.into_iter().filter(own).map(key), show));
    }
    let first = call.cursor().map_or(0, |last| u32::try_from(last).unwrap_or(u32::MAX));
    Ok(call.page(directory.users_from(Uid(first)).into_iter().filter(own).map(key), show))
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    call.caller.must_not_be_user()?;
    let appid = match (call.caller.appid(), call.body.text("appid")) {
        (Some(own), Some(asked)) if own != asked => {
            return Err(Problem::forbidden("Leave `appid` out: make users of your own."));
        }
        (Some(own), _) => own,
        (None, asked) => asked.unwrap_or(DEFAULT_APP),
    };
    if appid != DEFAULT_APP && state.directory.app(appid).is_none() {
        return Err(Problem::not_found("app as `appid` says"));
    }
    let (name, address) = (call.body.text("name"), call.body.text("address"));
    let (name, address) = (name.unwrap_or_default(), address.unwrap_or_default());
    if state.directory.user_at(address.trim_end()).is_some() {
        let detail = "There is a user with this address, on the server as a whole: find your own with \
                      `GET /v1/users?address=…`.";
        return Err(Problem::new(Sort::Conflict, detail));
    }
    let uid = state.directory.create_user(appid, name, address)?;
    let user = state.directory.user(uid).ok_or_else(|| Problem::not_found("user"))?;
    Ok(Reply { tagged: true, ..Reply::made(show(state, uid, user), format!("/v1/users/{uid}")) })
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    let (uid, user) = find(state, call)?;
    Ok(Reply::version(show(state, uid, user)))
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    let (uid, user) = find(state, call)?;
    call.guard(&show(state, uid, user))?;
    if let Some(name) = call.body.text("name") {
        state.directory.rename_user(uid, name)?;
    }
    read(state, call)
}

pub(super) fn delete(state: &mut State, call: &Call) -> Answer {
    call.caller.must_not_be_user()?;
    let (uid, user) = find(state, call)?;
    call.guard(&show(state, uid, user))?;
    state.directory.delete_user(uid)?;
    Ok(Reply::done())
}

pub(super) fn create_token(state: &mut State, call: &Call) -> Answer {
    call.caller.must_not_be_user()?;
    let (uid, user) = find(state, call)?;
    if user.guest_of.is_some() {
        return Err(Problem::new(Sort::Conflict, "A guest has one token: let the guest come again."));
    }
    let expires = call.body.number("expires").unwrap_or(0);
    let mut limits = Limits::default();
    shown::patch_limits(&call.body, &mut limits);
    let token = state.directory.add_token_of(uid, expires, limits)?;
    let shown = json!({ "token": token, "uid": uid, "expires": expires, "limits": shown::limits(&limits) });
    Ok(Reply { status: http::StatusCode::CREATED, ..Reply::ok(shown) })
}

pub(super) fn delete_tokens(state: &mut State, call: &Call) -> Answer {
    let (uid, _) = find(state, call)?;
    state.directory.end_tokens_of(uid);
    Ok(Reply::done())
}
