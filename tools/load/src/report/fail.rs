//! What a run must not exceed: `loss>0.5%`, `wave.first-frame-p95>400ms`.

use std::str::FromStr;
use std::time::Duration;

use super::{Report, kbps, ms};
use crate::measure::{Count, Counts, Timed, Timings};

/// What can be compared, beside the percentiles of the timed things.
const FIGURES: &str = "loss, lost, freezes, frozen-ms, asked, repaired, requests, broken, refused, waits, missing, bitrate, \
    latency-P, sound-P, jitter-P, join-P, first-frame-P, subscribed-P, send-lag-P (P: p50, p90, p95, p99, p999, max), \
    server-us, server-memory, tool-us, tool-drops, limited";

/// A condition under which a run failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    group: Option<String>,
    figure: String,
    above: bool,
    or_equal: bool,
    limit: f64,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = || format!("`{text}` is no threshold: NAME>NUMBER, as in loss>0.5% or latency-p99>50ms");
        let at = text.find(['<', '>']).ok_or_else(odd)?;
        let (name, rest) = text.split_at(at);
        let above = rest.starts_with('>');
        let rest = rest.get(1..).unwrap_or_default();
        let (or_equal, number) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
        let name = name.trim();
        let (group, figure) = match name.rsplit_once('.') {
            Some((group, figure)) => (Some(group.to_owned()), figure),
            None => (None, name),
        };
        let limit = number_of(number.trim()).ok_or_else(odd)?;
        let threshold =
            Self { text: text.to_owned(), group, figure: figure.to_owned(), above, or_equal, limit };
        match threshold.figure(&Report::nothing()) {
            Some(_) => Ok(threshold),
            None => Err(format!("`{figure}` is none of {FIGURES}")),
        }
    }
}

/// A number with its unit: shares in percent, times in milliseconds but for `-us`, memory in bytes, rates in kbit/s.
fn number_of(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [
        ("%", 1.0),
        ("ms", 1.0),
        ("us", 1.0),
        ("kbps", 1.0),
        ("Mbps", 1000.0),
        ("KB", 1e3),
        ("MB", 1e6),
        ("s", 1000.0),
    ];
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1.0));
    number.trim().parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n * factor)
}

impl Report {
    fn nothing() -> Self {
        Self {
            scenario: String::new(),
            rooms: 0,
            seconds: 1.0,
            groups: vec![],
            sent: super::SentReport::default(),
            tool: super::Tool { cpu: Duration::ZERO, strain: crate::drive::Strain::default(), idle: None },
            server: None,
            series: vec![],
        }
    }
}

impl Threshold {
    /// What is wrong with a run, if something is. A figure that could not be had is wrong, too.
    pub fn broken_by(&self, report: &Report) -> Option<String> {
        if let Some(group) = &self.group
            && !report.groups.iter().any(|g| g.name == *group)
        {
            return Some(format!("{}: there is no cohort `{group}`", self.text));
        }
        let Some(value) = self.figure(report).filter(|value| !value.is_nan()) else {
            return Some(format!("{}: it could not be measured", self.text));
        };
        let beyond = if self.above { value > self.limit } else { value < self.limit };
        (beyond || (self.or_equal && value == self.limit)).then(|| format!("{}: it is {value:.3}", self.text))
    }

    fn figure(&self, report: &Report) -> Option<f64> {
        let mut counts = Counts::default();
        let mut times = Timings::default();
        let mut missing = 0;
        let mut there = Duration::ZERO;
        for group in &report.groups {
            if self.group.as_ref().is_none_or(|name| *name == group.name) {
                counts.merge(&group.counts);
                times.merge(&group.times);
                missing += group.due.saturating_sub(group.arrived);
                there += group.there();
            }
        }
        let count = |what| Some(counts.get(what) as f64);
        // Without the process's number nothing is known; NaN says that.
        let known = |value: Option<f64>| Some(value.unwrap_or(f64::NAN));
        match self.figure.as_str() {
            "loss" => known(counts.loss().map(|loss| loss * 100.0)),
            "lost" => count(Count::Lost),
            "freezes" => count(Count::Freezes),
            "frozen-ms" => count(Count::FrozenMs),
            "asked" => count(Count::Asked),
            "repaired" => count(Count::Repaired),
            "requests" => count(Count::Requests),
            "broken" => count(Count::Broken),
            "refused" => count(Count::Refused),
            "waits" => count(Count::Waits),
            "missing" => Some(missing as f64),
            "bitrate" => Some(kbps(counts.get(Count::Bytes), there)),
            "server-us" => known(report.server_micros()),
            "server-memory" => known(report.memory_per_client()),
            "tool-us" => Some(report.tool_micros()),
            "tool-drops" => Some(report.tool.strain.drops as f64),
            "limited" => Some(report.limits().len() as f64),
            other => percentile(&times, other),
        }
    }
}

fn percentile(timings: &Timings, name: &str) -> Option<f64> {
    let (name, quantile) = name.rsplit_once('-')?;
    let what = match name {
        "latency" => Timed::Latency,
        "sound" => Timed::Sound,
        "jitter" => Timed::Jitter,
        "join" => Timed::Join,
        "first-frame" => Timed::FirstFrame,
        "subscribed" => Timed::Subscribed,
        "send-lag" => Timed::SendLag,
        _ => return None,
    };
    let quantile = match quantile {
        "p50" => 0.5,
        "p90" => 0.9,
        "p95" => 0.95,
        "p99" => 0.99,
        "p999" => 0.999,
        "max" => 1.0,
        _ => return None,
    };
    let times = timings.of(what);
    Some(if times.is_empty() { f64::NAN } else { ms(times, quantile) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::measure::{Meter, Window};
    use crate::report::GroupReport;

    fn report() -> Report {
        let meter = Meter::new(Arc::new(Window::default()));
        meter.time(Timed::Latency, Duration::from_millis(40), true);
        let mut counts = Counts::default();
        counts.add(Count::Expected, 1000);
        counts.add(Count::Got, 990);
        let group = GroupReport {
            name: "wave".to_owned(),
            watches: true,
            wanted: 3,
            due: 3,
            arrived: 2,
            failures: vec![],
            counts,
            times: meter.timings(),
            visits: vec![],
        };
        Report { groups: vec![group], ..Report::nothing() }
    }

    fn broken(text: &str) -> bool {
        text.parse::<Threshold>().expect("well-formed").broken_by(&report()).is_some()
    }

    #[test]
    fn a_threshold_is_broken_by_what_is_beyond_it() {
        assert!(broken("loss>0.5%") && broken("loss>=1") && !broken("loss>1%"));
        assert!(broken("latency-p99>39ms") && !broken("latency-p99>0.1s"));
        assert!(broken("missing>0") && broken("wave.missing>=1"));
        assert!(broken("bitrate<10kbps"));
    }

    #[test]
    fn what_could_not_be_measured_does_not_pass() {
        assert!(broken("server-us>5us") && broken("jitter-p50>1") && broken("others.loss>1"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in ["loss", "loss>", "beauty>3", "latency-p98>3", "loss>much"] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
        }
    }
}
