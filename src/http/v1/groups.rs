//! Groups.

use serde_json::{Value, json};

use super::page::{CURSOR, LIMIT};
use super::problem::Problem;
use super::shape::{Field, Kind, Shape, maybe, needed, null};
use super::shown::{self, ANY, EXPIRES, LIMITS, Patch, RESOLUTION};
use super::{Answer, Call, Object, Reply};
use crate::control::State;
use crate::control::directory::{DEFAULT_APP, DEFAULT_CALL_FLAGS, Group, Settings};
use crate::control::ids::{Gid, Uid};
use crate::control::rights::{Choice, Choices, Preset, Receivers};

const NAME: Kind = Kind::Line(100);
const WHO: Kind = Kind::Word(&["members", "selected", "anyone"]);
const HEARS: Kind = Kind::Word(&["members", "selected", "anyone", "turn"]);

/// Whom a group gives its rights to.
static CHOICES: Shape = Shape {
    name: "Choices",
    fields: &[
        maybe("send", WHO, "Who sends messages, of those of whom nothing else is said, as with all of them."),
        maybe("receive", HEARS, "Who receives them; `turn`: one member after the other."),
        maybe("publish", WHO, "Who publishes."),
        maybe("subscribe", WHO, "Who watches."),
        maybe("list", WHO, "Who sees the roster."),
    ],
};

/// The address of the user who owns what the server's admin makes in nobody's name.
const SERVER: &str = "server";
const TYPE: Kind = Kind::Whole(0, 2);
const DURATION: Kind = ANY;

/// A group as it is made.
pub(super) static NEW: Shape = Shape {
    name: "GroupNew",
    fields: &[
        needed("name", NAME, "As people see it."),
        maybe(
            "owner",
            ANY,
            "Whose it is: a uid. An app must say it, a user must not; with the admin token it is the user `server` unless told.",
        ),
        maybe("type", TYPE, "0 conference, 1 webinar, 2 classroom: sets the choices that are not given."),
        maybe("choices", Kind::Object(&CHOICES), "Whom it gives its rights to."),
        null(
            "resolution",
            RESOLUTION,
            "The largest picture, 1 (320x240) to 5 (3840x2160); 0 is the default.",
        ),
        null("callFlags", ANY, "The call flags."),
        null("callDuration", DURATION, "How long a call may last, in seconds; 0 is without limit."),
        null("guests", Kind::Truth, "Whether a pin is enough to come in, with no user."),
        null("expires", EXPIRES, "When nobody joins any more, in seconds since 1970; 0 is never."),
        null("limits", Kind::Object(&LIMITS), "What everybody in it may send and get at most."),
    ],
};

/// What is changed of a group (RFC 7396): null sets the default.
pub(super) static PATCH: Shape = Shape {
    name: "GroupPatch",
    fields: &[
        maybe("name", NAME, "As people see it."),
        maybe("type", TYPE, "0 conference, 1 webinar, 2 classroom: sets the choices that are not given."),
        maybe("choices", Kind::Object(&CHOICES), "Whom it gives its rights to."),
        null("resolution", RESOLUTION, "The largest picture, 1 to 5; 0 is the default."),
        null("callFlags", ANY, "The call flags."),
        null("callDuration", DURATION, "How long a call may last, in seconds; 0 is without limit."),
        null("guests", Kind::Truth, "Whether a pin is enough to come in, with no user."),
        null("expires", EXPIRES, "When nobody joins any more, in seconds since 1970; 0 is never."),
        null("limits", Kind::Object(&LIMITS), "What everybody in it may send and get at most."),
    ],
};

/// A group as it is shown.
pub(super) static GROUP: Shape = Shape {
    name: "Group",
    fields: &[
        needed("gid", ANY, "Its number."),
        needed("name", Kind::Text, "As people see it."),
        needed("owner", ANY, "Whose it is: a uid."),
        needed("type", TYPE, "0 conference, 1 webinar, 2 classroom."),
        needed("choices", Kind::Object(&CHOICES), "Whom it gives its rights to."),
        needed("resolution", RESOLUTION, "The largest picture, 1 to 5; 0 is the default."),
        needed("callFlags", ANY, "The call flags."),
        needed("callDuration", DURATION, "How long a call may last, in seconds; 0 is without limit."),
        needed("guests", Kind::Truth, "Whether a pin is enough to come in, with no user."),
        needed("expires", EXPIRES, "When nobody joins any more, in seconds since 1970; 0 is never."),
        needed(
            "limits",
            Kind::Object(&LIMITS),
            "What everybody in it may send and get at most; 0 is no limit.",
        ),
    ],
};

const fn choice(choice: Choice) -> &'static str {
    match choice {
        Choice::Members => "members",
        Choice::Selected => "selected",
        Choice::Anyone => "anyone",
    }
}

fn chosen(word: &str) -> Choice {
    match word {
        "selected" => Choice::Selected,
        "anyone" => Choice::Anyone,
        _ => Choice::Members,
    }
}

fn show(gid: Gid, group: &Group) -> Value {
    let Choices { send, receive, publish, subscribe, list } = group.choices;
    let receive = match receive {
        Receivers::All(who) => choice(who),
        Receivers::RoundRobin => "turn",
    };
    json!({
        "gid": gid,
        "name": group.name,
        "owner": group.owner,
        "type": group.preset.number(),
        "choices": {
            "send": choice(send),
            "receive": receive,
            "publish": choice(publish),
            "subscribe": choice(subscribe),
            "list": choice(list),
        },
        "resolution": group.resolution,
        "callFlags": group.call_flags,
        "callDuration": group.call_duration,
        "guests": group.guests,
        "expires": group.expires,
        "limits": shown::limits(&group.limits),
    })
}

