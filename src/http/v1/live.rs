//! What is live in a group: people, streams, who gets what and why.

use serde_json::{Value, json};

use super::problem::Problem;
use super::shape::{Kind, Shape, known, maybe, needed, null};
use super::shown::{self, ANY, COUNT, LIMITS, MUTED, Patch, SAID};
use super::{Answer, Call, Reply, groups};
use crate::control::State;
use crate::control::ids::{Gid, Sid, Uid};
use crate::control::rights::Admin;
use crate::control::rooms::{Health, LayerReport, PersonReport, StreamReport, Traffic, ViewReport};
use crate::signal::message::{Muted, StreamId};
use crate::sorted::sort_by_key;
use crate::units::{Bitrate, PictureSize};

const SID: Kind = Kind::Whole(0, 255);
const SIDE: Kind = Kind::Whole(0, u16::MAX as u64);

const MEASURED: &str =
    "What of it came of late, in kbit/s; null while it was not measured: ask again in a second.";
const SENT: &str = "What of it was sent of late, in kbit/s; null where it has no slot, or was not measured: ask again in a second.";

static CONNECTION: Shape = Shape {
    name: "Connection",
    fields: &[
        needed("kbpsIn", COUNT, "What came in of late, in kbit/s."),
        needed("kbpsOut", COUNT, "What went out of late, in kbit/s."),
        needed(
            "lossPercent",
            Kind::Whole(0, 100),
            "Packets lost of late, on the way in of a publisher, else out.",
        ),
        known("rttMs", COUNT, "Round-trip time in milliseconds; null while it is not known."),
        known(
            "estimateKbps",
            COUNT,
            "What the way out is taken to carry, in kbit/s; null while it is not known.",
        ),
        needed("packetsIn", COUNT, "Media packets that came since it began."),
        needed("packetsLostIn", COUNT, "Packets that never came."),
        needed("packetsOut", COUNT, "Media packets that left, retransmissions included."),
        needed("retransmitted", COUNT, "Retransmissions among them."),
        needed("limited", COUNT, "Pictures that bandwidth keeps below what their tiles ask for."),
        needed("paused", COUNT, "Pictures that bandwidth pauses."),
        needed("unheard", COUNT, "Voices that are not sent because others are louder."),
    ],
};

static LAYER: Shape = Shape {
    name: "Layer",
    fields: &[
        needed("width", SIDE, "In pixels."),
        needed("height", SIDE, "In pixels."),
        needed("wanted", Kind::Truth, "Whether somebody watches it, or may at once: else it may rest."),
        known("kbps", COUNT, MEASURED),
        known("fps", COUNT, "Pictures a second of late; null while it was not measured."),
    ],
};

/// A stream as it is shown.
pub(super) static STREAM: Shape = Shape {
    name: "Stream",
    fields: &[
        needed("uid", ANY, "Whose it is."),
        needed("sid", SID, "Which one: 0 is the camera by convention."),
        needed("name", Kind::Text, "As the roster shows it."),
        needed("address", Kind::Text, "The publisher's address."),
        needed("source", Kind::Whole(0, 255), "1 camera, 2 screen."),
        needed("audio", Kind::Truth, "Whether it has sound."),
        needed("video", Kind::Truth, "Whether it has a picture."),
        needed("muted", Kind::Object(&MUTED), "What of it is muted."),
        needed("talking", Kind::Truth, "Whether somebody talks in it now."),
        needed("viewers", COUNT, "How many watch it in this group."),
        needed("layers", Kind::Objects(&LAYER), "Its pictures, from the smallest."),
        known("kbpsAudio", COUNT, MEASURED),
        known("maxKbps", COUNT, "What its publisher may send at most, in kbit/s; null is no limit."),
        known("maxWidth", SIDE, "Its largest picture; null is no limit."),
        known("maxHeight", SIDE, "Its largest picture; null is no limit."),
        known("maxFps", COUNT, "Its pictures a second at most; null is no limit."),
        known("maxLayers", COUNT, "Its layers at most; null is no limit."),
        known("connection", Kind::Object(&CONNECTION), "How the connection does on which it comes."),
    ],
};

