//! Looks at everything once a second: for the progress line, for the plots, and for what a run cost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::run::Run;
use crate::cpu;
use crate::drive::Strain;
use crate::measure::{Counts, Timed};
use crate::report::progress::Progress;
use crate::report::{GroupReport, GroupSecond, Report, Second, SentReport, Server, Tool};

const SECOND: Duration = Duration::from_secs(1);
/// An hour of samples; longer runs are plotted for that long.
const MOST: usize = 3600;

/// What is read at both ends of a span.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    tool: Duration,
    server: Option<Duration>,
    memory: Option<u64>,
    machine: Option<(Duration, Duration)>,
}

impl Reading {
    fn take(server_pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            tool: cpu::time(None).unwrap_or_default(),
            server: server_pid.and_then(|pid| cpu::time(Some(pid))),
            memory: server_pid.and_then(|pid| cpu::memory(Some(pid))),
            machine: cpu::machine(),
        }
    }

    /// Share of the machine's time that nobody used, since `before`.
    fn idle(&self, before: &Self) -> Option<f64> {
        let ((all, idle), (all_before, idle_before)) = (self.machine?, before.machine?);
        let all = all.saturating_sub(all_before).as_secs_f64();
        (all > 0.0).then(|| idle.saturating_sub(idle_before).as_secs_f64() / all)
    }
}

/// See the module.
pub(super) struct Sampler {
    run: Arc<Run>,
    server_pid: Option<u32>,
    began: Instant,
    next: Instant,
    last: Reading,
    counted: Vec<Counts>,
    seconds: Vec<Second>,
    strain: Strain,
    /// Before anybody came.
    baseline: Reading,
    open: Option<Reading>,
    close: Option<Reading>,
    /// Clients that were there when it began.
    present: u64,
}

impl Sampler {
    pub(super) fn new(run: Arc<Run>, server_pid: Option<u32>) -> Self {
        let baseline = Reading::take(server_pid);
        Self {
            counted: vec![Counts::default(); run.groups.len()],
            run,
            server_pid,
            began: baseline.at,
            next: baseline.at + SECOND,
            last: baseline,
            seconds: Vec::new(),
            strain: Strain::default(),
            baseline,
            open: None,
            close: None,
            present: 0,
        }
    }

    /// Samples until `done`.
    pub(super) async fn until<T>(&mut self, done: impl Future<Output = T>, progress: &Progress) {
        tokio::pin!(done);
        loop {
            tokio::select! {
                biased;
                _ = &mut done => return,
                () = tokio::time::sleep_until(self.next.into()) => {
                    self.next = (self.next + SECOND).max(Instant::now() + SECOND / 2);
                    self.sample(progress);
                }
            }
        }
    }

    /// The measured part begins.
    pub(super) fn open(&mut self) {
        // What was before does not count.
        self.run.engine.strain();
        self.open = Some(Reading::take(self.server_pid));
        self.present = self.run.groups.iter().map(|g| g.arrived.load(Ordering::Relaxed)).sum();
    }

    /// The measured part ends.
    pub(super) fn close(&mut self) {
        self.add_strain();
        self.close = Some(Reading::take(self.server_pid));
    }

    fn add_strain(&mut self) -> Strain {
        let strain = self.run.engine.strain();
        if self.open.is_some() && self.close.is_none() {
            self.strain = std::mem::take(&mut self.strain).plus(strain.clone());
        }
        strain
    }

    fn sample(&mut self, progress: &Progress) {
        let reading = Reading::take(self.server_pid);
        let strain = self.add_strain();
        let length = reading.at.duration_since(self.last.at).as_secs_f64().max(0.001);
        let share = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / length;
        let groups = self.run.groups.iter().zip(&mut self.counted).map(|(group, counted)| {
            let all = group.meter.all();
            let counts = all.since(&std::mem::replace(counted, all));
            let times = group.meter.second();
            let ms = |what, quantile| {
                let times = times.of(what);
                (!times.is_empty()).then(|| times.value_at_quantile(quantile) as f64 / 1000.0)
            };
            GroupSecond {
                arrived: group.arrived.load(Ordering::Relaxed),
                due: group.due.load(Ordering::Relaxed),
                wanted: (group.cohort.count * self.run.places()) as u64,
                latency_p50: ms(Timed::Latency, 0.5).or_else(|| ms(Timed::Sound, 0.5)),
                latency_p99: ms(Timed::Latency, 0.99).or_else(|| ms(Timed::Sound, 0.99)),
                first_frame_p99: ms(Timed::FirstFrame, 0.99),
                counts,
            }
        });
        let second = Second {
            at: reading.at.duration_since(self.began).as_secs_f64(),
            length,
            measured: self.open.is_some(),
            groups: groups.collect(),
            tool: share(reading.tool, self.last.tool),
            busiest: strain.busiest.used(),
            drops: strain.drops,
            server: reading.server.zip(self.last.server).map(|(now, before)| share(now, before)),
            memory: reading.memory,
        };
        self.last = reading;
        progress.second(&second);
        if self.seconds.len() < MOST {
            self.seconds.push(second);
        }
    }

    /// What came of it.
    pub(super) fn report(
        self,
        scenario: String,
        rooms: usize,
        groups: Vec<GroupReport>,
        sent: SentReport,
    ) -> Report {
        let open = self.open.unwrap_or(self.baseline);
        let close = self.close.unwrap_or(self.last);
        let server = close.server.zip(open.server).map(|(end, begin)| Server {
            cpu: end.saturating_sub(begin),
            memory: close.memory.unwrap_or(0),
            baseline: self.baseline.memory.unwrap_or(0),
            present: self.present,
        });
        Report {
            scenario,
            rooms,
            seconds: close.at.duration_since(open.at).as_secs_f64(),
            groups,
            sent,
            tool: Tool {
                cpu: close.tool.saturating_sub(open.tool),
                strain: self.strain,
                idle: close.idle(&open),
            },
            server,
            series: self.seconds,
        }
    }
}
