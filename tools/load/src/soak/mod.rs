//! A long time of everything at once: people come and go, mute, resize, move to other addresses, restart ICE, and are gone without
//! a word, while one stays and writes down what it is told. At the end nothing may be left of any of it.

mod ledger;
mod memory;
mod publisher;
mod report;
mod stage;
mod visitor;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_sim::network::Rng;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use url::Url;

use self::memory::Growth;
pub use self::report::Report;
pub use self::stage::Deed;
use self::stage::{GRACE, Stage};
use crate::client::{Client, Event, Notice};
use crate::drive::Engine;
use crate::report::progress::Progress;
use crate::web::{self, Room};
use crate::{Error, cpu};

const SECOND: Duration = Duration::from_secs(1);
/// Memory is looked at as often as this, and the roster is judged.
const LOOK: Duration = Duration::from_secs(5);
/// The share of a run after which memory is expected to be flat.
const WARM: u32 = 6;
/// Until nothing may be left of those who were gone without a word.
const CLEARED: Duration = Duration::from_secs(90);
/// Gauges of the server that say who and what is there.
const GAUGES: [&str; 3] = ["millrace_sessions", "millrace_tracks", "millrace_subscriptions"];

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where.
    pub room: Room,
    /// For how long people come.
    pub length: Duration,
    /// How many come in a second, to watch.
    pub joins: f64,
    /// How long each of them stays, on average.
    pub stay: Duration,
    /// How many publish.
    pub publishers: usize,
    /// Which share is gone without a word instead of leaving, 0 to 1.
    pub crashes: f64,
    /// The same seed, the same deeds.
    pub seed: u64,
    /// The server's process, to watch its memory and its files.
    pub server_pid: Option<u32>,
    /// Its metrics, to see whether anything is left.
    pub metrics: Option<Url>,
}

/// What the server has at one time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Left {
    gauges: BTreeMap<&'static str, f64>,
    files: Option<usize>,
}

impl Left {
    async fn take(plan: &Plan) -> Result<Self, Error> {
        let mut gauges = BTreeMap::new();
        if let Some(url) = &plan.metrics {
            let reply = web::request("GET", url, None, None).await?;
            if reply.status != 200 {
                return Err(reply.refused(url, "no metrics"));
            }
            for line in reply.body.lines().filter(|line| !line.starts_with('#')) {
                let Some((name, value)) = line.rsplit_once(' ') else { continue };
                let name = name.split('{').next().unwrap_or_default();
                if let Some(gauge) = GAUGES.into_iter().find(|gauge| *gauge == name) {
                    *gauges.entry(gauge).or_default() += value.parse().unwrap_or(0.0);
                }
            }
        }
        Ok(Self { gauges, files: plan.server_pid.and_then(cpu::files) })
    }
}

/// Runs it, and says what came of it. Ctrl-C ends it early.
pub async fn run(plan: Plan, threads: usize, progress: &Progress) -> Result<Report, Error> {
    let before = Left::take(&plan).await?;
    let stage = Arc::new(Stage::new(plan.clone(), Engine::new(threads)?));
    let mut rng = Rng::new(plan.seed);
    let observer = Client::join_on(&plan.room, "Observer", stage.engine.clone()).await?;
    let watching = tokio::spawn(observe(stage.clone(), observer));
    let mut publishers = JoinSet::new();
    for _ in 0..plan.publishers {
        publishers.spawn(publisher::publish(stage.clone(), Rng::new(rng.next())));
    }
    let mut visitors = JoinSet::new();
    let mut memory = Growth::default();
    tokio::select! {
        () = churn(&stage, &mut visitors, &mut rng, &mut memory, progress) => {}
        _ = tokio::signal::ctrl_c() => stage.stop(),
    }
    while publishers.join_next().await.is_some() {}
    while visitors.join_next().await.is_some() {}
    // Those who were gone without a word are waited for.
    let until = Instant::now() + CLEARED;
    let mut after = Left::default();
    while Instant::now() < until && !watching.is_finished() {
        stage.judge();
        after = Left::take(&plan).await?;
        if stage.missing() == 0 && after == before {
            break;
        }
        progress.line(&format!("waiting until nothing is left: {:?}", after.gauges));
        sleep(SECOND).await;
    }
    progress.done();
    if watching.is_finished() {
        stage.fault("observer", "it was gone before the end".to_owned());
    }
    watching.abort();
    stage.judge();
    Ok(Report::new(&stage, before, after, memory))
}

/// People come at the rate that is asked for, until the end.
async fn churn(
    stage: &Arc<Stage>,
    visitors: &mut JoinSet<()>,
    rng: &mut Rng,
    memory: &mut Growth,
    progress: &Progress,
) {
    let began = Instant::now();
    let mut comes = interval(Duration::from_secs_f64(1.0 / stage.plan.joins));
    comes.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut looks = interval(LOOK);
    let mut seconds = interval(SECOND);
    while !stage.over() {
        tokio::select! {
            _ = comes.tick() => drop(visitors.spawn(visitor::visit(stage.clone(), Rng::new(rng.next())))),
            _ = looks.tick() => {
                stage.judge();
                for fault in stage.news() {
                    progress.keep(&fault);
                }
                let warm = began.elapsed() >= stage.plan.length / WARM;
                if let Some(bytes) = stage.plan.server_pid.and_then(|pid| cpu::memory(Some(pid))).filter(|_| warm) {
                    memory.add(began.elapsed(), bytes);
                }
            }
            _ = seconds.tick() => progress.line(&report::line(stage, began.elapsed(), visitors.len())),
            Some(_) = visitors.join_next() => {}
        }
    }
}

/// Stays, and writes down what it is told.
async fn observe(stage: Arc<Stage>, mut client: Client) {
    let own = client.uid();
    loop {
        // Longer than the whole of it: somebody comes or goes all the time.
        let silent = stage.plan.length + CLEARED + GRACE;
        match timeout(silent, client.next()).await {
            Ok(Ok(Some(Event::Other(Notice::People { joined, left, .. })))) => {
                let mut people = stage.people();
                for person in joined.iter().filter(|person| person.uid != own) {
                    people.told_in(person.uid);
                }
                for uid in left {
                    people.told_out(uid);
                }
            }
            Ok(Ok(Some(Event::Appeared(stream)))) => {
                stage.told_muted(stream.id.uid, stream.muted);
                stage.streams().told_in(stream.id);
            }
            Ok(Ok(Some(Event::Changed(stream)))) => stage.told_muted(stream.id.uid, stream.muted),
            Ok(Ok(Some(Event::Left(stream)))) => stage.streams().told_out(stream),
            Ok(Ok(Some(_))) => {}
            _ => return,
        }
    }
}
