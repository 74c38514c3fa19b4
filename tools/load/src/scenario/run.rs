//! Runs a scenario: brings the cohorts in, measures, and lets them go.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use super::attend::{Visit, Who, attend};
use super::elsewhere::{self, Elsewhere};
use super::sampler::Sampler;
use super::{Cohort, Scenario};
use crate::Error;
use crate::client::Shared;
use crate::drive::Engine;
use crate::measure::{Count, Meter, Timed, Window};
use crate::publisher::Sent;
use crate::report::progress::Progress;
use crate::report::{Failure, GroupReport, Report, SentReport};
use crate::viewer::{Tally, Viewer};
use crate::web::Room;

/// From the last join to the measured part.
const SETTLE: Duration = Duration::from_secs(2);
/// From the measured part to the end: what is on its way arrives, what is missing is asked for.
const DRAIN: Duration = Duration::from_millis(1500);
/// How long clients may take to leave.
const GRACE: Duration = Duration::from_secs(5);
/// Kinds of failures that are told apart.
const FAILURES: usize = 5;

/// Where and with what to run.
#[derive(Debug)]
pub struct Options {
    /// The rooms: as many as the scenario has; none elsewhere.
    pub rooms: Vec<Room>,
    /// Instead of ours, this server.
    pub elsewhere: Option<elsewhere::Server>,
    /// Threads for clients' media.
    pub threads: usize,
    /// The server's process, to tell its CPU time and memory.
    pub server_pid: Option<u32>,
}

/// What kind of server it is.
pub enum Service {
    /// Ours.
    Millrace(Box<Shared>),
    /// Another.
    Elsewhere(Elsewhere),
}

/// A publisher, for those who count what should have come.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its number in stamps.
    pub number: u16,
    /// Its counters.
    pub sent: Arc<Sent>,
    /// How many encodings it has.
    pub encodings: usize,
    /// Whether it sends sound.
    pub audio: bool,
}

/// A cohort while it runs.
#[derive(Debug)]
pub struct Group {
    /// What it does.
    pub cohort: Cohort,
    /// What it counts.
    pub meter: Arc<Meter>,
    /// Clients that have connected so far.
    pub arrived: AtomicU64,
    /// Clients that were due so far.
    pub due: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    visits: Mutex<Vec<Visit>>,
}

impl Group {
    fn new(cohort: Cohort, window: Arc<Window>) -> Self {
        Self {
            cohort,
            meter: Arc::new(Meter::new(window)),
            arrived: AtomicU64::new(0),
            due: AtomicU64::new(0),
            failures: Mutex::default(),
            visits: Mutex::default(),
        }
    }

    /// A client is connected, this long after it was due.
    pub fn joined(&self, took: Duration) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.meter.time(Timed::Join, took, true);
    }

    fn failed(&self, error: &Error) {
        let why = error.to_string();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let full = failures.len() >= FAILURES;
        match failures.iter_mut().find(|failure| failure.why == why || full) {
            Some(failure) => failure.count += 1,
            None => failures.push(Failure { why, count: 1 }),
        }
    }
}

/// A scenario while it runs.
pub struct Run {
    /// The server.
    pub service: Service,
    /// Threads for clients' media.
    pub engine: Engine,
    /// Where.
    pub rooms: Vec<Room>,
    /// The cohorts.
    pub groups: Vec<Group>,
    /// Whether it is over.
    pub over: watch::Receiver<bool>,
    /// The next publisher's number.
    pub sources: AtomicUsize,
    /// Of the links.
    pub seed: u64,
    known: Mutex<Vec<Source>>,
}

impl Run {
    /// In how many rooms it runs.
    pub fn places(&self) -> usize {
        self.rooms.len().max(1)
    }

    /// A publisher has begun.
    pub fn add_source(&self, source: Source) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// All publishers so far.
    pub fn known(&self) -> Vec<Source> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Packets that were sent to a viewer after the last one that came: holes at the end are seen by nobody else. Told only
    /// where the publisher has one encoding, so that nothing else could have been meant.
    pub(super) fn tail(&self, viewer: &Viewer, tally: &Tally, cohort: &Cohort) -> u64 {
        let watches_all = cohort.watch.as_ref().is_some_and(|watch| watch.video && watch.tiles == 0);
        if cohort.during || !watches_all {
            return 0;
        }
        let sources = self.known();
        let single = |source: &&Source| source.encodings == 1;
        if tally.window.get(Count::Expected) == 0 {
            let sent = |source: &Source| source.sent.windowed.load(Ordering::Relaxed);
            return sources.iter().filter(single).filter(|source| !source.audio).map(sent).sum();
        }
        let tail = |(number, layer, last): (u16, u8, u32)| {
            let source = sources.iter().filter(single).find(|source| source.number == number)?;
            let closed = source.sent.closed.get(usize::from(layer))?.load(Ordering::Relaxed);
            Some(closed.saturating_sub(u64::from(last) + 1))
        };
        viewer.accounted().filter_map(tail).sum()
    }
}

