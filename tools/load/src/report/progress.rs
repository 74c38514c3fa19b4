//! What is told while it runs: on a terminal one line that is written anew, elsewhere a line now and then.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Second;
use crate::measure::Count;

/// Without a terminal, a line every so many seconds.
const CALM: u64 = 5;

/// See the module.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    quiet: bool,
    seconds: AtomicU64,
}

impl Progress {
    /// On standard error; nothing at all if `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { terminal: std::io::stderr().is_terminal(), quiet, seconds: AtomicU64::new(0) }
    }

    /// A second has passed.
    pub(crate) fn second(&self, second: &Second) {
        self.line(&line(second));
    }

    /// The same in words of one's own.
    pub(crate) fn line(&self, line: &str) {
        let n = self.seconds.fetch_add(1, Ordering::Relaxed);
        if self.quiet {
            return;
        }
        if self.terminal {
            eprint!("\r\x1b[2K{line}");
            let _ = std::io::stderr().flush();
        } else if n.is_multiple_of(CALM) {
            eprintln!("{line}");
        }
    }

    /// A line that stays.
    pub(crate) fn keep(&self, line: &str) {
        if !self.quiet {
            eprintln!("{}{line}", if self.terminal { "\r\x1b[2K" } else { "" });
        }
    }

    /// The last line stays, and what follows begins on its own.
    pub(crate) fn done(&self) {
        if self.terminal && !self.quiet {
            eprintln!();
        }
    }
}

fn line(second: &Second) -> String {
    let (mut arrived, mut due) = (0, 0);
    for group in &second.groups {
        arrived += group.arrived;
        due += group.due;
    }
    let counts = second.counts();
    let packets = counts.get(Count::Media) as f64 / second.length;
    let mbps = counts.get(Count::Bytes) as f64 * 8e-6 / second.length;
    let latency = |pick: fn(&super::GroupSecond) -> Option<f64>| {
        let worst = second.groups.iter().filter_map(pick).max_by(f64::total_cmp);
        worst.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))
    };
    let mut line = format!(
        "{:4.0} s {} {arrived}/{due} joined  {:.1} k/s  {mbps:.0} Mbit/s  loss {:.2} %  latency {} / {} ms  tool {:.0} %",
        second.at,
        if second.measured { "measuring" } else { "preparing" },
        packets / 1000.0,
        counts.loss().unwrap_or_default() * 100.0,
        latency(|g| g.latency_p50),
        latency(|g| g.latency_p99),
        second.tool * 100.0,
    );
    if let Some(server) = second.server {
        line.push_str(&format!("  server {:.0} %", server * 100.0));
    }
    if second.drops > 0 {
        line.push_str(&format!("  {} dropped here", second.drops));
    }
    line
}
