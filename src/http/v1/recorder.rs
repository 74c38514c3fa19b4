//! Flight recorders: what happened to somebody's connections of late, and the headers of their packets while they are kept.

use std::pin::Pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::live::{WHY, kbps};
use super::problem::{Problem, Sort};
use super::shape::{Kind, Object, Shape, known, maybe, needed};
use super::shown::{ANY, COUNT, Patch};
use super::{Answer, Call, Reply, capture};
use crate::control::rooms::Recalled;
use crate::control::{Now, State};
use crate::router::command::Kind as Media;
use crate::router::id::TrackId;
use crate::router::recorder::{Front, Note, Way, What};
use crate::signal::message::Why;
use crate::units::Instant;
use crate::wire::rtp;

/// How long headers are kept where nothing else is said, in seconds, and at most.
const SECONDS: u32 = 60;
const MOST_SECONDS: u32 = 600;
/// How long the shards may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

const SINCE: &str = "When, in microseconds since 1970.";
const LAYER: &str = "Which simulcast layer, 0 the smallest.";

/// For how long.
pub(super) static START: Shape = Shape {
    name: "RecorderStart",
    fields: &[maybe(
        "seconds",
        Kind::Whole(1, MOST_SECONDS as u64),
        "For how long headers are kept: 60 unless told. They can be had for five minutes more.",
    )],
};

static EVENT: Shape = Shape {
    name: "FlightEvent",
    fields: &[
        needed("us", COUNT, SINCE),
        needed(
            "event",
            Kind::Word(&[
                "path",
                "secured",
                "lost",
                "found",
                "restarted",
                "watches",
                "sends",
                "keyframeWished",
                "keyframeAsked",
                "arrives",
                "estimate",
            ]),
            "What happened: docs/operating.md says what each of them is.",
        ),
        maybe("peer", Kind::Text, "Where everything goes to from then on."),
        maybe("slot", COUNT, "Which slot of a viewer."),
        maybe("uid", ANY, "Whose stream it is; it is left out once that has ended."),
        maybe("sid", Kind::Whole(0, 255), "Which of them."),
        maybe("kind", Kind::Word(&["audio", "video"]), "What of it."),
        maybe("layer", COUNT, LAYER),
        maybe("layers", COUNT, "The layers that arrive: 1 for the smallest, 2 for the next, 4, all added."),
        maybe("why", WHY, "Why this picture and no other: docs/signalling.md."),
        maybe("kbps", COUNT, "What the way is taken to carry, in kbit/s."),
    ],
};

static PACKET: Shape = Shape {
    name: "FlightPacket",
    fields: &[
        needed("us", COUNT, SINCE),
        needed("way", Kind::Word(&["in", "out"]), "From the peer, or to it."),
        needed("kind", Kind::Word(&["rtp", "rtcp"]), "Media, or what is said about it."),
        needed("bytes", COUNT, "Of the whole packet."),
        needed("pt", Kind::Whole(0, 255), "Payload type of media; type of the first report."),
        maybe("marker", Kind::Truth, "Of media: whether it ends a picture, or begins a talk."),
        maybe("seq", Kind::Whole(0, 65_535), "Of media: its number."),
        maybe("ts", ANY, "Of media: its timestamp."),
        needed("ssrc", ANY, "Its source; of reports, who says them."),
    ],
};

static CONNECTION: Shape = Shape {
    name: "FlightConnection",
    fields: &[
        needed("session", Kind::Text, "Its name in the log."),
        known("sid", Kind::Whole(0, 255), "The stream that comes on it; null is what the person watches."),
        known(
            "until",
            COUNT,
            "Until when headers are kept, in microseconds since 1970; null if they are not.",
        ),
        needed("events", Kind::Objects(&EVENT), "The latest that happened to it, 48 at most."),
        needed("packets", Kind::Objects(&PACKET), "The latest packets, 4096 at most."),
    ],
};

/// What there is.
pub(super) static RECORDER: Shape = Shape {
    name: "Recorder",
    fields: &[needed("connections", Kind::Objects(&CONNECTION), "Those that the person has now.")],
};

/// An answer that takes its time.
pub(super) type Later = Pin<Box<dyn Future<Output = Answer> + Send>>;

pub(super) fn start(state: &mut State, call: &Call) -> Answer {
    let seconds = call.body.small("seconds").unwrap_or(SECONDS);
    keep(state, call, Duration::from_secs(seconds.into()))
}

pub(super) fn stop(state: &mut State, call: &Call) -> Answer {
    keep(state, call, Duration::ZERO)
}

fn keep(state: &mut State, call: &Call, lasts: Duration) -> Answer {
    find(state, call)?;
    state.rooms.record(call.now.instant, call.gid(), call.uid(), lasts)?;
    Ok(Reply::done())
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    let now = call.now;
    recall(state, call, move |all| {
        let connections: Vec<_> = all.iter().map(|one| connection(now, one)).collect();
        Reply::ok(json!({ "connections": connections }))
    })
}