pub(super) const WHY: Kind = Kind::Word(&[
    "tile",
    "cap",
    "source",
    "bandwidth",
    "paused",
    "keyframe",
    "inactive",
    "silent",
    "codec",
    "loudness",
]);

static VIEW: Shape = Shape {
    name: "View",
    fields: &[
        needed("uid", ANY, "Whose stream."),
        needed("sid", SID, "Which one."),
        needed("audio", Kind::Truth, "Whether its sound has a slot."),
        known("width", SIDE, "The picture that is sent; 0 while none is, null where none is wanted."),
        known("height", SIDE, "See `width`."),
        known("why", WHY, "Why this picture and no other: docs/signalling.md."),
        known(
            "layer",
            COUNT,
            "The simulcast layer it is of, 0 the smallest; null while it was not measured.",
        ),
        known("tileWidth", SIDE, "The tile for which a picture is wanted; null where none is."),
        known("tileHeight", SIDE, "See `tileWidth`."),
        known("kbpsVideo", COUNT, SENT),
        known("kbpsAudio", COUNT, SENT),
    ],
};

/// Somebody who is in a group.
pub(super) static PARTICIPANT: Shape = Shape {
    name: "Participant",
    fields: &[
        needed("uid", ANY, "The user's number."),
        needed("name", Kind::Text, "As others see the person."),
        needed("address", Kind::Text, "Stable and unique."),
        needed("sessions", COUNT, "By how many sessions the person is here."),
        needed("streams", Kind::Objects(&STREAM), "What the person publishes here."),
        needed("views", Kind::Objects(&VIEW), "What the person watches here, and what of it is sent."),
        known("connection", Kind::Object(&CONNECTION), "How the connection does on which that goes out."),
    ],
};

/// What is changed of somebody who is here.
pub(super) static PATCH: Shape = Shape {
    name: "ParticipantPatch",
    fields: &[
        null(
            "limits",
            Kind::Object(&LIMITS),
            "What the person may send and get at most: kept with the membership.",
        ),
        null("rights", Kind::Object(&SAID), "What is said of each right: kept with the membership."),
    ],
};

/// What is muted.
pub(super) static MUTE: Shape = Shape {
    name: "Mute",
    fields: &[
        maybe("sid", SID, "Which stream; all of the person's unless told."),
        maybe("audio", Kind::Truth, "The sound. Where neither is true both are muted."),
        maybe("video", Kind::Truth, "The picture."),
    ],
};

/// Where somebody goes on.
pub(super) static MOVE: Shape =
    Shape { name: "Move", fields: &[needed("to", ANY, "The group to go on in: its gid.")] };

/// A group with somebody in it.
pub(super) static CALL: Shape = Shape {
    name: "Call",
    fields: &[
        needed("gid", ANY, "The group's number."),
        needed("name", Kind::Text, "Its name."),
        needed("people", COUNT, "How many are in it."),
        needed("streams", COUNT, "How many streams are published in it."),
        needed("kbpsIn", COUNT, "What comes in from all of them of late, in kbit/s."),
        needed("kbpsOut", COUNT, "What goes out to all of them of late, in kbit/s."),
        needed("limited", COUNT, "Pictures that bandwidth keeps below what their tiles ask for, or pauses."),
    ],
};

pub(super) fn kbps(rate: Bitrate) -> u64 {
    rate.as_bps() / 1000
}

fn connection(health: &Health) -> Value {
    let Health { stats, loss_percent } = health;
    json!({
        "kbpsIn": kbps(stats.bitrate_in),
        "kbpsOut": kbps(stats.bitrate_out),
        "lossPercent": loss_percent,
        "rttMs": stats.rtt.map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
        "estimateKbps": stats.estimate.map(kbps),
        "packetsIn": stats.packets_in,
        "packetsLostIn": stats.lost_in,
        "packetsOut": stats.packets_out,
        "retransmitted": stats.retransmitted,
        "limited": stats.limited,
        "paused": stats.paused,
        "unheard": stats.unheard,
    })
}

