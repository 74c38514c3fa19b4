//! A webinar: one publisher, many viewers, and what it cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millrace::control::ids::{Gid, Sid};
use millrace::handshake::Identity;
use millrace::signal::message::{Joined, Layer, Muted, Notice, Publish, Request, Secret, StreamId, Watch};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::drive::{self, Running};
use crate::peer::{Peer, random_credentials};
use crate::publisher::{EncodingPlan, Plan, Publisher, Sent};
use crate::sdp::{self, Ours};
use crate::signal::{self, Session};
use crate::viewer::{Tally, Viewer, Window};
use crate::web::{Room, Signal};
use crate::{Error, cpu, identity};

/// How long a client may take to get its media up.
const PATIENCE: Duration = Duration::from_secs(30);
/// From the last join to the first packet that counts.
const SETTLE: Duration = Duration::from_secs(2);
/// From the last packet that counts to the end: what is on its way arrives, what is missing is asked for.
const DRAIN: Duration = Duration::from_millis(1500);
/// Signalling sessions that share a QUIC socket.
const SESSIONS_PER_SOCKET: usize = 50;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub room: Room,
    /// How many watch.
    pub viewers: usize,
    /// How long to measure.
    pub seconds: u64,
    /// What a publisher of ours sends; `None` to watch what is published in the room already.
    pub plan: Option<Plan>,
    /// The tile of every viewer, in device pixels.
    pub tile: (u16, u16),
    /// Viewers that join at the same time.
    pub joins: usize,
    /// The server's process, to tell its CPU time.
    pub server_pid: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Viewers that got a connection, and those that were wanted.
    pub viewers: (usize, usize),
    /// Why the first of the others did not.
    pub failure: Option<String>,
    /// Length of the measured part.
    pub seconds: f64,
    /// Packets of the publisher's first encoding within it.
    pub sent: u64,
    /// Media packets that arrived at all viewers together within it.
    pub forwarded: u64,
    /// All viewers' tallies together.
    pub tally: Tally,
    /// Whether every viewer must have got every packet: there is one encoding.
    pub exact: bool,
    /// CPU time of this process within it.
    pub tool: Duration,
    /// CPU time of the server within it.
    pub server: Option<Duration>,
    /// From the start of a viewer's connection to its first keyframe: median and slowest.
    pub first_frame: (Duration, Duration),
}

impl Report {
    /// Share of packets that did not arrive, 0 to 1.
    pub fn loss(&self) -> f64 {
        let (missing, of) = match self.exact {
            true => {
                let expected = self.sent * self.viewers.0 as u64;
                (expected.saturating_sub(self.tally.counted), expected)
            }
            false => (self.tally.lost, self.tally.packets + self.tally.lost),
        };
        if of == 0 { 0.0 } else { missing as f64 / of as f64 }
    }

    /// The server's CPU time for one packet to one viewer, in microseconds.
    pub fn server_micros(&self) -> Option<f64> {
        let server = self.server.filter(|_| self.forwarded > 0)?;
        Some(server.as_secs_f64() * 1e6 / self.forwarded as f64)
    }

    /// Latency at a quantile, in milliseconds.
    pub fn latency(&self, quantile: f64) -> f64 {
        self.tally.latency.as_ref().map_or(0.0, |h| h.value_at_quantile(quantile) as f64 / 1000.0)
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "viewers": self.viewers.0,
            "viewersWanted": self.viewers.1,
            "seconds": self.seconds,
            "sent": self.sent,
            "forwarded": self.forwarded,
            "lossPercent": self.loss() * 100.0,
            "latencyMs": {
                "p50": self.latency(0.5), "p95": self.latency(0.95), "p99": self.latency(0.99), "max": self.latency(1.0),
            },
            "firstFrameMs": {
                "p50": self.first_frame.0.as_millis() as u64, "max": self.first_frame.1.as_millis() as u64,
            },
            "asked": self.tally.asked,
            "repaired": self.tally.repaired,
            "lost": self.tally.lost,
            "doubled": self.tally.doubled,
            "jumps": self.tally.jumps,
            "keyframeRequests": self.tally.requests,
            "toolCpuSeconds": self.tool.as_secs_f64(),
            "serverCpuSeconds": self.server.map(|t| t.as_secs_f64()),
            "serverMicrosPerPacket": self.server_micros(),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tally, .. } = self;
        writeln!(f, "viewers           {} of {}", self.viewers.0, self.viewers.1)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "  the others      {failure}")?;
        }
        writeln!(f, "measured          {:.1} s", self.seconds)?;
        writeln!(f, "sent              {} packets", self.sent)?;
        writeln!(
            f,
            "forwarded         {} packets, {:.0} a second, {:.1} Mbit/s of video",
            self.forwarded,
            self.forwarded as f64 / self.seconds,
            tally.bytes as f64 * 8e-6 / self.seconds,
        )?;
        writeln!(f, "loss              {:.4} %", self.loss() * 100.0)?;
        writeln!(
            f,
            "                  {} asked for again, {} repaired, {} lost, {} doubled, {} jumps",
            tally.asked, tally.repaired, tally.lost, tally.doubled, tally.jumps
        )?;
        writeln!(
            f,
            "latency           p50 {:.2} ms, p95 {:.2}, p99 {:.2}, max {:.2}",
            self.latency(0.5),
            self.latency(0.95),
            self.latency(0.99),
            self.latency(1.0)
        )?;
        writeln!(f, "first frame       p50 {:?}, slowest {:?}", self.first_frame.0, self.first_frame.1)?;
        write!(f, "CPU of this tool  {:.2} s", self.tool.as_secs_f64())?;
        if let (Some(server), Some(micros)) = (self.server, self.server_micros()) {
            write!(
                f,
                "\nCPU of the server {:.2} s, {micros:.2} us per forwarded packet",
                server.as_secs_f64()
            )?;
        }
        Ok(())
    }
}

