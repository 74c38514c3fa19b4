//! What came of a run: for people, for programs, for spreadsheets and as a page with plots.

pub mod csv;
pub mod fail;
pub mod html;
pub mod json;
mod plot;
pub mod progress;
mod text;

use std::time::Duration;

use crate::drive::Strain;
use crate::measure::{Count, Counts, Timed, Times, Timings};
use crate::scenario::attend::Visit;

/// A reason why clients failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the first of them said.
    pub why: String,
    /// How many.
    pub count: usize,
}

/// What became of a cohort.
#[derive(Clone, Debug)]
pub struct GroupReport {
    /// Which.
    pub name: String,
    /// Whether its clients watched anything.
    pub watches: bool,
    /// Clients that were wanted.
    pub wanted: usize,
    /// Clients that were due to come before the end.
    pub due: usize,
    /// Clients that connected.
    pub arrived: usize,
    /// Why others did not, or did not stay.
    pub failures: Vec<Failure>,
    /// What was counted in the measured part.
    pub counts: Counts,
    /// What was timed in it. Joins and first frames: of all.
    pub times: Timings,
    /// Every client that was there until it left.
    pub visits: Vec<Visit>,
}

/// What the publishers did.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentReport {
    /// How many.
    pub publishers: usize,
    /// Media packets of the measured part.
    pub packets: u64,
    /// Keyframes that were asked for.
    pub keyframes: u64,
    /// Retransmissions.
    pub repaired: u64,
    /// Frames that the tool was too late for.
    pub skipped: u64,
}

/// What it cost the server, where that may be read.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// In the measured part.
    pub cpu: Duration,
    /// Resident at its end.
    pub memory: u64,
    /// Resident before anybody came.
    pub baseline: u64,
    /// Clients that were there when the measured part began.
    pub present: u64,
}

/// What it cost the tool.
#[derive(Clone, Debug)]
pub struct Tool {
    /// In the measured part.
    pub cpu: Duration,
    /// How its threads fared.
    pub strain: Strain,
    /// Share of the machine's time that nobody used.
    pub idle: Option<f64>,
}

impl GroupReport {
    /// How long its viewers were there in the measured part, all together.
    fn there(&self) -> Duration {
        self.visits.iter().filter_map(|visit| Some(visit.tally.as_ref()?.there)).sum()
    }
}

/// A cohort in one second.
#[derive(Clone, Debug)]
pub struct GroupSecond {
    /// Clients that have connected so far, were due so far, and are wanted in all.
    pub arrived: u64,
    /// See `arrived`.
    pub due: u64,
    /// See `arrived`.
    pub wanted: u64,
    /// What was counted.
    pub counts: Counts,
    /// One-way latency in milliseconds: the median.
    pub latency_p50: Option<f64>,
    /// See `latency_p50`.
    pub latency_p99: Option<f64>,
    /// Of those who came: from when they were due to their first frame.
    pub first_frame_p99: Option<f64>,
}

/// One second of a run.
#[derive(Clone, Debug)]
pub struct Second {
    /// Its end, in seconds from the beginning of the run.
    pub at: f64,
    /// Its true length in seconds.
    pub length: f64,
    /// Whether it belongs to the measured part.
    pub measured: bool,
    /// The cohorts.
    pub groups: Vec<GroupSecond>,
    /// Cores that the tool used.
    pub tool: f64,
    /// Share of a core that its busiest thread used.
    pub busiest: f64,
    /// Datagrams that the kernel dropped at the tool's sockets.
    pub drops: u64,
    /// Cores that the server used.
    pub server: Option<f64>,
    /// The server's resident memory.
    pub memory: Option<u64>,
}

impl Second {
    /// Of all cohorts together.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.groups.iter().for_each(|group| all.merge(&group.counts));
        all
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was run.
    pub scenario: String,
    /// In how many rooms.
    pub rooms: usize,
    /// Length of the measured part.
    pub seconds: f64,
    /// The cohorts.
    pub groups: Vec<GroupReport>,
    /// The publishers.
    pub sent: SentReport,
    /// This tool.
    pub tool: Tool,
    /// The server.
    pub server: Option<Server>,
    /// Second by second.
    pub series: Vec<Second>,
}

/// A time at a quantile, in milliseconds.
pub fn ms(times: &Times, quantile: f64) -> f64 {
    if times.is_empty() { 0.0 } else { times.value_at_quantile(quantile) as f64 / 1000.0 }
}

impl Report {
    /// Of all cohorts together.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.groups.iter().for_each(|group| all.merge(&group.counts));
        all
    }

    /// Of all cohorts together.
    pub fn times(&self) -> Timings {
        let mut all = Timings::default();
        self.groups.iter().for_each(|group| all.merge(&group.times));
        all
    }

    /// Whether everyone who was due came.
    pub fn complete(&self) -> bool {
        self.groups.iter().all(|group| group.arrived >= group.due)
    }

    /// The server's CPU time for one media packet to one viewer, in microseconds.
    pub fn server_micros(&self) -> Option<f64> {
        let packets = self.counts().get(Count::Media);
        let server = self.server.filter(|_| packets > 0)?;
        Some(server.cpu.as_secs_f64() * 1e6 / packets as f64)
    }

    /// The server's memory for each client that was there, against before they came.
    pub fn memory_per_client(&self) -> Option<f64> {
        let server = self.server.filter(|server| server.present > 0)?;
        Some(server.memory.saturating_sub(server.baseline) as f64 / server.present as f64)
    }

    /// This tool's CPU time for one packet received, in microseconds.
    pub fn tool_micros(&self) -> f64 {
        let packets = self.counts().get(Count::Packets).max(1);
        self.tool.cpu.as_secs_f64() * 1e6 / packets as f64
    }

    /// In which way the tool, or the machine under it, was the limit and not the server.
    pub fn limits(&self) -> Vec<String> {
        let strain = &self.tool.strain;
        let mut limits = Vec::new();
        if strain.busiest.used() > 0.85 {
            let percent = strain.busiest.used() * 100.0;
            limits.push(format!("its busiest thread used {percent:.0} % of a core: give it more --threads"));
        }
        if strain.busiest.starved() > 0.25 {
            let percent = strain.busiest.starved() * 100.0;
            limits.push(format!("its busiest thread waited for a core {percent:.0} % of the time"));
        }
        if strain.drops > 0 {
            limits
                .push(format!("its sockets dropped {} datagrams that it did not read in time", strain.drops));
        }
        if self.sent.skipped > 0 {
            limits.push(format!("it was too late to send {} frames", self.sent.skipped));
        }
        let times = self.times();
        let lag = ms(times.of(Timed::SendLag), 0.99);
        if lag > 10.0 {
            limits.push(format!("its publishers sent up to {lag:.0} ms late (p99)"));
        }
        let turn = ms(&strain.turns, 0.99);
        if turn > 25.0 {
            limits.push(format!("what came waited up to {turn:.0} ms to be read (p99)"));
        }
        if let Some(idle) = self.tool.idle.filter(|idle| *idle < 0.03) {
            limits.push(format!("the machine was idle for {:.1} % of the time only", idle * 100.0));
        }
        limits
    }
}

/// Bytes in a time as kbit/s.
fn kbps(bytes: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { bytes as f64 * 8e-3 / time.as_secs_f64() }
}

/// Bytes, for people.
fn bytes(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.1} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} KB", n / 1e3),
        n => format!("{n:.0} B"),
    }
}
