//! For spreadsheets: a line a second and cohort, or a line a viewer.

use std::fmt::Write;

use super::{Report, kbps};
use crate::measure::Count;

/// A number that may not be there.
fn cell(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.3}"))
}

impl Report {
    /// The seconds.
    pub fn seconds_csv(&self) -> String {
        let mut csv = String::from(
            "second,measured,cohort,joined,packets,kbps,expected,got,lost,asked,repaired,frames,freezes,keyframe_requests,\
             latency_p50_ms,latency_p99_ms,first_frame_p99_ms,server_cores,server_memory_bytes,tool_cores,tool_drops\n",
        );
        for second in &self.series {
            for (group, report) in second.groups.iter().zip(&self.groups) {
                let get = |what| group.counts.get(what);
                let _ = writeln!(
                    csv,
                    "{:.1},{},{},{},{},{:.0},{},{},{},{},{},{},{},{},{},{},{},{},{},{:.3},{}",
                    second.at,
                    u8::from(second.measured),
                    quoted(&report.name),
                    group.arrived,
                    get(Count::Media),
                    get(Count::Bytes) as f64 * 8e-3 / second.length,
                    get(Count::Expected),
                    get(Count::Got),
                    get(Count::Lost),
                    get(Count::Asked),
                    get(Count::Repaired),
                    get(Count::Frames),
                    get(Count::Freezes),
                    get(Count::Requests),
                    cell(group.latency_p50),
                    cell(group.latency_p99),
                    cell(group.first_frame_p99),
                    cell(second.server),
                    second.memory.map_or_else(String::new, |memory| memory.to_string()),
                    second.tool,
                    second.drops,
                );
            }
        }
        csv
    }

    /// The viewers, in the measured part.
    pub fn viewers_csv(&self) -> String {
        let mut csv = String::from(
            "cohort,viewer,room,join_ms,first_frame_ms,packets,kbps,loss_percent,asked,repaired,frames,freezes,frozen_ms,\
             keyframe_requests,checked,broken\n",
        );
        let ms = |time: Option<std::time::Duration>| cell(time.map(|time| time.as_secs_f64() * 1000.0));
        for group in &self.groups {
            for visit in &group.visits {
                let Some(tally) = &visit.tally else { continue };
                let get = |what| tally.window.get(what);
                let _ = writeln!(
                    csv,
                    "{},{},{},{},{},{},{:.0},{:.4},{},{},{},{},{},{},{},{}",
                    quoted(&group.name),
                    visit.who.n,
                    visit.who.room,
                    ms(visit.joined),
                    ms(visit.first_frame),
                    get(Count::Media),
                    kbps(get(Count::Bytes), tally.there),
                    tally.window.loss().unwrap_or_default() * 100.0,
                    get(Count::Asked),
                    get(Count::Repaired),
                    get(Count::Frames),
                    get(Count::Freezes),
                    get(Count::FrozenMs),
                    get(Count::Requests),
                    get(Count::Checked),
                    get(Count::Broken),
                );
            }
        }
        csv
    }
}

/// RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_would_break_a_line_is_quoted() {
        assert_eq!(super::quoted("wave"), "wave");
        assert_eq!(super::quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
    }
}