/// Changes a group as a request says.
fn apply(patch: &Object, group: &mut Group) {
    if let Some(name) = patch.text("name") {
        name.trim_end().clone_into(&mut group.name);
    }
    if let Some(preset) = patch.small("type").and_then(Preset::from_number)
        && preset != group.preset
    {
        group.preset = preset;
        group.choices = preset.choices();
    }
    if let Some(choices) = patch.object("choices") {
        let said = |name, before| choices.text(name).map_or(before, chosen);
        let Choices { send, receive, publish, subscribe, list } = group.choices;
        group.choices = Choices {
            send: said("send", send),
            receive: match choices.text("receive") {
                None => receive,
                Some("turn") => Receivers::RoundRobin,
                Some(word) => Receivers::All(chosen(word)),
            },
            publish: said("publish", publish),
            subscribe: said("subscribe", subscribe),
            list: said("list", list),
        };
    }
    group.resolution = patch.byte("resolution").unwrap_or(group.resolution);
    group.call_duration = patch.small("callDuration").unwrap_or(group.call_duration);
    group.expires = patch.number("expires").unwrap_or(group.expires);
    match patch.cleared("callFlags") {
        true => group.call_flags = DEFAULT_CALL_FLAGS,
        false => group.call_flags = patch.small("callFlags").unwrap_or(group.call_flags),
    }
    match patch.cleared("guests") {
        true => group.guests = false,
        false => group.guests = patch.truth("guests").unwrap_or(group.guests),
    }
    shown::patch_limits(patch, &mut group.limits);
}

/// What is searched for.
pub(super) fn search(call: &Call) -> Option<String> {
    call.query.text("search").map(str::to_lowercase)
}

/// Whether a group is among what is searched for.
pub(super) fn found(search: Option<&str>, gid: Gid, group: &Group) -> bool {
    search.is_none_or(|search| group.name.to_lowercase().contains(search) || gid.0.to_string() == search)
}

/// What a request of the list may say.
pub(super) const QUERY: &[Field] =
    &[CURSOR, LIMIT, maybe("search", Kind::Line(100), "Only those whose name has this, or whose gid it is.")];

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let groups = &state.directory;
    let search = search(call);
    let found = |(gid, group): &(Gid, &Group)| found(search.as_deref(), *gid, group);
    let key = |(gid, group): (Gid, _)| (u64::from(gid.0), (gid, group));
    let show = |(gid, group): (Gid, &Group)| show(gid, group);
    Ok(match call.caller.uid() {
        None => {
            let first = call.cursor().map_or(0, |last| u32::try_from(last).unwrap_or(u32::MAX));
            let own = groups.groups_from(Gid(first)).filter(|(gid, _)| call.caller.has_group(state, *gid));
            call.page(own.filter(found).map(key), show)
        }
        Some(uid) => {
            let mine = groups.groups_of(uid);
            let mine = mine.into_iter().filter_map(|gid| Some((gid, groups.group(gid)?)));
            call.page(mine.filter(found).map(key), show)
        }
    })
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let asked = call.body.small("owner").map(Uid);
    let owner = match (call.caller.uid(), asked) {
        (None, Some(owner)) if call.caller.has_user(state, owner) => owner,
        (None, Some(_)) => return Err(Problem::not_found("user as `owner` says")),
        (None, None) if call.caller.appid().is_some() => {
            return Err(Problem::wrong("/owner", "is missing: expected the uid of one of the app's users"));
        }
        (None, None) => match state.directory.user_at(SERVER) {
            Some(server) => server,
            None => state.directory.create_user(DEFAULT_APP, "Server", SERVER)?,
        },
        (Some(uid), None) => uid,
        (Some(uid), Some(owner)) if uid == owner => uid,
        (Some(_), Some(_)) => return Err(Problem::forbidden("Leave `owner` out: make groups of your own.")),
    };
    let settings = Settings { name: call.body.text("name").map(str::to_owned), ..Settings::default() };
    let gid = state.directory.create_group(owner, &settings)?.gid;
    state.directory.amend_group(gid, |group| apply(&call.body, group))?;
    let group = state.directory.group(gid).ok_or_else(|| Problem::not_found("group"))?;
    Ok(Reply { tagged: true, ..Reply::made(show(gid, group), format!("/v1/groups/{gid}")) })
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    Ok(Reply::version(show(gid, call.caller.sees(state, gid)?)))
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    call.caller.in_group(state, gid, |admin| admin.modify)?;
    call.guard(&show(gid, call.caller.sees(state, gid)?))?;
    state.directory.amend_group(gid, |group| apply(&call.body, group))?;
    read(state, call)
}

pub(super) fn delete(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    let owner = call.caller.owns(state, gid)?;
    call.guard(&show(gid, call.caller.sees(state, gid)?))?;
    state.directory.delete_group(owner, gid)?;
    Ok(Reply::done())
}

impl Call {
    /// The group of the path, which all of these paths begin with.
    pub(super) fn gid(&self) -> Gid {
        Gid(self.number(0))
    }
}
