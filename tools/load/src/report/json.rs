//! For programs.

use serde_json::{Value, json};

use super::{GroupReport, Report, kbps, ms};
use crate::measure::{Count, Counts, Timed, Times, Timings};

fn times(times: &Times) -> Value {
    if times.is_empty() {
        return Value::Null;
    }
    json!({
        "count": times.len(),
        "p50": ms(times, 0.5), "p90": ms(times, 0.9), "p95": ms(times, 0.95),
        "p99": ms(times, 0.99), "p999": ms(times, 0.999), "max": ms(times, 1.0),
    })
}

fn figures(counts: &Counts, timings: &Timings) -> Value {
    let get = |what| counts.get(what);
    json!({
        "forwarded": get(Count::Media),
        "bytes": get(Count::Bytes),
        "lossPercent": counts.loss().map(|loss| loss * 100.0),
        "asked": get(Count::Asked),
        "repaired": get(Count::Repaired),
        "lost": get(Count::Lost),
        "doubled": get(Count::Doubled),
        "jumps": get(Count::Jumps),
        "frames": get(Count::Frames),
        "freezes": get(Count::Freezes),
        "frozenMs": get(Count::FrozenMs),
        "keyframes": get(Count::Keyframes),
        "keyframeRequests": get(Count::Requests),
        "checked": get(Count::Checked),
        "broken": get(Count::Broken),
        "reference": get(Count::Reference),
        "refused": get(Count::Refused),
        "toldToWait": get(Count::Waits),
        "layerPackets": [get(Count::Layer0), get(Count::Layer1), get(Count::Layer2)],
        "latencyMs": times(timings.of(Timed::Latency)),
        "soundLatencyMs": times(timings.of(Timed::Sound)),
        "jitterMs": times(timings.of(Timed::Jitter)),
        "joinMs": times(timings.of(Timed::Join)),
        "firstFrameMs": times(timings.of(Timed::FirstFrame)),
        "subscribedMs": times(timings.of(Timed::Subscribed)),
        "sendLagMs": times(timings.of(Timed::SendLag)),
    })
}

impl GroupReport {
    fn json(&self) -> Value {
        let mut all = figures(&self.counts, &self.times);
        let failures: Vec<_> =
            self.failures.iter().map(|f| json!({"why": f.why, "count": f.count})).collect();
        if let Some(members) = all.as_object_mut() {
            members.insert("name".to_owned(), json!(self.name));
            members.insert("wanted".to_owned(), json!(self.wanted));
            members.insert("due".to_owned(), json!(self.due));
            members.insert("joined".to_owned(), json!(self.arrived));
            members
                .insert("kbpsPerViewer".to_owned(), json!(kbps(self.counts.get(Count::Bytes), self.there())));
            members.insert("failures".to_owned(), json!(failures));
        }
        all
    }
}

impl Report {
    /// Everything but the seconds.
    pub fn json(&self) -> Value {
        let watching = || self.groups.iter().filter(|group| group.watches);
        let strain = &self.tool.strain;
        let mut all = figures(&self.counts(), &self.times());
        let Some(members) = all.as_object_mut() else { return all };
        let more = json!({
            "scenario": self.scenario,
            "rooms": self.rooms,
            "seconds": self.seconds,
            "viewers": watching().map(|group| group.arrived).sum::<usize>(),
            "viewersWanted": watching().map(|group| group.wanted).sum::<usize>(),
            "publishers": self.sent.publishers,
            "sent": self.sent.packets,
            "keyframesAsked": self.sent.keyframes,
            "publisherRepaired": self.sent.repaired,
            "skippedFrames": self.sent.skipped,
            "groups": self.groups.iter().map(GroupReport::json).collect::<Vec<_>>(),
            "serverCpuSeconds": self.server.map(|server| server.cpu.as_secs_f64()),
            "serverMicrosPerPacket": self.server_micros(),
            "serverMemory": self.server.map(|server| server.memory),
            "serverMemoryBefore": self.server.map(|server| server.baseline),
            "serverMemoryPerClient": self.memory_per_client(),
            "toolCpuSeconds": self.tool.cpu.as_secs_f64(),
            "toolMicrosPerPacket": self.tool_micros(),
            "toolBusiestThread": strain.busiest.used(),
            "toolDrops": strain.drops,
            "toolReadLagMs": times(&strain.turns),
            "machineIdle": self.tool.idle,
            "limits": self.limits(),
        });
        members.extend(more.as_object().cloned().unwrap_or_default());
        all
    }
}
