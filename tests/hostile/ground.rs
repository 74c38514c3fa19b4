//! The real server, an honest call on it, and how that call fares with an attack beside it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use millrace_load::report::progress::Progress;
use millrace_load::scenario::run::{Options, run};
use millrace_load::scenario::{Cohort, Publishing, Watching, known};
use millrace_load::web::Room;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::flood::Tally;
use crate::program::{self, Running};

/// One after the other: each has the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());
/// How long the honest call is measured, twice.
const SECONDS: u64 = 2;
const VIEWERS: usize = 8;

/// A server, and what is needed to attack it.
pub(crate) struct Ground {
    server: Running,
    data: TempDir,
    pub(crate) room: Room,
    pub(crate) runtime: Runtime,
    /// The honest call with nobody beside it.
    quiet: Call,
    _alone: MutexGuard<'static, ()>,
}

/// How the honest call fared.
#[derive(Clone, Debug, Default)]
struct Call {
    loss_percent: f64,
    p99_ms: f64,
    keyframes: u64,
}

/// How it fared alone and beside the attack.
#[derive(Debug)]
pub(crate) struct Figures {
    beside: Call,
    /// How long the attack took.
    pub(crate) seconds: f64,
    pub(crate) tally: Tally,
    /// What the server's memory grew by at most, the honest call's own share included.
    grown_kb: u64,
    counted: BTreeMap<String, f64>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let data = tempfile::tempdir().expect("a folder");
        let server = Running::start(data.path(), &["--shards", "1"]);
        let room = Room::from_link(&server.link).expect("a link");
        let runtime = Runtime::new().expect("a runtime");
        let mut ground = Self { server, data, room, runtime, quiet: Call::default(), _alone: alone };
        ground.quiet = ground.call();
        ground
    }

    /// Where its page is.
    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Plays the honest call beside the attack, which goes on until it is told that it is over.
    pub(crate) fn beside(&self, name: &str, attack: impl FnOnce(&AtomicBool) -> Tally + Send) -> Figures {
        let quiet = self.quiet.clone();
        let before = self.counters();
        let resident = self.kilobytes("VmRSS");
        let over = AtomicBool::new(false);
        let (beside, tally, took) = std::thread::scope(|scope| {
            let attacked = scope.spawn(|| {
                let began = Instant::now();
                (attack(&over), began.elapsed())
            });
            let beside = self.call();
            over.store(true, Ordering::Relaxed);
            let (tally, took) = attacked.join().expect("the attack itself is sound");
            (beside, tally, took)
        });
        let grown_kb = self.kilobytes("VmHWM").saturating_sub(resident);
        let since = |(name, now): (String, f64)| {
            let then = before.get(&name).copied().unwrap_or_default();
            (name, now - then)
        };
        let counted: BTreeMap<_, _> = self.counters().into_iter().map(since).collect();
        let drops = counted.iter().filter(|(name, count)| name.starts_with(DROPPED) && **count > 0.0);
        let drops: BTreeMap<_, _> = drops.map(|(name, count)| (&name[DROPPED.len()..], count)).collect();
        println!(
            "{}",
            json!({
                "attack": name, "perSecond": (tally.sent as f64 / took.as_secs_f64()).round(), "sent": tally.sent,
                "bytesOut": tally.bytes_out, "bytesBack": tally.bytes_in, "lossPercent": beside.loss_percent,
                "p99Ms": {"alone": quiet.p99_ms, "beside": beside.p99_ms}, "grownKb": grown_kb, "drops": drops,
            })
        );
        Figures { beside, tally, seconds: took.as_secs_f64(), grown_kb, counted }
    }

    /// One publisher and eight viewers, who all must get in.
    fn call(&self) -> Call {
        let publishing = Publishing { simulcast: false, audio: false, ..Publishing::default() };
        let viewers = Cohort { reference_share: 0.0, ..Cohort::new("viewers", VIEWERS) };
        let scenario = known::webinar(SECONDS, Some((1, publishing)), viewers, Watching::default());
        let options =
            Options { rooms: vec![self.room.clone()], elsewhere: None, threads: 1, server_pid: None };
        let report = self.runtime.block_on(run(scenario, options, &Progress::new(true))).expect("a report");
        assert!(report.complete(), "not everybody got in: {report}");
        let report = report.json();
        let number = |at: &str| {
            report.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {at} in {report}"))
        };
        Call {
            loss_percent: number("/groups/1/lossPercent"),
            p99_ms: number("/groups/1/latencyMs/p99"),
            keyframes: number("/keyframesAsked") as u64,
        }
    }

    /// The server is as well as before, and ends as it should.
    pub(crate) fn end(self) {
        let ready = self.server.get("/readyz");
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
        let (status, log) = self.server.end("TERM");
        assert!(status.success() && !log.contains("panic"), "{status}: {log}");
    }

    fn kilobytes(&self, what: &str) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).expect("a process");
        let line =
            status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Everything in `/metrics`, as whoever runs the server reads it.
    fn counters(&self) -> BTreeMap<String, f64> {
        let key = fs::read_to_string(self.data.path().join("admin.token")).expect("the admin's token");
        let key = format!("authorization: Bearer {}\r\n", key.trim());
        let answer = program::ask(self.port(), "/metrics", &key).expect("it listens");
        let samples = answer.lines().filter(|line| line.starts_with("millrace_"));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }
}

const DROPPED: &str = "millrace_dropped_packets_total";

impl Figures {
    /// The honest call had all its packets, and the server took no more memory than this for the attack.
    pub(crate) fn hold(self, most_kb: u64) -> Self {
        // A repair that comes after the measured part counts as lost.
        assert!(self.beside.loss_percent < 1.0, "{self:?}");
        assert!(self.grown_kb <= most_kb, "{self:?}");
        self
    }

    /// A counter's growth.
    pub(crate) fn counted(&self, name: &str) -> f64 {
        self.counted.get(name).copied().unwrap_or_else(|| panic!("no {name} in {:?}", self.counted))
    }

    /// Packets dropped for this reason.
    pub(crate) fn dropped(&self, reason: &str) -> f64 {
        self.counted(&format!("{DROPPED}{{reason=\"{reason}\"}}"))
    }

    /// Most of what was sent was dropped for this reason; the rest the kernel dropped before, or it came after the count.
    pub(crate) fn mostly(&self, reason: &str, of: u64) {
        let dropped = self.dropped(reason);
        assert!(dropped > of as f64 / 2.0, "{dropped} of {of} for {reason}: {self:?}");
    }

    /// Keyframes that the honest publisher was asked for.
    pub(crate) const fn keyframes(&self) -> u64 {
        self.beside.keyframes
    }
}
