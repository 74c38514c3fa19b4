//! What whoever runs the server sees of it: numbers for Prometheus, and whether it is ready for traffic.

mod exposition;
pub(crate) mod process;
mod ready;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use self::exposition::{Exposition, Sort};
use crate::control::Control;
use crate::control::store::Commits;
use crate::shard::{BOUNDS_US, ShardStats, Shards};

/// Reads the planes when asked; holds nothing but handles.
#[derive(Debug)]
pub struct Watch {
    control: Control,
    shards: Shards,
    commits: Arc<Commits>,
    media: Vec<SocketAddr>,
    started: f64,
    tested: Mutex<Option<ready::Tested>>,
}

impl Watch {
    /// Over these planes; `media` is where datagrams are received.
    pub fn new(control: Control, shards: Shards, commits: Arc<Commits>, media: Vec<SocketAddr>) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { control, shards, commits, media, started, tested: Mutex::default() }
    }

    /// All numbers, in the text format of Prometheus (version 0.0.4). Labels take values from fixed sets only.
    pub async fn metrics(&self) -> String {
        let mut out = Exposition::default();
        out.gauge(
            "millrace_build_info",
            "Which millrace this is.",
            [(Some(("version", env!("CARGO_PKG_VERSION"))), 1.0)],
        );
        self.shards(&mut out);
        self.control(&mut out).await;
        self.store(&mut out);
        process::write(&mut out, self.started);
        out.text
    }

    fn shards(&self, out: &mut Exposition) {
        let stats = self.shards.stats();
        let names: Vec<String> = (0..stats.len()).map(|shard| shard.to_string()).collect();
        let mut each = |sort: Sort, name: &str, help: &str, of: &dyn Fn(&ShardStats) -> f64| {
            let values =
                names.iter().zip(&stats).map(|(name, stats)| (Some(("shard", name.as_str())), of(stats)));
            out.family(sort, name, help, values);
        };
        let count = Sort::Counter;
        each(count, "millrace_media_received_packets_total", "Media packets from publishers.", &|s| {
            s.router.packets_in as f64
        });
        each(count, "millrace_media_received_bytes_total", "Their bytes.", &|s| s.router.bytes_in as f64);
        each(
            count,
            "millrace_media_sent_packets_total",
            "Media packets to viewers, sent again or not.",
            &|s| s.router.packets_out as f64,
        );
        each(count, "millrace_media_sent_bytes_total", "Their bytes.", &|s| s.router.bytes_out as f64);
        each(count, "millrace_retransmitted_packets_total", "Packets that were sent again.", &|s| {
            s.router.retransmitted as f64
        });
        each(count, "millrace_recovered_packets_total", "Packets that publishers sent again.", &|s| {
            s.router.recovered as f64
        });
        each(
            count,
            "millrace_repeated_packets_total",
            "Packets that publishers sent again though they were there: most of them probe the way.",
            &|s| s.router.repeated as f64,
        );
        each(count, "millrace_nacks_sent_total", "NACK packets to publishers.", &|s| {
            s.router.nacks_out as f64
        });
        each(
            count,
            "millrace_nacks_received_total",
            "Sequence numbers that viewers asked for again.",
            &|s| s.router.nacked as f64,
        );
        each(count, "millrace_keyframe_requests_total", "Keyframes asked of publishers.", &|s| {
            s.router.keyframe_requests as f64
        });
        each(count, "millrace_keyframe_wishes_total", "Keyframes that viewers asked for or needed.", &|s| {
            s.router.keyframe_wishes as f64
        });
        each(count, "millrace_ice_checks_total", "Connectivity checks that were answered.", &|s| {
            s.router.checks as f64
        });
        each(
            count,
            "millrace_relayed_datagrams_total",
            "Datagrams handed to the shard of their session.",
            &|s| s.router.relayed as f64,
        );
        each(count, "millrace_mirrored_packets_total", "Packets taken over from other shards.", &|s| {
            s.router.mirrored as f64
        });
        each(count, "millrace_udp_received_datagrams_total", "Datagrams in, of every kind.", &|s| {
            s.net.datagrams_in as f64
        });
        each(count, "millrace_udp_received_bytes_total", "Their bytes.", &|s| s.net.bytes_in as f64);
        each(count, "millrace_udp_sent_datagrams_total", "Datagrams out, of every kind.", &|s| {
            s.net.datagrams_out as f64
        });
        each(count, "millrace_udp_sent_bytes_total", "Their bytes.", &|s| s.net.bytes_out as f64);
        each(count, "millrace_quic_datagrams_total", "Datagrams of signalling.", &|s| s.quic as f64);
        each(count, "millrace_shard_turns_total", "Times round a shard's loop.", &|s| s.turns as f64);
        each(
            count,
            "millrace_shard_cpu_seconds_total",
            "Processor time of a shard: its rate is how busy it is.",
            &|s| s.processor_time.as_secs_f64(),
        );
        each(count, "millrace_shard_panics_total", "Panics, each of which ended one session.", &|s| {
            s.panics as f64
        });
        each(Sort::Gauge, "millrace_sessions", "Media connections.", &|s| s.gauges.sessions as f64);
        each(Sort::Gauge, "millrace_tracks", "Tracks that are published.", &|s| s.gauges.tracks as f64);
        each(Sort::Gauge, "millrace_subscriptions", "Tracks that viewers have in a slot.", &|s| {
            s.gauges.subscriptions as f64
        });
        let layers = ["0", "1", "2"].into_iter().enumerate().map(|(at, layer)| {
            let sum: u64 = stats.iter().filter_map(|s| s.gauges.layers.get(at)).sum();
            (Some(("layer", layer)), sum as f64)
        });
        let help = "Slots that send, by layer from the smallest; tracks with one layer send layer 0.";
        out.gauge("millrace_sending_subscriptions", help, layers);
        drops(out, &stats);
        latency(out, &stats);
    }

    async fn control(&self, out: &mut Exposition) {
        let asked =
            self.control.with(|state, _| (state.rooms.report(), state.directory.counts(), state.draining()));
        out.gauge("millrace_control_up", "Whether the control plane answers.", []);
        let Ok((rooms, (users, tokens, groups), draining)) = asked.await else {
            out.value("millrace_control_up", None, 0.0);
            return;
        };
        out.value("millrace_control_up", None, 1.0);
        let gauges = [
            ("millrace_users", "Users, guests included.", users),
            ("millrace_tokens", "Tokens that live.", tokens),
            ("millrace_groups", "Groups that are kept.", groups),
            ("millrace_calls", "Groups with somebody in them.", rooms.calls),
            ("millrace_people", "People in groups.", rooms.people),
            ("millrace_links", "Signed-in clients.", rooms.links),
            ("millrace_streams", "Published streams.", rooms.streams),
            ("millrace_connections", "Media connections that are negotiated.", rooms.connections),
            ("millrace_handshakes_in_flight", "DTLS handshakes under way.", rooms.handshakes),
            ("millrace_draining", "Whether nobody new is let in.", usize::from(draining)),
        ];
        for (name, help, value) in gauges {
            out.gauge(name, help, [(None, value as f64)]);
        }
        let tally = self.control.tally();
        let counters = [
            ("millrace_handshakes_total", "DTLS handshakes that began.", rooms.handshakes_begun),
            (
                "millrace_handshakes_refused_total",
                "Who was told to ask again, since too many handshakes were in flight.",
                rooms.handshakes_refused,
            ),
            ("millrace_signalling_messages_total", "Messages of clients.", tally.messages()),
            (
                "millrace_control_dropped_events_total",
                "Events of shards that found no room before the control plane.",
                tally.dropped_events(),
            ),
        ];
        for (name, help, value) in counters {
            out.counter(name, help, [(None, value as f64)]);
        }
        let refusals = tally.refusals();
        let values = refusals.iter().map(|(name, count)| (Some(("error", name.as_str())), *count as f64));
        out.counter("millrace_signalling_refusals_total", "Refused messages, by the error's name.", values);
    }

    fn store(&self, out: &mut Exposition) {
        let of = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed) as f64;
        let done = of(&self.commits.done);
        out.counter("millrace_store_commits_total", "Transactions that were kept.", [(None, done)]);
        let failed = of(&self.commits.failed);
        let help = "Tries that failed; what they held is tried again.";
        out.counter("millrace_store_failed_commits_total", help, [(None, failed)]);
        let seconds = of(&self.commits.took_us) / 1e6;
        out.counter("millrace_store_commit_seconds_total", "Time that all of them took.", [(None, seconds)]);
    }
}

fn drops(out: &mut Exposition, stats: &[ShardStats]) {
    let mut sums = ShardStats::default().drops();
    for stats in stats {
        sums.iter_mut().zip(stats.drops()).for_each(|(sum, (_, count))| sum.1 += count);
    }
    let values = sums.iter().map(|(reason, count)| (Some(("reason", *reason)), *count as f64));
    out.counter(
        "millrace_dropped_packets_total",
        "Datagrams and packets that were dropped, by reason.",
        values,
    );
}

fn latency(out: &mut Exposition, stats: &[ShardStats]) {
    let mut below = 0;
    let buckets = BOUNDS_US.iter().enumerate().map(|(at, bound)| {
        below += stats.iter().filter_map(|s| s.latency.buckets.get(at)).sum::<u64>();
        (*bound as f64 / 1e6, below)
    });
    let count = stats.iter().map(|s| s.latency.count).sum();
    let sum_us: u64 = stats.iter().map(|s| s.latency.sum_us).sum();
    out.histogram(
        "millrace_forwarding_seconds",
        "From the arrival of a turn's first datagram until all it caused was handed to the kernel.",
        buckets,
        count,
        sum_us as f64 / 1e6,
    );
}
