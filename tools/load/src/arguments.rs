//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use millrace_load::Error;
use millrace_load::publisher::Video;
use millrace_load::relay::{self, Impairment};
use millrace_load::report::fail::Threshold;
use millrace_load::scenario::elsewhere::Server;
use millrace_load::scenario::janus::Janus;
use millrace_load::scenario::whip::Whip;
use millrace_load::scenario::{Cohort, Layout, Publishing, Scenario, Watching, known};
use millrace_load::soak;
use millrace_load::web::{Owner, Room};
use url::Url;

/// Native publishers and viewers for a millrace server.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Subcommand)]
pub(crate) enum What {
    /// Few publishers and many viewers of them.
    Webinar(Webinar),
    /// Everyone publishes, hears all the others and sees as many as the layout has tiles: those who talked last.
    Conference(Conference),
    /// Everyone talks, in turns; nobody shows a picture.
    Audio(Audio),
    /// Many conferences at once.
    Rooms(Rooms),
    /// Viewers come at a rate, get their first frame and leave, with media flowing to others.
    JoinWave(JoinWave),
    /// Viewers come at a rate and leave after a while, with media flowing to others.
    Churn(Churn),
    /// For a long time people come and go, mute, resize, move, restart ICE and are gone without a word: nothing may be missed, stuck,
    /// left over or growing.
    Soak(Soak),
    /// A scenario from a TOML file.
    File(File),
    /// A relay between clients and the server that impairs what passes, reproducibly: all clients share one link in each
    /// direction. Lines on standard input steer it: `start` begins the schedule and the tally anew, `settled` that
    /// of waiting alone, `report` prints the tally of the way down as JSON.
    Relay(Relay),
}

/// Where to run, how long, and what to make of it.
#[derive(clap::Args)]
pub(crate) struct Run {
    /// The link that the server printed: http://HOST:PORT/...gid=...&pin=...; several for several rooms.
    #[arg(long)]
    link: Vec<String>,
    /// Instead of a link: where the server's page is.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Instead of a link: the group.
    #[arg(long, requires = "pin")]
    gid: Option<u32>,
    /// Instead of a link: a pin of the group.
    #[arg(long, requires = "gid")]
    pin: Option<String>,
    /// Instead of either: a user's token, to make the rooms with, for as long as it lasts.
    #[arg(long)]
    token: Option<String>,
    /// How long to measure, in seconds: 20, or what a file says.
    #[arg(long)]
    seconds: Option<u64>,
    /// Threads for clients' media.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// The server's process, to tell its CPU time for each packet and its memory for each client.
    #[arg(long)]
    pub(crate) server_pid: Option<u32>,
    /// The same seed, the same losses: 0, or what a file says.
    #[arg(long)]
    seed: Option<u64>,
    /// Exit with 1 if this is so, as in loss>0.5% or wave.first-frame-p95>400ms; several times for several.
    #[arg(long)]
    pub(crate) fail_if: Vec<Threshold>,
    /// Write the report there as JSON; it is the last line of standard output anyway.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Write the seconds there, a line for each and cohort.
    #[arg(long)]
    pub(crate) csv: Option<PathBuf>,
    /// Write the viewers there, a line for each.
    #[arg(long)]
    pub(crate) viewers_csv: Option<PathBuf>,
    /// Write a page with plots there.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Tell nothing while it runs.
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) elsewhere: Elsewhere,
}

/// Instead of a millrace server, another: then clients publish or watch, one stream each, and there are no rooms.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Other servers")]
pub(crate) struct Elsewhere {
    /// Where to publish by WHIP (RFC 9725); several for several publishers, in turn.
    #[arg(long)]
    whip: Vec<Url>,
    /// Where to watch by WHEP; several in turn. Without --whip somebody else publishes.
    #[arg(long)]
    whep: Vec<Url>,
    /// The bearer token for WHIP and WHEP.
    #[arg(long)]
    bearer: Option<String>,
    /// The HTTP API of Janus, whose streaming plugin is watched: http://HOST:8088/janus. It has to run with ice_lite = true.
    #[arg(long, requires = "rtp", conflicts_with_all = ["whip", "whep"])]
    janus: Option<Url>,
    /// Where the mountpoint of Janus takes RTP.
    #[arg(long, requires = "janus")]
    rtp: Option<SocketAddr>,
    /// The mountpoint.
    #[arg(long, default_value_t = 1)]
    mountpoint: u64,
}

