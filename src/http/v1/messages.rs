//! What is said in a group.

use serde_json::{Value, json};

use super::page::MOST;
use super::problem::{Problem, Sort};
use super::shape::{Field, Kind, Shape, known, maybe, needed, whole};
use super::shown::{ANY, COUNT, Patch};
use super::{Answer, Call, Reply};
use crate::control::State;
use crate::control::directory::Message;
use crate::control::ids::{MessageId, Uid};

/// So many characters have at most four times as many bytes, which is what signalling lets through.
const TEXT: Kind = Kind::Prose(1024);
const USUAL: u64 = 50;

/// The parameters of a list, which goes back in time.
pub(super) const PAGE: &[Field] = &[
    maybe("cursor", Kind::Digits(1, 20), "Where to go on back in time: `next` of the page before."),
    maybe("limit", Kind::Whole(1, MOST), "How many at most; 50 unless told."),
];

/// A message as it is said.
pub(super) static NEW: Shape = Shape {
    name: "MessageNew",
    fields: &[
        needed("text", TEXT, "What is said."),
        maybe("to", ANY, "To whom: a uid; to the group unless told."),
        maybe("from", ANY, "In whose name: a uid. Not for users; the group's owner unless told."),
    ],
};

/// A message as it is shown.
pub(super) static MESSAGE: Shape = Shape {
    name: "Message",
    fields: &[
        needed("id", COUNT, "Its number: later ones have larger ones."),
        needed("at", COUNT, "When it was said, in milliseconds since 1970."),
        needed("uid", ANY, "Who said it."),
        needed("name", Kind::Text, "That person's name then."),
        known("to", ANY, "To whom; null: to the group."),
        needed("text", Kind::Text, "What was said."),
    ],
};

fn show(id: MessageId, message: &Message) -> Value {
    json!({
        "id": id,
        "at": u64::try_from(id.at().as_millis()).unwrap_or(u64::MAX),
        "uid": message.from,
        "name": message.name,
        "to": message.to,
        "text": message.text,
    })
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    call.caller.sees(state, gid)?;
    let (unix, reader) = (call.now.unix, call.caller.uid());
    if reader.is_some_and(|uid| !state.directory.rights_of(unix, uid, gid).receive) {
        return Err(Problem::forbidden("Ask for the right to receive messages here."));
    }
    let wanted = |message: &Message| reader.is_none_or(|uid| message.concerns(uid));
    let most = call.query.get("limit").and_then(whole).unwrap_or(USUAL);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let (page, more) = state.directory.messages(unix, gid, call.cursor().map(MessageId), most, wanted);
    let next = page.first().filter(|_| more).map(|(id, _)| id.0.to_string());
    let items: Vec<_> = page.into_iter().rev().map(|(id, message)| show(id, message)).collect();
    Ok(Reply::ok(json!({ "items": items, "next": next })))
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    let owner = call.caller.sees(state, gid)?.owner;
    let asked = call.body.small("from").map(Uid);
    let from = match call.caller.uid() {
        None => asked.filter(|asked| *asked != owner).map_or(Ok(owner), |asked| {
            let own = call.caller.has_user(state, asked).then_some(asked);
            own.ok_or_else(|| Problem::not_found("user as `from` says"))
        })?,
        Some(uid) if asked.is_some_and(|asked| asked != uid) => {
            return Err(Problem::forbidden("Leave `from` out: speak in your own name."));
        }
        Some(uid) if !state.directory.rights_of(call.now.unix, uid, gid).send => {
            return Err(Problem::forbidden("Ask for the right to send messages here."));
        }
        Some(uid) => uid,
    };
    let text = call.body.text("text").unwrap_or_default();
    let to = call.body.small("to").map(Uid);
    let (id, message) =
        state.announce(call.now, gid, from, to, text).map_err(|refusal| match refusal.error.as_str() {
            "NORECEIVER" => Problem::new(Sort::Conflict, refusal.text),
            _ => Problem::from(refusal),
        })?;
    Ok(Reply { status: http::StatusCode::CREATED, ..Reply::ok(show(id, &message)) })
}
