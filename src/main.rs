//! The millrace server: reads what was asked for, starts it, and waits for a signal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use millrace::admin::{self, AdminError};
use millrace::config::{Config, DEFAULT_DATA, EXIT_CODE, Invocation, Options, Reload};
use millrace::log;
use millrace::net;
use millrace::server::{Server, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Invocation::parse() {
        Invocation::Serve(options) => serve(&in_environment(options), Server::start),
        Invocation::TakeOver(options) => serve(&in_environment(options), Server::take_over),
        Invocation::CheckConfig(options) => check(in_environment(options)),
        Invocation::Ready(data) => admin::ready(&folder(data)).map_err(|e| e.to_string()),
        Invocation::Drain(data, seconds) => drain(&folder(data), seconds),
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

fn in_environment(options: Options) -> Options {
    options.in_environment(|name| std::env::var(name).ok())
}

/// The data folder that is given, else that of the environment, else the usual one.
fn folder(given: Option<PathBuf>) -> PathBuf {
    let set = || std::env::var_os("MILLRACE_DATA").filter(|data| !data.is_empty()).map(PathBuf::from);
    given.or_else(set).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA))
}

fn drain(data: &Path, seconds: u32) -> Result<(), String> {
    let left = admin::drain(data, Duration::from_secs(seconds.into())).map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{left} clients are left").map_err(|e| e.to_string())
}

fn check(options: Options) -> Result<(), String> {
    options.check().map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "nothing is wrong with the settings").map_err(|e| e.to_string())
}

/// How a server is begun.
type Begin = fn(&Config) -> Result<Server, StartError>;

fn serve(options: &Options, begin: Begin) -> Result<(), String> {
    net::small_pages();
    net::all_descriptors();
    let mut config = options.clone().check().map_err(|e| e.to_string())?;
    let set_filter = log::start(&config.log);
    info!(
        "millrace {}, {} on {}, built {}",
        env!("CARGO_PKG_VERSION"),
        count(usize::from(config.shards), "shard"),
        count(std::thread::available_parallelism().map_or(1, usize::from), "core"),
        if cfg!(debug_assertions) { "for debugging: expect it to be slow" } else { "with optimisation" },
    );
    let server = begin(&config).map_err(|e| e.to_string())?;
    if let Some(link) = server.link() {
        // Whoever reads our output may have gone; the server stays.
        let _ = writeln!(std::io::stdout(), "{link}");
    }
    let stopped = server.block_on(async {
        // Then a file that may not grow is an error of the write that meets it, and not the end of us.
        let _ = signal(SignalKind::from_raw(libc::SIGXFSZ))?;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut again = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                successor = server.successor() => return Ok(Some(successor)),
                _ = again.recv() => {}
            }
            server.refresh_certificate();
            match options.check_again(&config) {
                Ok(Reload { now, acting, waiting }) => {
                    let begins = now.demo && !config.demo;
                    config = config.with_acting(&now);
                    set_filter(&config.log.filter);
                    let Ok(link) = server.apply(&config).await else { break };
                    if let Some(link) = link.filter(|_| begins) {
                        let _ = writeln!(std::io::stdout(), "{link}");
                    }
                    let or_none = |keys: Vec<&str>| {
                        if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
                    };
                    info!("the settings were read again; changed: {}", or_none(acting));
                    if !waiting.is_empty() {
                        warn!("changed, but these need a restart: {}", waiting.join(", "));
                    }
                }
                Err(problems) => error!("the settings stay as they were: {problems}"),
            }
        }
        Ok::<_, std::io::Error>(None)
    });
    match stopped.transpose().map_err(|e| format!("signals cannot be awaited: {e}"))?.flatten() {
        Some(successor) => {
            info!("gives way to a successor");
            server.give_way(successor).map_err(|e| e.to_string())
        }
        None => {
            info!("stopping");
            server.stop();
            Ok(())
        }
    }
}

fn print(what: &str, found: Result<String, AdminError>) -> Result<(), String> {
    let found = found.map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{found}").map_err(|e| format!("the {what} could not be printed: {e}"))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