/// What all clients of a run share.
pub struct Shared {
    options: Options,
    server: SocketAddr,
    signal: Signal,
    identity: Identity,
    window: Arc<Window>,
}

/// Runs it. `progress` gets a line a second.
pub async fn run(options: Options, progress: impl Fn(String)) -> Result<Report, Error> {
    let shared = Arc::new(Shared::new(options).await?);
    let source = match &shared.options.plan {
        Some(plan) => {
            let (publisher, session, sent) = publish(&shared, plan).await?;
            let stream = StreamId { uid: session.welcome().uid, sid: Sid(0) };
            progress(format!("publishing as user {}", stream.uid));
            Source { stream, sent, session, publisher: Some(publisher) }
        }
        None => find(&shared).await?,
    };

    let viewers = join_all(&shared, source.stream, &progress).await?;
    let (joined, failures): (Vec<_>, Vec<_>) = viewers.into_iter().partition(Result::is_ok);
    let joined: Vec<Watching> = joined.into_iter().flatten().collect();
    let failure = failures.into_iter().find_map(Result::err);
    if joined.is_empty() {
        return Err(failure.unwrap_or_else(|| Error::Usage("there must be at least one viewer".into())));
    }
    tokio::time::sleep(SETTLE).await;

    let measured = measure(&shared, &source.sent, &progress).await;
    tokio::time::sleep(DRAIN).await;

    let mut tally = Tally::default();
    let mut first_frames = Vec::new();
    let count = joined.len();
    for watching in joined {
        let one = watching.stop().await?;
        first_frames.extend(one.first_frame);
        tally.add(&one);
    }
    first_frames.sort_unstable();
    if let Some(publisher) = source.publisher {
        publisher.stop().await?;
    }
    source.session.bye().await;
    let at = |n: usize| first_frames.get(n).copied().unwrap_or_default();
    Ok(Report {
        viewers: (count, shared.options.viewers),
        failure: failure.map(|e| e.to_string()),
        tally,
        exact: shared.options.plan.as_ref().is_some_and(|plan| plan.encodings.len() == 1),
        first_frame: (at(first_frames.len() / 2), at(first_frames.len().saturating_sub(1))),
        seconds: measured.seconds,
        sent: measured.sent,
        forwarded: measured.forwarded,
        tool: measured.tool,
        server: measured.server,
    })
}

/// What is watched, and the session that knows of it.
struct Source {
    stream: StreamId,
    sent: Arc<Sent>,
    session: Session,
    /// Unless somebody else publishes it.
    publisher: Option<Running<Publisher>>,
}

/// The first stream that is published in the room.
async fn find(shared: &Shared) -> Result<Source, Error> {
    let mut session = shared.enter(&shared.endpoint()?, "Load observer").await?;
    let first = |notice| match notice {
        Notice::Roster { joined, .. } => joined.first().map(|s| StreamId { uid: s.uid, sid: s.sid }),
        _ => None,
    };
    let stream = session.wait_for("a published stream", first).await?;
    Ok(Source { stream, sent: Arc::default(), session, publisher: None })
}

struct Measured {
    seconds: f64,
    sent: u64,
    forwarded: u64,
    tool: Duration,
    server: Option<Duration>,
}