fn stream(report: &StreamReport) -> Value {
    let StreamReport { shown, viewers, layers, sound, max, talking, connection: health } = report;
    let layer = |layer: &LayerReport| {
        let LayerReport { size: PictureSize { width, height }, wanted, arrives } = *layer;
        let (rate, fps) = arrives.unzip();
        json!({ "width": width, "height": height, "wanted": wanted, "kbps": rate.map(kbps), "fps": fps })
    };
    let side = |side: u16| (side != u16::MAX).then_some(side);
    json!({
        "uid": shown.uid,
        "sid": shown.sid,
        "name": shown.name,
        "address": shown.address,
        "source": shown.source,
        "audio": shown.audio,
        "video": shown.video,
        "muted": { "audio": shown.muted.audio, "video": shown.muted.video },
        "talking": talking,
        "viewers": viewers,
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        "kbpsAudio": sound.map(kbps),
        "maxKbps": (max.max_bitrate != Bitrate::MAX).then(|| kbps(max.max_bitrate)),
        "maxWidth": side(max.max_size.width),
        "maxHeight": side(max.max_size.height),
        "maxFps": (max.max_fps != u8::MAX).then_some(max.max_fps),
        "maxLayers": (max.max_layers != u8::MAX).then_some(max.max_layers),
        "connection": health.as_ref().map(connection),
    })
}

fn view(report: &ViewReport) -> Value {
    let ViewReport { stream, audio, picture, layer, tile, picture_rate, sound_rate } = report;
    json!({
        "uid": stream.uid,
        "sid": stream.sid,
        "audio": audio,
        "width": picture.map(|(size, _)| size.width),
        "height": picture.map(|(size, _)| size.height),
        "why": picture.map(|(_, why)| why),
        "layer": layer.map(|layer| layer.0),
        "tileWidth": tile.map(|tile| tile.width),
        "tileHeight": tile.map(|tile| tile.height),
        "kbpsVideo": picture_rate.map(kbps),
        "kbpsAudio": sound_rate.map(kbps),
    })
}

fn person(report: &PersonReport) -> Value {
    let PersonReport { uid, name, address, sessions, streams, views, connection: health } = report;
    json!({
        "uid": uid,
        "name": name,
        "address": address,
        "sessions": sessions,
        "streams": streams.iter().map(stream).collect::<Vec<_>>(),
        "views": views.iter().map(view).collect::<Vec<_>>(),
        "connection": health.as_ref().map(connection),
    })
}

const MAY_LOOK: fn(&Admin) -> bool = |admin| admin.moderate || admin.members || admin.remove;

/// The group, for who may look into its call.
pub(super) fn looks(state: &State, call: &Call) -> Result<Gid, Problem> {
    let gid = call.gid();
    call.caller.in_group(state, gid, MAY_LOOK)?;
    Ok(gid)
}

fn find(state: &mut State, call: &Call) -> Result<PersonReport, Problem> {
    state.rooms.look_at_person(call.now.instant, call.gid(), call.uid());
    let report = state.rooms.person(call.now.instant, call.gid(), call.uid());
    report.ok_or_else(|| Problem::not_found("participant"))
}

pub(super) fn calls(state: &mut State, call: &Call) -> Answer {
    let search = groups::search(call);
    let may = |(gid, ..): &(Gid, usize, usize)| {
        let group = state.directory.group(*gid);
        if !group.is_some_and(|group| groups::found(search.as_deref(), *gid, group)) {
            return false;
        }
        match call.caller.uid() {
            None => call.caller.has_group(state, *gid),
            Some(_) => call.caller.in_group(state, *gid, MAY_LOOK).is_ok(),
        }
    };
    let mut live: Vec<_> = state.rooms.live().filter(may).collect();
    sort_by_key(&mut live, |live| *live);
    let key = |(gid, people, streams): (Gid, usize, usize)| (u64::from(gid.0), (gid, people, streams));
    Ok(call.page(live.into_iter().map(key), |(gid, people, streams)| {
        let name = state.directory.group(gid).map_or("", |group| group.name.as_str());
        let all = state.rooms.summaries(call.now.instant, gid);
        let traffic = all.fold(Traffic::default(), |sum, person| sum.and(person.traffic));
        json!({
            "gid": gid,
            "name": name,
            "people": people,
            "streams": streams,
            "kbpsIn": kbps(traffic.incoming),
            "kbpsOut": kbps(traffic.outgoing),
            "limited": traffic.limited.saturating_add(traffic.paused),
        })
    }))
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let gid = looks(state, call)?;
    let after = call.cursor().map(|last| Uid(u32::try_from(last).unwrap_or(u32::MAX)));
    let people = state.rooms.people_after(gid, after);
    let people = people.into_iter().map(|uid| (u64::from(uid.0), uid));
    let now = call.now.instant;
    Ok(call.page(people, |uid| {
        state.rooms.look_at_person(now, gid, uid);
        state.rooms.person(now, gid, uid).as_ref().map_or(Value::Null, person)
    }))
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    looks(state, call)?;
    Ok(Reply::ok(person(&find(state, call)?)))
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    call.caller.in_group(state, gid, |admin| admin.members)?;
    find(state, call)?;
    call.caller.may_touch(state, gid, uid)?;
    state.directory.amend_member(gid, uid, |member| {
        shown::patch_limits(&call.body, &mut member.limits);
        shown::patch_said(&call.body, &mut member.said);
    })?;
    Ok(Reply::ok(person(&find(state, call)?)))
}

