//! What came of it, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::Left;
use super::memory::Growth;
use super::stage::{Deed, Stage};

/// Memory that rises by a larger share of its mean is not flat.
const FLAT: f64 = 0.01;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    length: Duration,
    deeds: Vec<(&'static str, u64)>,
    told: u64,
    faults: BTreeMap<&'static str, (usize, Vec<String>)>,
    before: Left,
    after: Left,
    memory: Growth,
}

/// What is told while it runs.
pub(super) fn line(stage: &Stage, at: Duration, present: usize) -> String {
    let faults: usize = stage.faults().values().map(|(count, _)| count).sum();
    format!(
        "{:4.0} s  {present} here  {} joined  {} frames  {} restarts  {} moves  {faults} faults",
        at.as_secs_f64(),
        stage.count(Deed::Join),
        stage.count(Deed::Frame),
        stage.count(Deed::Restart),
        stage.count(Deed::Move),
    )
}

impl Report {
    pub(super) fn new(stage: &Stage, before: Left, after: Left, memory: Growth) -> Self {
        Self {
            length: stage.plan.length,
            deeds: Deed::ALL.map(|(deed, name)| (name, stage.count(deed))).to_vec(),
            told: stage.told(),
            faults: stage.faults(),
            before,
            after,
            memory,
        }
    }

    /// How much memory rose, as a share of its mean.
    fn slope(&self) -> Option<f64> {
        self.memory.slope()
    }

    /// Whether nothing was missed, stuck or left, and memory is flat.
    pub fn fine(&self) -> bool {
        self.faults.is_empty() && self.before == self.after && self.slope().is_none_or(|slope| slope < FLAT)
    }

    /// How often something was done.
    pub fn count(&self, deed: Deed) -> u64 {
        self.deeds.get(deed as usize).map_or(0, |(_, count)| *count)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let faults = self.faults.iter().map(|(kind, (count, _))| ((*kind).to_owned(), json!(count)));
        json!({
            "seconds": self.length.as_secs_f64(),
            "deeds": self.deeds.iter().copied().collect::<BTreeMap<_, _>>(),
            "roster_news": self.told,
            "faults": faults.collect::<serde_json::Map<_, _>>(),
            "memory_mean": self.memory.mean(),
            "memory_slope": self.slope(),
            "left_before": self.before.gauges,
            "left_after": self.after.gauges,
            "files_before": self.before.files,
            "files_after": self.after.files,
            "fine": self.fine(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "soak of {:.0} s", self.length.as_secs_f64())?;
        let deeds: Vec<_> = self.deeds.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(f, "  {}", deeds.join(", "))?;
        let faults: usize = self.faults.values().map(|(count, _)| count).sum();
        writeln!(f, "  roster: {} news as they should be; faults: {faults}", self.told)?;
        for (kind, (count, some)) in &self.faults {
            writeln!(f, "    {kind}: {count}, as in: {}", some.join("; "))?;
        }
        if let (Some(mean), Some(slope)) = (self.memory.mean(), self.slope()) {
            let (mean, slope) = (mean / 1e6, slope * 100.0);
            writeln!(
                f,
                "  memory: {mean:.1} MB on average, {slope:+.2} % from begin to end (flat is below 1 %)"
            )?;
        }
        for (gauge, after) in &self.after.gauges {
            let before = self.before.gauges.get(gauge).copied().unwrap_or_default();
            writeln!(f, "  {gauge}: {before} before, {after} after")?;
        }
        if let (Some(before), Some(after)) = (self.before.files, self.after.files) {
            writeln!(f, "  files that the server has open: {before} before, {after} after")?;
        }
        write!(f, "  {}", if self.fine() { "fine" } else { "NOT FINE" })
    }
}
