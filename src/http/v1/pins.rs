//! Pins of a group.

use serde_json::{Value, json};

use super::problem::Problem;
use super::shape::{Kind, Shape, needed, null};
use super::shown::{self, ANY, EXPIRES, LIMITS, Patch, SAID};
use super::{Answer, Call, Object, Reply};
use crate::control::State;
use crate::control::directory::{Pin, PinChanges, PinRole};
use crate::control::ids::Gid;
use crate::sorted::sort_by;

/// What is said of a pin, also when it is changed (RFC 7396): null sets the default.
pub(super) static PATCH: Shape = Shape {
    name: "PinPatch",
    fields: &[
        null("rights", Kind::Object(&SAID), "The rights it gives."),
        null("expires", EXPIRES, "When it ceases to open, in seconds since 1970; 0 is never."),
        null("count", ANY, "How many may come with it; 0 is without limit."),
        null("callDuration", ANY, "How long the call may last for who came with it, in seconds; 0 inherits."),
        null("leave", Kind::Truth, "Whether who came with it goes when it does."),
        null("limits", Kind::Object(&LIMITS), "What who came with it may send and get at most."),
    ],
};

/// A pin as it is shown.
pub(super) static PIN: Shape = Shape {
    name: "Pin",
    fields: &[
        needed("pin", Kind::Digits(8, 8), "Its digits."),
        needed(
            "role",
            Kind::Word(&["participant", "viewer", "further"]),
            "Which one: groups begin with two.",
        ),
        needed("rights", Kind::Object(&SAID), "The rights it gives."),
        needed("expires", EXPIRES, "When it ceases to open, in seconds since 1970; 0 is never."),
        needed("count", ANY, "How many may come with it; 0 is without limit."),
        needed("used", ANY, "How many came; counted where there is a limit."),
        needed(
            "callDuration",
            ANY,
            "How long the call may last for who came with it, in seconds; 0 inherits.",
        ),
        needed("leave", Kind::Truth, "Whether who came with it goes when it does."),
        needed("limits", Kind::Object(&LIMITS), "What who came with it may send and get at most."),
    ],
};

fn show(pin: &Pin) -> Value {
    let role = match pin.role {
        PinRole::Participant => "participant",
        PinRole::Viewer => "viewer",
        PinRole::Further => "further",
    };
    json!({
        "pin": pin.digits,
        "role": role,
        "rights": shown::said(&pin.rights),
        "expires": pin.expires,
        "count": pin.count,
        "used": pin.used,
        "callDuration": pin.call_duration,
        "leave": pin.leave,
        "limits": shown::limits(&pin.limits),
    })
}

fn apply(patch: &Object, pin: &mut Pin) {
    shown::patch_said(patch, &mut pin.rights);
    shown::patch_limits(patch, &mut pin.limits);
    pin.expires = patch.number("expires").unwrap_or(pin.expires);
    pin.call_duration = patch.small("callDuration").unwrap_or(pin.call_duration);
    pin.count = patch.small("count").unwrap_or(pin.count);
    match patch.cleared("leave") {
        true => pin.leave = false,
        false => pin.leave = patch.truth("leave").unwrap_or(pin.leave),
    }
}

fn find<'a>(state: &'a State, gid: Gid, digits: &str) -> Result<&'a Pin, Problem> {
    let pins = state.directory.group(gid).map_or(&[][..], |group| &group.pins);
    pins.iter().find(|pin| pin.digits == digits).ok_or_else(|| Problem::not_found("pin"))
}

fn digits(call: &Call) -> &str {
    call.path.get(1).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    let owner = call.caller.in_group(state, gid, |admin| admin.pins)?;
    let mut pins: Vec<_> = state.directory.pins(owner, gid)?.iter().collect();
    sort_by(&mut pins, |a, b| a.digits.cmp(&b.digits));
    Ok(call.page(pins.into_iter().map(|pin| (pin.digits.parse().unwrap_or(0), pin)), show))
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    let owner = call.caller.in_group(state, gid, |admin| admin.pins)?;
    let digits = state.directory.add_pin(owner, gid, &PinChanges::default())?;
    state.directory.amend_pin(gid, &digits, |pin| apply(&call.body, pin))?;
    let shown = show(find(state, gid, &digits)?);
    Ok(Reply { tagged: true, ..Reply::made(shown, format!("/v1/groups/{gid}/pins/{digits}")) })
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    call.caller.in_group(state, gid, |admin| admin.pins)?;
    Ok(Reply::version(show(find(state, gid, digits(call))?)))
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    call.caller.in_group(state, gid, |admin| admin.pins)?;
    call.guard(&show(find(state, gid, digits(call))?))?;
    state.directory.amend_pin(gid, digits(call), |pin| apply(&call.body, pin))?;
    read(state, call)
}

pub(super) fn delete(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    let owner = call.caller.in_group(state, gid, |admin| admin.pins)?;
    call.guard(&show(find(state, gid, digits(call))?))?;
    state.directory.remove_pin(owner, gid, digits(call))?;
    Ok(Reply::done())
}