impl Elsewhere {
    /// The server that was named, if one was.
    pub(crate) fn server(&self) -> Option<Server> {
        let Self { whip, whep, bearer, janus, rtp, mountpoint } = self.clone();
        if let (Some(api), Some(rtp)) = (janus, rtp) {
            return Some(Server::Janus(Janus { api, mountpoint, rtp }));
        }
        (!whip.is_empty() || !whep.is_empty()).then_some(Server::Whip(Whip { whip, whep, bearer }))
    }
}

/// How clients come, and what their links are like.
#[derive(clap::Args)]
struct Clients {
    /// Clients that join at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    joins: u16,
    /// Share of the viewers that open every packet, put frames together and check them, 0 to 1. Others open what they need
    /// for their statistics.
    #[arg(long, default_value_t = 0.02)]
    check_share: f64,
    /// Share of the viewers that are made of other people's code (the webrtc-rs crates), 0 to 1. They have no link of their
    /// own.
    #[arg(long, default_value_t = 0.01)]
    reference_share: f64,
    /// What each client's link does to what the server sends: rate=KBPS,delay=MS,jitter=MS,loss=PERCENT,queue=MS.
    #[arg(long, default_value = "")]
    down: Impairment,
    /// What it does to what the client sends.
    #[arg(long, default_value = "")]
    up: Impairment,
}

impl Clients {
    fn cohort(&self, name: &str, count: usize) -> Cohort {
        Cohort {
            joins: self.joins.into(),
            check_share: self.check_share,
            reference_share: self.reference_share,
            down: self.down.clone(),
            up: self.up.clone(),
            ..Cohort::new(name, count.max(1))
        }
    }
}

/// What publishers send.
#[derive(clap::Args)]
struct Media {
    /// What pictures are made of: `packets`, synthetic, at the rate and in the bursts that are asked for; or frames that are
    /// encoded in `vp8` or `h264`, at the rate that they have. Without it: `vp8` where everyone publishes, else `packets`.
    #[arg(long)]
    media: Option<Video>,
    /// What a publisher of synthetic packets sends, in kbit/s.
    #[arg(long, default_value_t = 1920)]
    bitrate: u32,
    /// Bytes of an RTP packet.
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u16).range(100..=1250))]
    packet: u16,
    /// Synthetic packets that leave at once: a frame.
    #[arg(long, default_value_t = 8)]
    burst: u16,
}

impl Media {
    fn publishing(&self, simulcast: bool, audio: bool, usual: Video) -> Publishing {
        let Self { bitrate, packet, burst, media } = *self;
        let media = media.unwrap_or(usual);
        Publishing { media, simulcast, audio, bitrate, packet, burst, ..Publishing::default() }
    }
}

#[derive(clap::Args)]
pub(crate) struct Webinar {
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    clients: Clients,
    #[command(flatten)]
    media: Media,
    /// How many watch.
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// How many publish.
    #[arg(long, default_value_t = 1)]
    publishers: usize,
    /// Publish nothing: watch what somebody else publishes in the room already.
    #[arg(long)]
    watch_only: bool,
    /// Publish three simulcast layers.
    #[arg(long)]
    simulcast: bool,
    /// Publish sound too.
    #[arg(long)]
    audio: bool,
    /// Every viewer's tile in device pixels.
    #[arg(long, default_value = "1280x720", value_parser = tile)]
    tile: (u16, u16),
}

