//! The server itself: health, load, and whether it takes nobody new.

use serde_json::{Value, json};

use super::shape::{Kind, Object, Shape, known, maybe, needed};
use super::shown::{COUNT, Patch};
use super::{Answer, Call, Reply};
use crate::control::State;
use crate::shard::REASONS;

/// What the server says of itself beside the control plane.
#[derive(Clone, Debug, Default)]
pub struct NodeReport {
    /// Whether all shards turn.
    pub healthy: bool,
    /// Seconds since it was started.
    pub uptime_s: u64,
    /// Processor time of all threads, in milliseconds, if the system tells.
    pub processor_ms: Option<u64>,
    /// Memory that is resident, in bytes, if the system tells.
    pub memory: Option<u64>,
    /// The shards, in their order.
    pub shards: Vec<ShardReport>,
}

/// What one shard has done since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardReport {
    /// When it was so, in milliseconds of the server's own clock.
    pub counted_at_ms: u64,
    /// Processor time of its thread, in milliseconds.
    pub processor_ms: u64,
    /// Media packets in, and their bytes.
    pub packets_in: u64,
    /// See `packets_in`.
    pub bytes_in: u64,
    /// Media packets out, and their bytes, retransmissions included.
    pub packets_out: u64,
    /// See `packets_out`.
    pub bytes_out: u64,
    /// Retransmissions out.
    pub retransmitted: u64,
    /// Datagrams and packets dropped, by reason.
    pub drops: [(&'static str, u64); REASONS],
    /// Media connections that it has now.
    pub sessions: u64,
    /// Slots of viewers that stand for a track now.
    pub subscriptions: u64,
    /// Panics; each ended the session concerned and nothing else.
    pub panics: u64,
}

static SHARD: Shape = Shape {
    name: "Shard",
    fields: &[
        needed(
            "countedAt",
            COUNT,
            "When all of this was so, in milliseconds of a clock of the server's own.",
        ),
        needed("processorMs", COUNT, "Processor time of its thread since it began, in milliseconds."),
        needed("packetsIn", COUNT, "Media packets that came since it began."),
        needed("bytesIn", COUNT, "Their bytes."),
        needed("packetsOut", COUNT, "Media packets that left, retransmissions included."),
        needed("bytesOut", COUNT, "Their bytes."),
        needed("retransmitted", COUNT, "Retransmissions among them."),
        needed("dropped", COUNT, "Datagrams and packets that were dropped, for whatever reason."),
        needed("panics", COUNT, "Panics; each ended the session concerned and nothing else."),
        needed("sessions", COUNT, "Media connections that it has now."),
        needed("subscriptions", COUNT, "Slots of viewers that stand for a track now."),
    ],
};

/// Why datagrams and packets are dropped, in the order of [`crate::shard::ShardStats::drops`].
static DROPS: Shape = Shape {
    name: "Drops",
    fields: &[
        needed("malformed", COUNT, "Neither STUN, DTLS, RTP nor RTCP, or malformed."),
        needed("stranger", COUNT, "From an address from which no valid check came."),
        needed("unknownUfrag", COUNT, "STUN with an unknown user name."),
        needed("wrongPassword", COUNT, "STUN with a wrong password."),
        needed("noKeys", COUNT, "Media before the handshake was done."),
        needed("auth", COUNT, "Media that did not authenticate."),
        needed("replay", COUNT, "Media that was there before."),
        needed("unknownSource", COUNT, "Media of a source that no track claims."),
        needed("muted", COUNT, "Media of a muted track."),
        needed("limited", COUNT, "Media beyond what the publisher may send."),
        needed("late", COUNT, "Too old to be of use."),
        needed("unfit", COUNT, "Too large, or of a payload that the viewer cannot take."),
        needed("notResent", COUNT, "Asked for again, and gone or over the allowance."),
        needed("behind", COUNT, "Waited too long for a viewer whose way does not take it."),
        needed("excess", COUNT, "Reports beyond what is taken from one peer."),
        needed("overflow", COUNT, "A queue was full."),
        needed("socketFull", COUNT, "The socket took no more."),
        needed("socketRefused", COUNT, "The socket refused it."),
        needed("receiveError", COUNT, "An error of the socket at receiving."),
        needed("peerOverflow", COUNT, "Another shard did not keep up."),
    ],
};

static COUNTS: Shape = Shape {
    name: "Counts",
    fields: &[
        needed("users", COUNT, "Users, guests included."),
        needed("groups", COUNT, "Groups."),
        needed("tokens", COUNT, "Tokens that live."),
        needed("calls", COUNT, "Groups with somebody in them."),
        needed("clients", COUNT, "Clients that are signed in."),
        needed("streams", COUNT, "Streams that are published."),
        needed("connections", COUNT, "Media connections."),
    ],
};

/// The server as it is shown. Counters only grow: a rate is the difference of two, by `ts`.
pub(super) static NODE: Shape = Shape {
    name: "Node",
    fields: &[
        needed("version", Kind::Text, "Which millrace it is."),
        needed("ts", COUNT, "When this was read, in milliseconds since 1970."),
        needed("uptime", COUNT, "Seconds since it was started."),
        needed("healthy", Kind::Truth, "Whether all shards turn."),
        needed("draining", Kind::Truth, "Whether it takes nobody new."),
        needed("counts", Kind::Object(&COUNTS), "What there is now."),
        needed("shards", Kind::Objects(&SHARD), "The threads that carry media."),
        needed("drops", Kind::Object(&DROPS), "What all of them dropped since they began, by reason."),
        known("processorMs", COUNT, "Processor time of all threads, in milliseconds; null if not known."),
        known("memory", COUNT, "Memory that is resident, in bytes; null if it is not known."),
    ],
};

/// What is changed of the server.
pub(super) static PATCH: Shape = Shape {
    name: "NodePatch",
    fields: &[maybe(
        "draining",
        Kind::Truth,
        "Whether it takes nobody new: who is here stays, and `/healthz` says so to load balancers.",
    )],
};

fn show(state: &State, call: &Call) -> Value {
    let report = call.node.clone().unwrap_or_default();
    let (users, tokens, groups) = state.directory.counts();
    let (clients, streams, connections) = state.rooms.counts();
    let shards: Vec<_> = report
        .shards
        .iter()
        .map(|shard| {
            json!({
                "countedAt": shard.counted_at_ms,
                "processorMs": shard.processor_ms,
                "packetsIn": shard.packets_in,
                "bytesIn": shard.bytes_in,
                "packetsOut": shard.packets_out,
                "bytesOut": shard.bytes_out,
                "retransmitted": shard.retransmitted,
                "dropped": shard.drops.iter().map(|(_, count)| count).sum::<u64>(),
                "panics": shard.panics,
                "sessions": shard.sessions,
                "subscriptions": shard.subscriptions,
            })
        })
        .collect();
    let drops: Object = (0..)
        .zip(DROPS.fields)
        .map(|(at, field)| {
            let sum: u64 = report.shards.iter().filter_map(|shard| shard.drops.get(at)).map(|d| d.1).sum();
            (field.name.to_owned(), sum.into())
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ts": u64::try_from(call.now.unix.as_millis()).unwrap_or(u64::MAX),
        "uptime": report.uptime_s,
        "healthy": report.healthy,
        "draining": state.draining(),
        "counts": {
            "users": users,
            "groups": groups,
            "tokens": tokens,
            "calls": state.rooms.live().count(),
            "clients": clients,
            "streams": streams,
            "connections": connections,
        },
        "shards": shards,
        "drops": drops,
        "processorMs": report.processor_ms,
        "memory": report.memory,
    })
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    Ok(Reply::ok(show(state, call)))
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    if let Some(draining) = call.body.truth("draining") {
        state.drain(draining);
    }
    read(state, call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::ShardStats;

    #[test]
    fn reasons_are_named_in_their_order() {
        let named = DROPS.fields.iter().map(|field| field.name.to_lowercase());
        let counted = ShardStats::default().drops().map(|(name, _)| name.replace('_', ""));
        assert!(named.eq(counted));
    }
}
