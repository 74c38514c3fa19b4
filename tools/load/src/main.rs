//! Puts load on a millrace server, and says what came of it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
    let What::Webinar(arguments) = Arguments::parse().what;
    match run(arguments) {
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
        plan: webinar::plan(bitrate, packet.into(), burst, simulcast, audio),
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
