//! Puts load on a millrace server, and says what came of it.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use millrace_load::relay::{self, Impairment};
use millrace_load::web::Room;
use millrace_load::webinar::{self, Options};

/// Native publishers and viewers for a millrace server.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One publisher and many viewers of it, in the room behind a link.
    Webinar(Webinar),
    /// A relay between clients and the server that impairs what passes, reproducibly: all clients share one link in each
    /// direction. Lines on standard input steer it: `start` begins the schedule and the tally anew, `settled` that
    /// of waiting alone, `report` prints the tally of the way down as JSON.
    Relay(Relay),
}

#[derive(clap::Args)]
struct Relay {
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

#[derive(Clone)]
struct Schedule(Vec<(u64, u64)>);

fn schedule(text: &str) -> Result<Schedule, String> {
    relay::schedule(text).map(Schedule)
}

#[derive(clap::Args)]
struct Webinar {
    /// The link that the server printed: http://HOST:PORT/...gid=...&pin=...
    #[arg(long)]
    link: Option<String>,
    /// Instead of a link: where the server's page is.
    #[arg(long, default_value = "http://127.0.0.1:8080", requires_all = ["gid", "pin"])]
    server: String,
    /// Instead of a link: the group.
    #[arg(long)]
    gid: Option<u32>,
    /// Instead of a link: a pin of the group.
    #[arg(long)]
    pin: Option<String>,
    /// How many watch.
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Publish nothing: watch what somebody else publishes in the room already.
    #[arg(long)]
    watch_only: bool,
    /// What the publisher sends, in kbit/s of RTP packets.
    #[arg(long, default_value_t = 1920)]
    bitrate: u32,
    /// Bytes of an RTP packet.
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u16).range(100..=1250))]
    packet: u16,
    /// Packets that leave at once: a frame.
    #[arg(long, default_value_t = 8)]
    burst: u16,
    /// Publish three simulcast layers.
    #[arg(long)]
    simulcast: bool,
    /// Publish sound too.
    #[arg(long)]
    audio: bool,
    /// Every viewer's tile in device pixels.
    #[arg(long, default_value = "1280x720", value_parser = tile)]
    tile: (u16, u16),
    /// Viewers that join at the same time.
    #[arg(long, default_value_t = 8)]
    joins: usize,
    /// Threads of this tool.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The server's process, to tell its CPU time for each packet.
    #[arg(long)]
    server_pid: Option<u32>,
}

fn tile(text: &str) -> Result<(u16, u16), String> {
    let pair = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    pair.ok_or_else(|| "a tile is WIDTHxHEIGHT".to_owned())
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Webinar(arguments) => run(arguments),
        What::Relay(arguments) => run_relay(arguments),
    };
    match done {
        Ok(complete) => ExitCode::from(u8::from(!complete)),
        Err(error) => {
            eprintln!("millrace-load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs and reports; whether all viewers that were wanted watched.
fn run(arguments: Webinar) -> Result<bool, millrace_load::Error> {
    let link = match (&arguments.link, arguments.gid, &arguments.pin) {
        (Some(link), ..) => link.clone(),
        (None, Some(gid), Some(pin)) => {
            format!("{}/?gid={gid}&pin={pin}", arguments.server.trim_end_matches('/'))
        }
        _ => {
            let missing = "say which room: --link with what the server printed, or --gid and --pin";
            return Err(millrace_load::Error::Usage(missing.into()));
        }
    };
    let Webinar { bitrate, packet, burst, simulcast, audio, .. } = arguments;
    let options = Options {
        room: Room::from_link(&link)?,
        viewers: arguments.viewers,
        seconds: arguments.seconds,
        plan: (!arguments.watch_only).then(|| webinar::plan(bitrate, packet.into(), burst, simulcast, audio)),
        tile: arguments.tile,
        joins: arguments.joins,
        server_pid: arguments.server_pid,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads.max(1))
        .enable_all()
        .build()?;
    let report = runtime.block_on(webinar::run(options, |line| eprintln!("{line}")))?;
    println!("{report}");
    println!("{}", report.json());
    Ok(report.viewers.0 == report.viewers.1)
}

fn run_relay(arguments: Relay) -> Result<bool, millrace_load::Error> {
    let Relay { listen, to, seed, down, up, schedule } = arguments;
    let schedule = schedule.map_or_else(Vec::new, |s| s.0);
    let options = relay::Options { listen, to, seed, down, up, schedule };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let relay = relay::Relay::bind(options).await?;
        println!("relaying {} to {to}", relay.address()?);
        relay.run(relay::commands()).await;
        Ok(true)
    })
}
