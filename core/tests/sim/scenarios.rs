//! Plays the scenarios in simulated time, prints a table, and as its last line JSON. Called by `tools/scenarios`.

use std::process::ExitCode;

use millrace_sim::scenario::figures::{self, kbps};
use millrace_sim::scenario::{Outcome, Scenario, Verdict, list};

const HELP: &str = "\
Plays network scenarios with the real router in simulated time and prints what became of them.

Usage: tools/scenarios [OPTIONS]

  --only NAME     this one alone; may be given several times
  --trace NAME    every 100 ms of this one: link, estimate, sent, longest queueing, packets dropped, layers
  --seed N        other losses, other frame sizes [default: 1]
  --list          names and stories
  --browser       the first four with real Chromium behind a real relay: see --browser --help

The last line is JSON: an array of objects with `name`, the figures, the bounds, and `holds`.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut only, mut trace, mut seed) = (Vec::new(), None, 1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => only.extend(arguments.next()),
            "--trace" => trace = arguments.next(),
            "--seed" => match arguments.next().and_then(|n| n.parse().ok()) {
                Some(number) => seed = number,
                None => return fail("--seed wants a number"),
            },
            "--list" => {
                list::all().iter().for_each(|s| println!("{:<12} {}", s.name, s.story));
                return ExitCode::SUCCESS;
            }
            "--help" | "-h" => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            other => return fail(&format!("what is {other}? See --help.")),
        }
    }
    only.extend(trace.clone());
    let all = list::all();
    if let Some(unknown) = only.iter().find(|name| all.iter().all(|s| s.name != **name)) {
        return fail(&format!("no scenario is called {unknown}: see --list"));
    }
    let chosen = all.into_iter().filter(|s| only.is_empty() || only.iter().any(|name| name == s.name));
    let mut verdicts = Vec::new();
    for scenario in chosen {
        let (outcome, verdict) = scenario.judge(seed);
        if trace.as_deref() == Some(scenario.name) {
            print_trace(&outcome);
        }
        if verdicts.is_empty() {
            println!(
                "{:<12} {:>5} {:>8} {:>9} {:>6} {:>7} {:>8}  bounds",
                "scenario", "use", "estimate", "queue p95", "lost", "freezes", "switches"
            );
        }
        print_row(&scenario, &verdict);
        verdicts.push(verdict);
    }
    let objects: Vec<_> = verdicts.iter().map(json).collect();
    println!("[{}]", objects.join(","));
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    eprintln!("scenarios: {why}");
    ExitCode::from(2)
}

fn print_row(scenario: &Scenario, verdict: &Verdict) {
    let f = &verdict.figures;
    println!(
        "{:<12} {:>4.0}% {:>7.0}% {:>6} ms {:>6} {:>7} {:>4.1}/min  {}",
        verdict.name,
        f.utilisation * 100.0,
        f.estimate * 100.0,
        f.queue_p95.as_millis(),
        f.frames_lost,
        f.freezes,
        f.switches_per_minute,
        scenario.story,
    );
    for bound in &verdict.bounds {
        let mark = if bound.holds { "holds" } else { "FAILS" };
        println!("{:>62}  {mark}: {}: {:.2}", "", bound.what, bound.value);
    }
}

fn print_trace(outcome: &Outcome) {
    println!("viewer   time      link  estimate      sent     queue  drop  layers");
    for (n, viewer) in outcome.viewers.iter().enumerate() {
        for s in &viewer.samples {
            let layers: Vec<_> =
                s.layers.iter().map(|l| l.map_or("-".to_owned(), |l| l.0.to_string())).collect();
            println!(
                "{n:>6} {:>6.1} {:>9.0} {:>9.0} {:>9.0} {:>6} ms {:>5}  {}",
                s.at.as_secs_f64(),
                kbps(Some(s.link)),
                kbps(s.estimate),
                kbps(Some(s.sent)),
                s.queue.as_millis(),
                s.dropped,
                layers.join(" "),
            );
        }
        for (slot, shown) in (1..).zip(&viewer.shown) {
            for (at, long) in figures::freezes(shown, outcome.zero) {
                let (at, long) = (at.since(outcome.zero).as_secs_f64(), long.as_millis());
                println!("viewer {n}: slot {slot} froze at {at:.2} for {long} ms");
            }
        }
        println!(
            "viewer {n}: {} asked for again, {} keyframes asked for, {} bytes of padding",
            viewer.nacked, viewer.keyframes_asked, viewer.padding
        );
    }
}

fn json(verdict: &Verdict) -> String {
    let f = &verdict.figures;
    let bounds = verdict.bounds.iter().map(|b| {
        let value = if b.value.is_finite() { format!("{:.3}", b.value) } else { "null".to_owned() };
        format!(r#"{{"bound":"{}","value":{value},"holds":{}}}"#, b.what, b.holds)
    });
    let bounds: Vec<_> = bounds.collect();
    format!(
        concat!(
            r#"{{"name":"{}","utilisation":{:.3},"estimate_share":{:.3},"queue_p95_ms":{},"frames_lost":{},"#,
            r#""freezes":{},"switches_per_minute":{:.2},"bounds":[{}],"holds":{}}}"#
        ),
        verdict.name,
        f.utilisation,
        f.estimate,
        f.queue_p95.as_millis(),
        f.frames_lost,
        f.freezes,
        f.switches_per_minute,
        bounds.join(","),
        verdict.holds(),
    )
}
