//! The millrace server: reads what was asked for, starts it, and waits for a signal.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use millrace::admin::{self, AdminError};
use millrace::config::{EXIT_CODE, Invocation, Options};
use millrace::net;
use millrace::server::Server;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Invocation::parse() {
        Invocation::Serve(options) => serve(options),
        Invocation::Token(options) => print("token", admin::token(&options)),
        Invocation::App(options) => print("secret", admin::app(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("millrace: {sentence}");
            ExitCode::from(EXIT_CODE)
        }
    }
}

fn serve(options: Options) -> Result<(), String> {
    net::small_pages();
    log();
    let config = options.check().map_err(|e| e.to_string())?;
    info!(
        "millrace {}, {} on {}, built {}",
        env!("CARGO_PKG_VERSION"),
        count(usize::from(config.shards), "shard"),
        count(std::thread::available_parallelism().map_or(1, usize::from), "core"),
        if cfg!(debug_assertions) { "for debugging: expect it to be slow" } else { "with optimisation" },
    );
    let server = Server::start(&config).map_err(|e| e.to_string())?;
    if let Some(link) = server.link() {
        // Whoever reads our output may have gone; the server stays.
        let _ = writeln!(std::io::stdout(), "{link}");
    }
    let stopped = server.block_on(async {
        // Then a file that may not grow is an error of the write that meets it, and not the end of us.
        let _ = signal(SignalKind::from_raw(libc::SIGXFSZ))?;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok::<(), std::io::Error>(())
    });
    if let Some(Err(e)) = stopped {
        return Err(format!("signals cannot be awaited: {e}"));
    }
    info!("stopping");
    server.stop();
    Ok(())
}

fn print(what: &str, found: Result<String, AdminError>) -> Result<(), String> {
    let found = found.map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{found}").map_err(|e| format!("the {what} could not be printed: {e}"))
}

/// What is logged unless `MILLRACE_LOG` says otherwise.
const LOG: &str = "info";

fn log() {
    let wanted = std::env::var("MILLRACE_LOG").ok();
    let wrong = wanted.as_deref().and_then(|wanted| wanted.parse::<Targets>().err());
    let filter: Option<Targets> = wanted.and_then(|wanted| wanted.parse().ok()).or_else(|| LOG.parse().ok());
    let (writer, ansi) = (std::io::stderr, std::io::stderr().is_terminal());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi).with_target(false);
    tracing_subscriber::registry().with(filter.unwrap_or_default()).with(lines).init();
    if let Some(why) = wrong {
        warn!("MILLRACE_LOG is not understood ({why}): it wants `info` or `info,millrace::signal=debug`");
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
