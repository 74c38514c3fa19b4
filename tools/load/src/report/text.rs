//! For people.

use std::fmt::{Display, Formatter, Result};

use super::{GroupReport, Report, bytes, kbps, ms};
use crate::measure::{Count, Timed};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let rooms = if self.rooms > 1 { format!(" in {} rooms", self.rooms) } else { String::new() };
        writeln!(f, "{}{rooms}, measured for {:.1} s", self.scenario, self.seconds)?;
        if self.sent.publishers > 0 {
            let sent = &self.sent;
            writeln!(
                f,
                "sent              {} packets by {} publishers; {} keyframes asked for, {} packets repaired",
                sent.packets, sent.publishers, sent.keyframes, sent.repaired
            )?;
        }
        for group in &self.groups {
            group.write(f, self.seconds)?;
        }
        self.costs(f)?;
        let limits = self.limits();
        if !limits.is_empty() {
            writeln!(f, "\nWARNING: the tool or its machine was the limit, not the server alone:")?;
            for limit in limits {
                writeln!(f, "  - {limit}")?;
            }
        }
        Ok(())
    }
}

impl GroupReport {
    fn write(&self, f: &mut Formatter<'_>, seconds: f64) -> Result {
        writeln!(f, "\n{}", self.name)?;
        let due = if self.due < self.wanted { format!(" ({} planned)", self.wanted) } else { String::new() };
        writeln!(f, "  joined          {} of {}{due}", self.arrived, self.due)?;
        for failure in &self.failures {
            writeln!(f, "  failed          {}: {}", failure.count, failure.why)?;
        }
        self.row(f, "join", Timed::Join)?;
        self.row(f, "first frame", Timed::FirstFrame)?;
        self.row(f, "  once asked", Timed::Subscribed)?;
        if !self.watches {
            return self.row(f, "sent late by", Timed::SendLag);
        }
        let get = |what| self.counts.get(what);
        writeln!(
            f,
            "  received        {} packets, {:.0} a second, {:.1} Mbit/s in all, {:.0} kbit/s a viewer",
            get(Count::Media),
            get(Count::Media) as f64 / seconds,
            get(Count::Bytes) as f64 * 8e-6 / seconds,
            kbps(get(Count::Bytes), self.there()),
        )?;
        writeln!(
            f,
            "  loss            {}; {} asked for again, {} repaired, {} lost for good, {} doubled, {} jumps",
            self.counts.loss().map_or_else(|| "unknown".to_owned(), |loss| format!("{:.4} %", loss * 100.0)),
            get(Count::Asked),
            get(Count::Repaired),
            get(Count::Lost),
            get(Count::Doubled),
            get(Count::Jumps),
        )?;
        self.row(f, "latency", Timed::Latency)?;
        self.row(f, "  of sound", Timed::Sound)?;
        self.row(f, "jitter", Timed::Jitter)?;
        writeln!(
            f,
            "  frames          {}; {} freezes, {:.1} s in all; {} keyframes asked for; {} checked, {} of them broken",
            get(Count::Frames),
            get(Count::Freezes),
            get(Count::FrozenMs) as f64 / 1000.0,
            get(Count::Requests),
            get(Count::Checked),
            get(Count::Broken),
        )?;
        if get(Count::Reference) + get(Count::Refused) > 0 {
            writeln!(
                f,
                "  reference       {} packets opened and read by other people's code, {} refused",
                get(Count::Reference),
                get(Count::Refused)
            )?;
        }
        if get(Count::Waits) > 0 {
            writeln!(f, "  told to wait    {} times, by a server with too many joining", get(Count::Waits))?;
        }
        let layers = [Count::Layer0, Count::Layer1, Count::Layer2].map(get);
        let all: u64 = layers.iter().sum();
        if all > layers[0] {
            let [q, h, f_] = layers.map(|n| n as f64 * 100.0 / all as f64);
            writeln!(
                f,
                "  layers          {q:.0} % smallest, {h:.0} % middle, {f_:.0} % largest (of packets)"
            )?;
        }
        Ok(())
    }

    fn row(&self, f: &mut Formatter<'_>, name: &str, what: Timed) -> Result {
        let times = self.times.of(what);
        if times.is_empty() {
            return Ok(());
        }
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|quantile| ms(times, quantile));
        writeln!(f, "  {name:<15} p50 {p50:.2} ms, p95 {p95:.2}, p99 {p99:.2}, max {max:.2}")
    }
}

impl Report {
    fn costs(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f)?;
        if let (Some(server), Some(micros)) = (self.server, self.server_micros()) {
            writeln!(
                f,
                "server            {:.2} s of CPU, {:.0} % of a core, {micros:.2} us per forwarded packet",
                server.cpu.as_secs_f64(),
                server.cpu.as_secs_f64() * 100.0 / self.seconds,
            )?;
            writeln!(
                f,
                "                  {} resident, {} before anybody came: {} a client",
                bytes(server.memory as f64),
                bytes(server.baseline as f64),
                bytes(self.memory_per_client().unwrap_or(0.0)),
            )?;
        }
        let strain = &self.tool.strain;
        writeln!(
            f,
            "this tool         {:.2} s of CPU, {:.0} % of a core, {:.2} us per packet; {} packets dropped at its sockets",
            self.tool.cpu.as_secs_f64(),
            self.tool.cpu.as_secs_f64() * 100.0 / self.seconds,
            self.tool_micros(),
            strain.drops,
        )?;
        let times = self.times();
        writeln!(
            f,
            "                  sent late by p99 {:.2} ms, {} frames left out; read late by p99 {:.2} ms, max {:.2}",
            ms(times.of(Timed::SendLag), 0.99),
            self.sent.skipped,
            ms(&strain.turns, 0.99),
            ms(&strain.turns, 1.0),
        )
    }
}
