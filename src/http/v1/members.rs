//! Members of a group: what is said of each.

use serde_json::{Value, json};

use super::problem::{Problem, Sort};
use super::shape::{Kind, Shape, needed, null};
use super::shown::{self, ADMIN, ANY, EFFECTIVE, EXPIRES, LIMITS, Patch, RESOLUTION, SAID};
use super::{Answer, Call, Object, Reply};
use crate::control::State;
use crate::control::directory::{Listed, Member};
use crate::control::ids::{Gid, Uid};

/// What is said of a member, also when it is changed (RFC 7396): null sets the default.
pub(super) static PATCH: Shape = Shape {
    name: "MemberPatch",
    fields: &[
        null("rights", Kind::Object(&SAID), "What is said of each right; it wins over the pin."),
        null("admin", Kind::Object(&ADMIN), "What the member may do to others; for the owner to say."),
        null("resolution", RESOLUTION, "In place of the group's; 0 inherits."),
        null("callFlags", ANY, "In place of the group's; 0 inherits."),
        null("callDuration", ANY, "In place of the group's, in seconds; 0 inherits."),
        null("expires", EXPIRES, "When the membership ends, in seconds since 1970; 0 is never."),
        null("limits", Kind::Object(&LIMITS), "What the member may send and get at most."),
    ],
};

/// A member as it is shown.
pub(super) static MEMBER: Shape = Shape {
    name: "Member",
    fields: &[
        needed("uid", ANY, "The user's number."),
        needed("name", Kind::Text, "As others see the person."),
        needed("address", Kind::Text, "Stable and unique."),
        needed("owner", Kind::Truth, "Whether it is the owner of the group."),
        needed("rights", Kind::Object(&SAID), "What is said of each right, by an admin or by the pin."),
        needed("effective", Kind::Object(&EFFECTIVE), "What the member may do, all told."),
        needed("admin", Kind::Object(&ADMIN), "What the member may do to others."),
        needed("resolution", RESOLUTION, "In place of the group's; 0 inherits."),
        needed("callFlags", ANY, "In place of the group's; 0 inherits."),
        needed("callDuration", ANY, "In place of the group's, in seconds; 0 inherits."),
        needed("expires", EXPIRES, "When the membership ends, in seconds since 1970; 0 is never."),
        needed("limits", Kind::Object(&LIMITS), "What the member may send and get at most."),
    ],
};

fn show(state: &State, gid: Gid, listed: &Listed) -> Value {
    let Listed { uid, name, address, member, rights } = listed;
    let owner = state.directory.group(gid).is_some_and(|group| group.owner == *uid);
    json!({
        "uid": uid,
        "name": name,
        "address": address,
        "owner": owner,
        "rights": shown::said(&member.says()),
        "effective": rights,
        "admin": state.directory.admin(gid, *uid),
        "resolution": member.resolution,
        "callFlags": member.call_flags,
        "callDuration": member.call_duration,
        "expires": member.expires,
        "limits": shown::limits(&member.limits),
    })
}

fn apply(patch: &Object, member: &mut Member) {
    shown::patch_said(patch, &mut member.said);
    shown::patch_admin(patch, &mut member.admin);
    shown::patch_limits(patch, &mut member.limits);
    member.resolution = patch.byte("resolution").unwrap_or(member.resolution);
    member.call_flags = patch.small("callFlags").unwrap_or(member.call_flags);
    member.call_duration = patch.small("callDuration").unwrap_or(member.call_duration);
    member.expires = patch.number("expires").unwrap_or(member.expires);
}

fn find(state: &State, gid: Gid, uid: Uid) -> Result<Listed, Problem> {
    state.directory.member(gid, uid).ok_or_else(|| Problem::not_found("member"))
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    let owner = call.caller.in_group(state, gid, |admin| admin.members)?;
    let members = state.directory.members(owner, gid)?;
    let members = members.into_iter().map(|listed| (u64::from(listed.uid.0), listed));
    Ok(call.page(members, |listed| show(state, gid, &listed)))
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    if call.caller.uid() == Some(uid) {
        call.caller.sees(state, gid)?;
    } else {
        call.caller.in_group(state, gid, |admin| admin.members)?;
    }
    Ok(Reply::version(show(state, gid, &find(state, gid, uid)?)))
}

/// Whether the caller may change what is said of a member, in this way.
fn may(state: &State, call: &Call) -> Result<(), Problem> {
    let (gid, uid) = (call.gid(), call.uid());
    call.caller.in_group(state, gid, |admin| admin.members)?;
    call.caller.may_touch(state, gid, uid)?;
    if call.body.contains_key("admin") && call.caller.owns(state, gid).is_err() {
        return Err(Problem::forbidden("Only the owner makes admins: leave `admin` out."));
    }
    Ok(())
}

/// Makes a user a member, or says anew what is said of one.
pub(super) fn put(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    may(state, call)?;
    let before = state.directory.is_member(gid, uid);
    if !before && call.caller.appid().is_some() && !call.caller.has_user(state, uid) {
        return Err(Problem::not_found("user"));
    }
    match state.directory.member(gid, uid) {
        Some(listed) => call.guard(&show(state, gid, &listed))?,
        None if call.if_match.is_some() => {
            return Err(Problem::new(Sort::Changed, "There is no such member now: leave If-Match out."));
        }
        None => {}
    }
    state.directory.amend_member(gid, uid, |member| {
        let (given, given_limits, pin) = (member.given, member.given_limits, member.pin.take());
        let (admin, given_call_duration) = (member.admin, member.given_call_duration);
        *member = Member { given, given_limits, given_call_duration, pin, admin, ..Member::default() };
        apply(&call.body, member);
    })?;
    let shown = show(state, gid, &find(state, gid, uid)?);
    let location = format!("/v1/groups/{gid}/members/{uid}");
    Ok(match before {
        true => Reply::version(shown),
        false => Reply { tagged: true, ..Reply::made(shown, location) },
    })
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    may(state, call)?;
    call.guard(&show(state, gid, &find(state, gid, uid)?))?;
    state.directory.amend_member(gid, uid, |member| apply(&call.body, member))?;
    read(state, call)
}

pub(super) fn delete(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    call.caller.in_group(state, gid, |admin| admin.members || admin.remove)?;
    call.caller.may_touch(state, gid, uid)?;
    call.guard(&show(state, gid, &find(state, gid, uid)?))?;
    state.directory.remove_from(gid, uid);
    Ok(Reply::done())
}

impl Call {
    /// The user of a path that begins with a group.
    pub(super) fn uid(&self) -> Uid {
        Uid(self.number(1))
    }
}