pub(super) fn read_pcap(state: &mut State, call: &Call) -> Answer {
    let now = call.now;
    recall(state, call, move |all| Reply::capture(capture::write(&all, |at| micros(now, at))))
}

fn find(state: &State, call: &Call) -> Result<(), Problem> {
    call.caller.in_group(state, call.gid(), |_| true)?;
    let person = state.rooms.person(call.now.instant, call.gid(), call.uid());
    person.map(drop).ok_or_else(|| Problem::not_found("participant"))
}

fn recall(
    state: &mut State,
    call: &Call,
    show: impl FnOnce(Vec<Recalled>) -> Reply + Send + 'static,
) -> Answer {
    find(state, call)?;
    let asked = state.recall(call.gid(), call.uid());
    Ok(Reply::later(Box::pin(async move {
        let late = |_| Problem {
            retry_after: Some(1),
            ..Problem::new(Sort::Unavailable, "The shards have too much to do to answer: ask again.")
        };
        tokio::time::timeout(PATIENCE, collect(asked)).await.map(show).map_err(late)
    })))
}

/// All answers; there is none of a connection that ended meanwhile.
async fn collect(asked: Vec<oneshot::Receiver<Recalled>>) -> Vec<Recalled> {
    let mut all = Vec::new();
    for answer in asked {
        all.extend(answer.await.ok());
    }
    all
}

/// A time of the server's clock as one since 1970.
fn micros(now: Now, at: Instant) -> u64 {
    let unix = u64::try_from(now.unix.as_micros()).unwrap_or(u64::MAX);
    unix.saturating_add(at.as_micros()).saturating_sub(now.instant.as_micros())
}

fn connection(now: Now, recalled: &Recalled) -> Value {
    let recording = &recalled.recording;
    json!({
        "session": recalled.session.to_string(),
        "sid": recalled.stream.map(|stream| stream.sid),
        "until": recording.until.map(|until| micros(now, until)),
        "events": recording.notes.iter().map(|note| event(now, recalled, note)).collect::<Vec<_>>(),
        "packets": recording.packets.iter().filter_map(|front| packet(now, front)).collect::<Vec<_>>(),
    })
}

fn event(now: Now, recalled: &Recalled, note: &Note) -> Value {
    let mut shown = Object::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("us", micros(now, note.at).into());
    let mut track = None;
    let name = match &note.what {
        What::Path(path) => {
            put("peer", path.remote.to_string().into());
            "path"
        }
        What::Secured => "secured",
        What::Lost => "lost",
        What::Found => "found",
        What::Restarted => "restarted",
        What::Watches { slot, track: to } => {
            put("slot", slot.0.into());
            track = *to;
            "watches"
        }
        What::Sends { slot, layer, why } => {
            put("slot", slot.0.into());
            put("why", json!(Why::from(*why)));
            if let Some(layer) = layer {
                put("layer", layer.0.into());
            }
            "sends"
        }
        What::KeyframeWished(slot) => {
            put("slot", slot.0.into());
            "keyframeWished"
        }
        What::KeyframeAsked { track: of, layer } => {
            put("layer", layer.0.into());
            track = Some(*of);
            "keyframeAsked"
        }
        What::Arrives { track: of, layers } => {
            put("layers", (*layers).into());
            track = Some(*of);
            "arrives"
        }
        What::Estimate(rate) => {
            put("kbps", kbps(*rate).into());
            "estimate"
        }
    };
    put("event", name.into());
    let whose = |id: TrackId| recalled.tracks.iter().find(|(known, ..)| *known == id);
    if let Some((_, stream, kind)) = track.and_then(whose) {
        put("uid", json!(stream.uid));
        put("sid", json!(stream.sid));
        put("kind", if *kind == Media::Audio { "audio" } else { "video" }.into());
    }
    shown.into()
}

fn packet(now: Now, front: &Front) -> Option<Value> {
    let bytes = front.bytes();
    let way = if front.way == Way::In { "in" } else { "out" };
    let (us, len) = (micros(now, front.at), front.len);
    // RFC 5761 section 4: the types of reports are none of media.
    if let Some(kind @ 192..=223) = bytes.get(1).copied() {
        let ssrc =
            bytes.get(4..8).and_then(|ssrc| ssrc.first_chunk()).map(|ssrc| u32::from_be_bytes(*ssrc))?;
        return Some(json!({ "us": us, "way": way, "kind": "rtcp", "bytes": len, "pt": kind, "ssrc": ssrc }));
    }
    let rtp::Header { marker, pt, seq, ts, ssrc } = rtp::peek(bytes)?;
    Some(json!({
        "us": us,
        "way": way,
        "kind": "rtp",
        "bytes": len,
        "pt": pt.0,
        "marker": marker,
        "seq": seq.0,
        "ts": ts.0,
        "ssrc": ssrc.0,
    }))
}