/// The measured part: packet numbers, CPU times and arrivals are all read at its two ends.
async fn measure(shared: &Shared, sent: &Sent, progress: &impl Fn(String)) -> Measured {
    let look = || {
        let server = shared.options.server_pid.and_then(|pid| cpu::time(Some(pid)));
        let arrived = shared.window.arrived.load(Ordering::Relaxed);
        (
            Instant::now(),
            sent.next.load(Ordering::Relaxed),
            arrived,
            cpu::time(None).unwrap_or_default(),
            server,
        )
    };
    let (begin, from, arrived, tool, server) = look();
    shared.window.open(from);
    let mut last = arrived;
    for second in 1..=shared.options.seconds {
        tokio::time::sleep_until((begin + Duration::from_secs(second)).into()).await;
        let now = shared.window.arrived.load(Ordering::Relaxed);
        progress(format!("{second:4} s  {} packets arrived", now - last));
        last = now;
    }
    let (end, to, arrived_end, tool_end, server_end) = look();
    shared.window.close(to);
    Measured {
        seconds: end.duration_since(begin).as_secs_f64(),
        sent: to - from,
        forwarded: arrived_end - arrived,
        tool: tool_end.saturating_sub(tool),
        server: server_end.zip(server).map(|(end, begin)| end.saturating_sub(begin)),
    }
}

impl Shared {
    /// Asks the server's web side where signalling is.
    pub async fn new(options: Options) -> Result<Self, Error> {
        let signal = options.room.signal().await?;
        let server = tokio::net::lookup_host((signal.host.as_str(), signal.port)).await?.next();
        let server = server.ok_or_else(|| Error::Signal(format!("{} has no address", signal.host)))?;
        let identity = identity::certificate()?;
        Ok(Self { options, server, signal, identity, window: Arc::default() })
    }

    /// A QUIC endpoint for signalling with this server.
    pub fn endpoint(&self) -> Result<quinn::Endpoint, Error> {
        signal::endpoint(self.server, self.signal.hashes.clone())
    }

    /// A signalling session of a new guest who entered the room.
    pub async fn enter(&self, endpoint: &quinn::Endpoint, name: &str) -> Result<Session, Error> {
        let token = self.options.room.guest(name).await?;
        let mut session = Session::open(endpoint, self.server, token).await?;
        let pin = Some(Secret(self.options.room.pin.clone()));
        let _: Joined = session.ask("join", &Request::Join { gid: self.gid(), pin }).await?;
        Ok(session)
    }

    /// The group.
    pub fn gid(&self) -> Gid {
        Gid(self.options.room.gid)
    }
}

/// A publisher with its media up, its signalling session, and its counters.
pub async fn publish(
    shared: &Shared,
    plan: &Plan,
) -> Result<(Running<Publisher>, Session, Arc<Sent>), Error> {
    let mut session = shared.enter(&shared.endpoint()?, "Load publisher").await?;
    let now = Instant::now();
    let mut publisher = Publisher::new(now, plan.clone());
    let credentials = random_credentials();
    let fingerprint = identity::fingerprint(&shared.identity);
    let (audio, video) = publisher.offered();
    let offer = sdp::offer(&Ours { ice: &credentials, fingerprint: &fingerprint }, audio, &video);
    let layers = plan.encodings.iter();
    let layers = layers.filter_map(|e| Some(Layer { rid: e.rid.clone()?, width: e.width, height: e.height }));
    let request = Request::Publish(Publish {
        gids: vec![shared.gid()],
        sid: Sid(0),
        source: 1,
        name: None,
        sdp: offer,
        muted: Muted::default(),
        layers: layers.collect(),
    });
    let answer = session.request("publish", &request).await?;
    let answer = answer.get("sdp").and_then(serde_json::Value::as_str).unwrap_or_default();
    let (remote, extensions) = sdp::read_answer(answer)?;
    publisher.negotiated(extensions);
    let sent = publisher.sent();
    let candidate = reachable(&remote.candidates, shared.server);
    let peer = Peer::new(now, &credentials, &shared.identity, &remote)?;
    let mut running = drive::start(drive::socket(candidate).await?, peer, publisher);
    running.connected(PATIENCE).await?;
    Ok((running, session, sent))
}

/// A viewer that watches, and the task that keeps its session.
struct Watching {
    running: Running<Viewer>,
    keeper: tokio::task::JoinHandle<()>,
}

impl Watching {
    async fn stop(self) -> Result<Tally, Error> {
        self.keeper.abort();
        Ok(self.running.stop().await?.tally().clone())
    }
}