/// Runs it.
pub async fn run(scenario: Scenario, options: Options, progress: &Progress) -> Result<Report, Error> {
    let engine = Engine::new(options.threads)?;
    let service = match (options.elsewhere, options.rooms.first()) {
        (Some(server), _) => Service::Elsewhere(Elsewhere::new(server)?),
        (None, Some(room)) => Service::Millrace(Box::new(Shared::new(room, engine.clone()).await?)),
        (None, None) => return Err(Error::Usage("there must be a room".into())),
    };
    let window = Arc::<Window>::default();
    let (end, over) = watch::channel(false);
    let groups = scenario.cohorts.iter().map(|cohort| Group::new(cohort.clone(), window.clone()));
    let run = Arc::new(Run {
        service,
        engine,
        rooms: options.rooms,
        groups: groups.collect(),
        over,
        sources: AtomicUsize::new(0),
        seed: scenario.seed,
        known: Mutex::default(),
    });
    let mut sampler = Sampler::new(run.clone(), options.server_pid);
    let mut visits = JoinSet::new();

    let before = tokio::spawn(bring_all(&run, &mut visits, false, Instant::now()));
    sampler.until(before, progress).await;
    let arrived: u64 = run.groups.iter().map(|g| g.arrived.load(Ordering::Relaxed)).sum();
    if arrived == 0 && run.groups.iter().any(|group| !group.cohort.during) {
        let failures =
            run.groups.iter().flat_map(|g| g.failures.lock().map(|f| f.clone()).unwrap_or_default());
        let why = failures.map(|failure| failure.why).next();
        return Err(Error::Usage(why.unwrap_or_else(|| "there must be somebody to watch or publish".into())));
    }
    sampler.until(tokio::time::sleep(SETTLE), progress).await;

    let now = Instant::now();
    window.open(now);
    sampler.open();
    let during = bring_all(&run, &mut visits, true, now);
    let length = tokio::time::sleep_until((now + Duration::from_secs(scenario.seconds)).into());
    let coming = tokio::spawn(during);
    sampler.until(length, progress).await;
    window.close(Instant::now());
    sampler.close();
    tokio::time::sleep(DRAIN).await;
    coming.abort();
    // Nobody listens only if everybody has left.
    let _ = end.send(true);
    while visits.join_next().await.is_some() {}
    progress.done();
    Ok(report(&run, scenario, sampler))
}

/// Brings in those that come before the measured part, or during it.
fn bring_all(
    run: &Arc<Run>,
    visits: &mut JoinSet<()>,
    during: bool,
    begin: Instant,
) -> impl Future<Output = ()> + Send + use<> {
    // Started here, so that the set of visits stays with the caller; each waits for its turn.
    let mut turns = Vec::new();
    for (cohort, group) in run.groups.iter().enumerate().filter(|(_, g)| g.cohort.during == during) {
        let mut turn = Vec::new();
        for n in 0..group.cohort.count * run.places() {
            let (go, gone) = oneshot::channel::<(Instant, oneshot::Sender<()>)>();
            let run = run.clone();
            visits.spawn(async move {
                let Ok((due, arrived)) = gone.await else { return };
                let who = Who { cohort, room: n % run.places(), n };
                let group = &run.groups[cohort];
                group.due.fetch_add(1, Ordering::Relaxed);
                let mut over = run.over.clone();
                let late = async {
                    let _ = over.wait_for(|over| *over).await;
                    tokio::time::sleep(GRACE).await;
                };
                let visit = tokio::select! {
                    visit = attend(run.clone(), who, due, arrived) => visit,
                    () = late => Err(Error::Signal("it was still on its way in or out at the end".into())),
                };
                match visit {
                    Ok(visit) => group.visits.lock().unwrap_or_else(PoisonError::into_inner).push(visit),
                    Err(error) => group.failed(&error),
                }
            });
            turn.push(go);
        }
        turns.push((group.cohort.rate, group.cohort.joins, turn));
    }
    async move {
        let mut together = JoinSet::new();
        for (rate, joins, turn) in turns {
            together.spawn(async move {
                match rate {
                    Some(rate) => at_rate(turn, rate, begin).await,
                    None => few_at_a_time(turn, joins).await,
                }
            });
            // Before the measured part one cohort follows the other: publishers are there when viewers come.
            while !during && together.join_next().await.is_some() {}
        }
        while together.join_next().await.is_some() {}
    }
}

type Go = oneshot::Sender<(Instant, oneshot::Sender<()>)>;

/// However long those before take: whoever is late is late from when it was due.
async fn at_rate(turn: Vec<Go>, rate: f64, begin: Instant) {
    for (n, go) in turn.into_iter().enumerate() {
        let due = begin + Duration::from_secs_f64(n as f64 / rate);
        tokio::time::sleep_until(due.into()).await;
        // Who has given up is counted where it gave up.
        let _ = go.send((due, oneshot::channel().0));
    }
}

async fn few_at_a_time(turn: Vec<Go>, joins: usize) {
    let free = Arc::new(Semaphore::new(joins.max(1)));
    let mut tasks = JoinSet::new();
    for go in turn {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        let (arrived, arrival) = oneshot::channel();
        let _ = go.send((Instant::now(), arrived));
        tasks.spawn(async move {
            // It arrives, or its end drops the sender.
            let _ = arrival.await;
            drop(permit);
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn report(run: &Run, scenario: Scenario, sampler: Sampler) -> Report {
    let take = |group: &Group| GroupReport {
        name: group.cohort.name.clone(),
        watches: group.cohort.watch.is_some(),
        wanted: group.cohort.count * run.places(),
        due: group.due.load(Ordering::Relaxed) as usize,
        arrived: group.arrived.load(Ordering::Relaxed) as usize,
        failures: group.failures.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        counts: group.meter.windowed(),
        times: group.meter.timings(),
        visits: group.visits.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    };
    let mut sent = SentReport::default();
    for source in run.known() {
        sent.publishers += 1;
        sent.packets += source.sent.windowed.load(Ordering::Relaxed);
        sent.keyframes += source.sent.keyframes.load(Ordering::Relaxed);
        sent.repaired += source.sent.repaired.load(Ordering::Relaxed);
        sent.skipped += source.sent.skipped.load(Ordering::Relaxed);
    }
    let groups = run.groups.iter().map(take).collect();
    sampler.report(scenario.name, run.places(), groups, sent)
}