pub(super) fn remove(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    call.caller.in_group(state, gid, |admin| admin.remove)?;
    find(state, call)?;
    call.caller.may_touch(state, gid, uid)?;
    state.put_out(call.now, gid, uid);
    Ok(Reply::done())
}

pub(super) fn mute(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    let owner = call.caller.in_group(state, gid, |admin| admin.moderate)?;
    find(state, call)?;
    call.caller.may_touch(state, gid, uid)?;
    let named = |kind| call.body.truth(kind).unwrap_or(false);
    let both = !named("audio") && !named("video");
    let what = Muted { audio: both || named("audio"), video: both || named("video") };
    let sid = call.body.byte("sid").map(Sid);
    state.rooms.mute_for(gid, call.caller.uid().unwrap_or(owner), uid, sid, what);
    Ok(Reply::done())
}

pub(super) fn send_over(state: &mut State, call: &Call) -> Answer {
    let (gid, uid) = (call.gid(), call.uid());
    call.caller.in_group(state, gid, |admin| admin.remove)?;
    let to = Gid(call.body.small("to").unwrap_or_default());
    if to == gid {
        return Err(Problem::wrong("/to", "expected another group than this"));
    }
    call.caller.in_group(state, to, |admin| admin.members)?;
    let person = find(state, call)?;
    call.caller.may_touch(state, gid, uid)?;
    if state.directory.user(person.uid).is_some_and(|user| user.guest_of.is_some()) {
        return Err(Problem::forbidden("A guest came for this group alone: invite the guest to the other."));
    }
    state.send_over(call.now, gid, uid, to)?;
    Ok(Reply::done())
}

fn stream_of(call: &Call) -> StreamId {
    let sid = u8::try_from(call.number(2)).unwrap_or(u8::MAX);
    StreamId { uid: call.uid(), sid: Sid(sid) }
}

fn find_stream(state: &mut State, call: &Call) -> Result<StreamReport, Problem> {
    state.rooms.look_at_stream(call.now.instant, stream_of(call));
    let report = state.rooms.stream(call.now.instant, call.gid(), stream_of(call));
    report.ok_or_else(|| Problem::not_found("stream"))
}

pub(super) fn streams(state: &mut State, call: &Call) -> Answer {
    let gid = looks(state, call)?;
    let key = |id: StreamId| (u64::from(id.uid.0) << 8 | u64::from(id.sid.0), id);
    let now = call.now.instant;
    Ok(call.page(state.rooms.streams_in(gid).into_iter().map(key), |id| {
        state.rooms.look_at_stream(now, id);
        state.rooms.stream(now, gid, id).as_ref().map_or(Value::Null, stream)
    }))
}

pub(super) fn read_stream(state: &mut State, call: &Call) -> Answer {
    looks(state, call)?;
    Ok(Reply::ok(stream(&find_stream(state, call)?)))
}

pub(super) fn end_stream(state: &mut State, call: &Call) -> Answer {
    let gid = call.gid();
    call.caller.in_group(state, gid, |admin| admin.moderate)?;
    find_stream(state, call)?;
    let StreamId { uid, sid } = stream_of(call);
    call.caller.may_touch(state, gid, uid)?;
    state.rooms.hang_up(gid, uid, Some(sid));
    Ok(Reply::done())
}