impl Webinar {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let publishing = self.media.publishing(self.simulcast, self.audio, Video::Packets);
        let publish = (!self.watch_only).then_some((self.publishers.max(1), publishing));
        let watch = Watching { tile: self.tile, audio: self.audio || self.watch_only, ..Watching::default() };
        let viewers = self.clients.cohort("viewers", self.viewers);
        Ok(self.run.seeded(known::webinar(self.run.seconds(), publish, viewers, watch)))
    }
}

#[derive(clap::Args)]
pub(crate) struct Conference {
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    clients: Clients,
    #[command(flatten)]
    media: Media,
    /// How many take part.
    #[arg(long, default_value_t = 10)]
    people: usize,
    /// What everyone's screen shows: 1, 3x3, 4x4 or 5x5.
    #[arg(long, default_value = "3x3")]
    layout: Layout,
}

impl Conference {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let people = self.clients.cohort("people", self.people);
        let publishing = self.media.publishing(true, true, Video::Vp8);
        Ok(self.run.seeded(known::conference(self.run.seconds(), 1, people, self.layout, publishing)))
    }
}

#[derive(clap::Args)]
pub(crate) struct Audio {
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    clients: Clients,
    /// How many take part.
    #[arg(long, default_value_t = 30)]
    people: usize,
}

impl Audio {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let people = self.clients.cohort("people", self.people);
        Ok(self.run.seeded(known::audio(self.run.seconds(), people)))
    }
}

#[derive(clap::Args)]
pub(crate) struct Rooms {
    #[command(flatten)]
    conference: ConferenceIn,
    /// How many rooms. They are made with --token, or named by as many --link.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(clap::Args)]
struct ConferenceIn {
    #[command(flatten)]
    clients: Clients,
    #[command(flatten)]
    media: Media,
    /// How many take part in each.
    #[arg(long, default_value_t = 4)]
    people: usize,
    /// What everyone's screen shows: 1, 3x3, 4x4 or 5x5.
    #[arg(long, default_value = "3x3")]
    layout: Layout,
}

impl Rooms {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let ConferenceIn { clients, media, people, layout } = &self.conference;
        let people = clients.cohort("people", *people);
        let publishing = media.publishing(true, true, Video::Vp8);
        let rooms = self.rooms.max(1);
        Ok(self.run.seeded(known::conference(self.run.seconds(), rooms, people, *layout, publishing)))
    }
}

#[derive(clap::Args)]
pub(crate) struct JoinWave {
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    clients: Clients,
    #[command(flatten)]
    media: Media,
    /// How many watch all the time.
    #[arg(long, default_value_t = 300)]
    viewers: usize,
    /// How many come in a second.
    #[arg(long, default_value_t = 150.0, value_parser = positive)]
    rate: f64,
}

impl JoinWave {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let watching = self.clients.cohort("watching", self.viewers);
        let publishing = self.media.publishing(false, false, Video::Packets);
        Ok(self.run.seeded(known::join_wave(self.run.seconds(), publishing, watching, self.rate)))
    }
}

#[derive(clap::Args)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    clients: Clients,
    #[command(flatten)]
    media: Media,
    /// How many watch all the time.
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// How many come in a second.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    rate: f64,
    /// How long each of them stays, in seconds.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    stay: f64,
}

impl Churn {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let watching = self.clients.cohort("watching", self.viewers);
        let publishing = self.media.publishing(false, false, Video::Packets);
        let churn = known::churn(self.run.seconds(), publishing, watching, self.rate, self.stay);
        Ok(self.run.seeded(churn))
    }
}