async fn join_all(
    shared: &Arc<Shared>,
    stream: StreamId,
    progress: &impl Fn(String),
) -> Result<Vec<Result<Watching, Error>>, Error> {
    let turns = Arc::new(Semaphore::new(shared.options.joins.max(1)));
    let mut tasks = Vec::new();
    let mut endpoint = shared.endpoint()?;
    for n in 0..shared.options.viewers {
        if n % SESSIONS_PER_SOCKET == 0 {
            endpoint = shared.endpoint()?;
        }
        let (shared, endpoint, turns) = (shared.clone(), endpoint.clone(), turns.clone());
        tasks.push(tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            watch(shared, endpoint, n, stream).await
        }));
    }
    let mut viewers = Vec::new();
    for task in tasks {
        viewers.push(task.await.unwrap_or_else(|e| Err(Error::Media(e.to_string()))));
        if viewers.len() % 50 == 0 {
            progress(format!("{} viewers", viewers.len()));
        }
    }
    Ok(viewers)
}

async fn watch(
    shared: Arc<Shared>,
    endpoint: quinn::Endpoint,
    n: usize,
    stream: StreamId,
) -> Result<Watching, Error> {
    let mut session = shared.enter(&endpoint, &format!("Load viewer {n}")).await?;
    let (gid, StreamId { uid, sid }) = (shared.gid(), stream);
    let (width, height) = shared.options.tile;
    let audio = shared.options.plan.as_ref().is_none_or(|plan| plan.audio);
    let watch = Watch { gid, uid, sid, audio, video: true, width, height, visible: true, priority: 1 };
    session.request("watch", &Request::Watch(watch)).await?;
    let (rev, offer) = session
        .wait_for("offer", |notice| match notice {
            Notice::Offer { rev, sdp, .. } => Some((rev, sdp)),
            _ => None,
        })
        .await?;
    let now = Instant::now();
    let credentials = random_credentials();
    let fingerprint = identity::fingerprint(&shared.identity);
    let ours = Ours { ice: &credentials, fingerprint: &fingerprint };
    let sdp = sdp::answer(&ours, &offer)?;
    let offered = sdp::read_offer(&offer)?;
    let candidate = reachable(&offered.remote.candidates, shared.server);
    let peer = Peer::new(now, &credentials, &shared.identity, &offered.remote)?;
    let viewer = Viewer::new(now, offered, shared.window.clone());
    session.request("answer", &Request::Answer { rev, sdp }).await?;
    let mut running = drive::start(drive::socket(candidate).await?, peer, viewer);
    running.connected(PATIENCE).await?;
    let changes = running.changer();
    let keeper = tokio::spawn(async move {
        // More slots: the connection stays, the map of payloads and SSRCs grows.
        while let Some(notice) = session.notice().await {
            let Notice::Offer { rev, sdp: offer, .. } = notice else { continue };
            let ours = Ours { ice: &credentials, fingerprint: &fingerprint };
            let (Ok(sdp), Ok(offered)) = (sdp::answer(&ours, &offer), sdp::read_offer(&offer)) else {
                continue;
            };
            changes(Box::new(move |viewer| viewer.renegotiated(offered)));
            if session.request("answer", &Request::Answer { rev, sdp }).await.is_err() {
                return;
            }
        }
    });
    Ok(Watching { running, keeper })
}

/// The best candidate of the family in which signalling works.
fn reachable(candidates: &[SocketAddr], server: SocketAddr) -> SocketAddr {
    let same = candidates.iter().find(|c| c.is_ipv4() == server.is_ipv4());
    *same.or_else(|| candidates.first()).unwrap_or(&server)
}

/// A plan of one encoding, or of three simulcast layers with `simulcast`, at `kbps` in all.
pub fn plan(kbps: u32, packet: usize, burst: u16, simulcast: bool, audio: bool) -> Plan {
    let packets = f64::from(kbps.max(1)) * 1000.0 / 8.0 / packet.max(1) as f64;
    let burst = burst.max(1);
    let encoding = |rid: &str, width, height, burst: u16| EncodingPlan {
        rid: simulcast.then(|| rid.to_owned()),
        width,
        height,
        burst: burst.max(1),
    };
    let encodings = match simulcast {
        true => vec![
            encoding("q", 320, 180, burst / 8),
            encoding("h", 640, 360, burst / 4),
            encoding("f", 1280, 720, burst.saturating_sub(burst / 8 + burst / 4)),
        ],
        false => vec![encoding("", 1280, 720, burst)],
    };
    let per_frame: u16 = encodings.iter().map(|e| e.burst).sum();
    Plan { frame: Duration::from_secs_f64(f64::from(per_frame) / packets), packet, audio, encodings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_the_rate_that_was_asked_for() {
        let plan = plan(1920, 1200, 8, false, false);
        assert_eq!(plan.frame, Duration::from_millis(40), "200 packets a second in bursts of 8");
        assert_eq!(plan.encodings.iter().map(|e| e.burst).sum::<u16>(), 8);
    }
}
