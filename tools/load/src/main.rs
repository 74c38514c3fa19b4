//! Puts load on a millrace server, and says what came of it.

mod arguments;

use std::process::ExitCode;

use arguments::{Arguments, Run, Soak, What};
use clap::Parser;
use millrace_load::report::Report;
use millrace_load::report::progress::Progress;
use millrace_load::scenario::elsewhere::Server;
use millrace_load::scenario::run::Options;
use millrace_load::scenario::{Cohort, Scenario, run};
use millrace_load::web::{Owner, Room};
use millrace_load::{Error, relay, soak};

/// As in the server: thousands of sessions allocate little things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Relay(arguments) => run_relay(arguments),
        What::Webinar(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
        What::Conference(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
        What::Audio(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
        What::Rooms(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
        What::JoinWave(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
        What::Churn(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
        What::Soak(arguments) => soak(&arguments),
        What::File(arguments) => arguments.scenario().and_then(|s| load(s, &arguments.run)),
    };
    match done {
        Ok(fine) => ExitCode::from(u8::from(!fine)),
        Err(error) => {
            eprintln!("millrace-load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs and reports; whether everyone came and no threshold was broken.
fn load(mut scenario: Scenario, how: &Run) -> Result<bool, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let report = runtime.block_on(async {
        let owner = how.owner();
        let elsewhere = how.elsewhere.server();
        let rooms = match &elsewhere {
            Some(server) => visit(&mut scenario, server).map(|()| Vec::new())?,
            None => rooms(&scenario, how, owner.as_ref()).await?,
        };
        let (threads, server_pid) = (how.threads, how.server_pid);
        let options = Options { rooms: rooms.clone(), elsewhere, threads, server_pid };
        let report = run::run(scenario, options, &Progress::new(how.quiet)).await;
        if let Some(owner) = owner {
            for room in rooms {
                // What cannot be deleted is left: the report matters more.
                let _ = owner.delete(&room).await;
            }
        }
        report
    })?;
    write(&report, how)?;
    println!("{report}");
    let broken: Vec<_> = how.fail_if.iter().filter_map(|threshold| threshold.broken_by(&report)).collect();
    for threshold in &broken {
        println!("FAILED {threshold}");
    }
    println!("{}", report.json());
    Ok(report.complete() && broken.is_empty())
}

/// Leaves of a scenario what can be done at a server that is not ours.
fn visit(scenario: &mut Scenario, server: &Server) -> Result<(), Error> {
    let both = |cohort: &Cohort| cohort.publish.is_some() && cohort.watch.is_some();
    if scenario.rooms > 1 || scenario.cohorts.iter().any(both) {
        return Err(Error::Usage(
            "elsewhere clients publish or watch, not both, and there are no rooms".into(),
        ));
    }
    // Without a place to publish at, somebody else does.
    scenario.cohorts.retain(|cohort| server.takes(cohort));
    match scenario.cohorts.is_empty() {
        true => Err(Error::Usage("there must be somebody to watch or publish".into())),
        false => Ok(()),
    }
}

/// The rooms that were named, or new ones for as long as it lasts.
async fn rooms(scenario: &Scenario, how: &Run, owner: Option<&Owner>) -> Result<Vec<Room>, Error> {
    let named = how.rooms()?;
    if named.len() == scenario.rooms {
        return Ok(named);
    }
    let Some(owner) = owner else {
        return Err(Error::Usage(match named.len() {
            0 => "say which room: --link with what the server printed, or --gid and --pin".to_owned(),
            n => format!(
                "{n} rooms were named, and {} are wanted: give a --link for each, or a --token to make them with",
                scenario.rooms
            ),
        }));
    };
    let mut rooms = Vec::new();
    for n in 0..scenario.rooms {
        rooms.push(owner.create(&format!("Load {n}")).await?);
    }
    Ok(rooms)
}

fn write(report: &Report, how: &Run) -> Result<(), Error> {
    let written = [
        (&how.json, report.json().to_string() + "\n"),
        (&how.csv, report.seconds_csv()),
        (&how.viewers_csv, report.viewers_csv()),
        (&how.html, report.html()),
    ];
    for (path, text) in written {
        if let Some(path) = path {
            std::fs::write(path, text)
                .map_err(|e| Error::Usage(format!("{} cannot be written: {e}", path.display())))?;
        }
    }
    Ok(())
}

/// Runs and reports; whether nothing was missed, stuck, left or growing.
fn soak(how: &Soak) -> Result<bool, Error> {
    let plan = how.plan()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let report = runtime.block_on(soak::run(plan, how.threads, &Progress::new(how.quiet)))?;
    println!("{report}");
    println!("{}", report.json());
    Ok(report.fine())
}

fn run_relay(arguments: arguments::Relay) -> Result<bool, Error> {
    let options = arguments.options();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let to = options.to;
        let relay = relay::Relay::bind(options).await?;
        println!("relaying {} to {to}", relay.address()?);
        relay.run(relay::commands()).await;
        Ok(true)
    })
}