#[derive(clap::Args)]
pub(crate) struct Soak {
    /// The link that the server printed: http://HOST:PORT/...gid=...&pin=...
    #[arg(long)]
    link: String,
    /// How long.
    #[arg(long, default_value_t = 30.0, value_parser = positive)]
    minutes: f64,
    /// How many come in a second, and as many leave.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    rate: f64,
    /// How long each of them stays on average, in seconds.
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    stay: f64,
    /// How many publish.
    #[arg(long, default_value_t = 4)]
    publishers: usize,
    /// Which share is gone without a word instead of leaving, 0 to 1.
    #[arg(long, default_value_t = 0.1)]
    crashes: f64,
    /// Threads for clients' media.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// The same seed, the same deeds.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's process, to watch its memory and its open files.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Its metrics, to see whether anything is left at the end: http://HOST:PORT/metrics, as the server's `--metrics` says.
    #[arg(long)]
    metrics: Option<Url>,
    /// Tell nothing while it runs.
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl Soak {
    pub(crate) fn plan(&self) -> Result<soak::Plan, Error> {
        Ok(soak::Plan {
            room: Room::from_link(&self.link)?,
            length: Duration::from_secs_f64(self.minutes * 60.0),
            joins: self.rate,
            stay: Duration::from_secs_f64(self.stay),
            publishers: self.publishers,
            crashes: self.crashes,
            seed: self.seed,
            server_pid: self.server_pid,
            metrics: self.metrics.clone(),
        })
    }
}

#[derive(clap::Args)]
pub(crate) struct File {
    /// The file; README.md beside this tool's source says what it may contain.
    path: PathBuf,
    #[command(flatten)]
    pub(crate) run: Run,
}

impl File {
    pub(crate) fn scenario(&self) -> Result<Scenario, Error> {
        let path = self.path.display();
        let text = std::fs::read_to_string(&self.path)
            .map_err(|e| Error::Usage(format!("{path} cannot be read: {e}")))?;
        let scenario = Scenario::parse(&text).map_err(|e| Error::Usage(format!("{path}: {e}")))?;
        let seconds = self.run.seconds.unwrap_or(scenario.seconds);
        Ok(self.run.seeded(Scenario { seconds, ..scenario }))
    }
}

impl Run {
    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(20)
    }

    fn seeded(&self, scenario: Scenario) -> Scenario {
        Scenario { seed: self.seed.unwrap_or(scenario.seed), ..scenario }
    }

    /// The rooms that were named.
    pub(crate) fn rooms(&self) -> Result<Vec<Room>, Error> {
        let named = self.gid.zip(self.pin.as_ref());
        let named =
            named.map(|(gid, pin)| format!("{}/?gid={gid}&pin={pin}", self.server.trim_end_matches('/')));
        self.link.iter().chain(&named).map(|link| Room::from_link(link)).collect()
    }

    /// Who makes rooms.
    pub(crate) fn owner(&self) -> Option<Owner> {
        let token = self.token.clone()?;
        Some(Owner { server: self.server.clone(), token })
    }
}

#[derive(clap::Args)]
pub(crate) struct Relay {
    /// Where clients send to, as in 127.0.0.1:5004.
    #[arg(long)]
    listen: SocketAddr,
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// The same seed, the same losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// From the server to clients: rate=KBPS,delay=MS,jitter=MS,loss=PERCENT,queue=MS; what is left out does not impair,
    /// but for the queue of 300 ms. loss=bursts loses 5 % in bursts.
    #[arg(long, default_value = "")]
    down: Impairment,
    /// From clients to the server.
    #[arg(long, default_value = "")]
    up: Impairment,
    /// Rates of the way down by time: SECOND:KBPS,SECOND:KBPS,.. since the start.
    #[arg(long, value_parser = schedule)]
    schedule: Option<Schedule>,
}

impl Relay {
    pub(crate) fn options(self) -> relay::Options {
        let Self { listen, to, seed, down, up, schedule } = self;
        relay::Options { listen, to, seed, down, up, schedule: schedule.map_or_else(Vec::new, |s| s.0) }
    }
}

#[derive(Clone)]
struct Schedule(Vec<(u64, u64)>);

fn schedule(text: &str) -> Result<Schedule, String> {
    relay::schedule(text).map(Schedule)
}

fn tile(text: &str) -> Result<(u16, u16), String> {
    let pair = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    pair.ok_or_else(|| "a tile is WIDTHxHEIGHT".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "a number above 0".to_owned())
}
