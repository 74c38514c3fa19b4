//! Who is in a group, a line each: for a table that somebody keeps an eye on.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::live::{kbps, looks};
use super::page::{CURSOR, LIMIT};
use super::shape::{Field, Kind, Shape, known, maybe, needed};
use super::shown::{ANY, COUNT, MUTED, Patch};
use super::{Answer, Call};
use crate::control::State;
use crate::control::rooms::SummaryReport;
use crate::sorted::sort_by_key;

const ORDERS: [&str; 8] = ["uid", "name", "streams", "kbpsIn", "kbpsOut", "loss", "rtt", "limited"];

/// What a request of the list may say.
pub(super) const QUERY: &[Field] = &[
    maybe("cursor", CURSOR.kind, "Where to go on: `next` of the page before, in what is the order by then."),
    LIMIT,
    maybe("search", Kind::Line(100), "Only those whose name or address has this, or whose uid it is."),
    maybe("sort", Kind::Word(&ORDERS), "By what: `uid` and `name` upwards, all others the most first."),
];

/// Somebody who is in a group, in a line.
pub(super) static SUMMARY: Shape = Shape {
    name: "Summary",
    fields: &[
        needed("uid", ANY, "The user's number."),
        needed("name", Kind::Text, "As others see the person."),
        needed("address", Kind::Text, "Stable and unique."),
        needed("streams", COUNT, "How many streams the person publishes here."),
        needed("views", COUNT, "How many streams the person watches here."),
        needed("talking", Kind::Truth, "Whether the person is heard now."),
        needed("muted", Kind::Object(&MUTED), "What of all the streams is muted that have it."),
        needed("kbpsIn", COUNT, "What comes in of late, in kbit/s."),
        needed("kbpsOut", COUNT, "What goes out of late, in kbit/s, with what is watched in other groups."),
        needed("lossPercent", Kind::Whole(0, 100), "Packets lost of late, on the worst connection."),
        known("rttMs", COUNT, "The longest round-trip time in milliseconds; null while none is known."),
        known("estimateKbps", COUNT, "What the way out is taken to carry; null while it is not known."),
        needed("limited", COUNT, "Pictures that bandwidth keeps below what their tiles ask for."),
        needed("paused", COUNT, "Pictures that bandwidth pauses."),
    ],
};

fn show(report: &SummaryReport<'_>) -> Value {
    let SummaryReport { uid, name, address, streams, views, talking, muted, traffic } = report;
    json!({
        "uid": uid,
        "name": name,
        "address": address,
        "streams": streams,
        "views": views,
        "talking": talking,
        "muted": { "audio": muted.audio, "video": muted.video },
        "kbpsIn": kbps(traffic.incoming),
        "kbpsOut": kbps(traffic.outgoing),
        "lossPercent": traffic.loss_percent,
        "rttMs": traffic.rtt.map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
        "estimateKbps": traffic.estimate.map(kbps),
        "limited": traffic.limited,
        "paused": traffic.paused,
    })
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let gid = looks(state, call)?;
    let mut all: Vec<_> = state.rooms.summaries(call.now.instant, gid).collect();
    if let Some(search) = call.query.text("search").map(str::to_lowercase) {
        let has = |text: &str| text.to_lowercase().contains(&search);
        all.retain(|person| has(person.name) || has(person.address) || person.uid.0.to_string() == search);
    }
    match call.query.text("sort").unwrap_or("uid") {
        "name" => sort_by_key(&mut all, |person| person.name.to_lowercase()),
        "streams" => sort_by_key(&mut all, |person| Reverse((person.streams, person.views))),
        "kbpsIn" => sort_by_key(&mut all, |person| Reverse(person.traffic.incoming)),
        "kbpsOut" => sort_by_key(&mut all, |person| Reverse(person.traffic.outgoing)),
        "loss" => sort_by_key(&mut all, |person| Reverse(person.traffic.loss_percent)),
        "rtt" => sort_by_key(&mut all, |person| Reverse(person.traffic.rtt)),
        "limited" => sort_by_key(&mut all, |person| Reverse((person.traffic.paused, person.traffic.limited))),
        _ => {}
    }
    Ok(call.page((0..).zip(&all), show))
}
