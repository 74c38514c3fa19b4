//! A page that can be passed on: no script, nothing loaded from anywhere, light and dark.

use std::fmt::Write;

use super::plot::{Line, Plot, escaped, number};
use super::{GroupSecond, Report, Second, bytes, ms};
use crate::measure::{Count, Timed};

const STYLE: &str = include_str!("page.css");

impl Report {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>millrace-load: {name}</title><style>{STYLE}</style>\
             <main><h1>{name}</h1>",
            name = escaped(&self.scenario)
        );
        let viewers: usize = self.groups.iter().filter(|g| g.watches).map(|g| g.arrived).sum();
        let _ = write!(
            page,
            "<p class=\"sub\">{} publishers, {viewers} viewers, {} rooms, measured for {:.1} s</p>",
            self.sent.publishers, self.rooms, self.seconds
        );
        let limits = self.limits();
        if !limits.is_empty() {
            page.push_str("<section class=\"warning\"><strong>The tool or its machine was the limit, not the server alone</strong><ul>");
            limits.iter().for_each(|limit| page.push_str(&format!("<li>{}</li>", escaped(limit))));
            page.push_str("</ul></section>");
        }
        self.tiles(&mut page);
        page.push_str("<section class=\"plots\">");
        self.plots().iter().for_each(|plot| page.push_str(&plot.svg()));
        page.push_str("</section>");
        self.tables(&mut page);
        page.push_str("</main></html>\n");
        page
    }

    fn tiles(&self, page: &mut String) {
        let (counts, times) = (self.counts(), self.times());
        let rate = counts.get(Count::Media) as f64 / self.seconds.max(0.001);
        let latency = if times.of(Timed::Latency).is_empty() { Timed::Sound } else { Timed::Latency };
        let mut tiles = vec![
            ("packets a second", number(rate)),
            (
                "loss",
                counts.loss().map_or_else(|| "-".to_owned(), |loss| format!("{} %", number(loss * 100.0))),
            ),
            ("latency p50", format!("{} ms", number(ms(times.of(latency), 0.5)))),
            ("latency p99", format!("{} ms", number(ms(times.of(latency), 0.99)))),
            ("first frame p95", format!("{} ms", number(ms(times.of(Timed::FirstFrame), 0.95)))),
            ("freezes", counts.get(Count::Freezes).to_string()),
        ];
        if let Some(micros) = self.server_micros() {
            tiles.push(("server, a packet", format!("{micros:.2} us")));
        }
        if let Some(memory) = self.memory_per_client() {
            tiles.push(("server, a client", bytes(memory)));
        }
        tiles.push(("tool, a packet", format!("{:.2} us", self.tool_micros())));
        page.push_str("<section class=\"tiles\">");
        for (name, value) in tiles {
            let _ = write!(page, "<div><span>{name}</span><b>{value}</b></div>");
        }
        page.push_str("</section>");
    }

    fn plots(&self) -> Vec<Plot<'static>> {
        let measured = self.series.iter().filter(|s| s.measured);
        let from = measured.clone().map(|s| s.at - s.length).next();
        let span = from.zip(measured.map(|s| s.at).next_back());
        let plot = |title, unit, lines| Plot { title, unit, lines, measured: span, places: vec![] };
        let whole = |name: &str, of: &dyn Fn(&Second) -> Option<f64>| {
            Line::new(name, self.series.iter().filter_map(|s| Some((s.at, of(s)?))).collect())
        };
        let groups = |suffix: &str, of: &dyn Fn(&Second, &GroupSecond) -> Option<f64>| {
            let watching = self.groups.iter().enumerate().filter(|(_, group)| group.watches);
            let line = |(n, group): (usize, &super::GroupReport)| {
                let points = self.series.iter().filter_map(|s| Some((s.at, of(s, s.groups.get(n)?)?)));
                Line::new(format!("{}{suffix}", group.name), points.collect())
            };
            watching.map(line).filter(|line| !line.points.is_empty()).collect::<Vec<_>>()
        };
        let mut latency = groups(" p50", &|_, g| g.latency_p50);
        latency.extend(groups(" p99", &|_, g| g.latency_p99));
        let mut cores = vec![whole("tool", &|s| Some(s.tool * 100.0))];
        cores.extend(
            Some(whole("server", &|s| s.server.map(|c| c * 100.0))).filter(|line| !line.points.is_empty()),
        );
        let lost = |_: &Second, g: &GroupSecond| g.counts.loss().map(|loss| loss * 100.0);
        vec![
            plot("Joined", "clients", groups("", &|_, g| Some(g.arrived as f64))),
            plot(
                "Received",
                "packets a second",
                groups("", &|s, g| Some(g.counts.get(Count::Media) as f64 / s.length)),
            ),
            plot("One-way latency", "ms", latency),
            self.percentiles(),
            plot("Loss", "% of what was sent", groups("", &lost)),
            plot("Time to first frame, p99", "ms, of those who came", groups("", &|_, g| g.first_frame_p99)),
            plot(
                "Asked again and repaired",
                "packets a second",
                vec![
                    whole("asked again", &|s| Some(s.counts().get(Count::Asked) as f64 / s.length)),
                    whole("repaired", &|s| Some(s.counts().get(Count::Repaired) as f64 / s.length)),
                ],
            ),
            plot("CPU", "% of a core", cores),
            plot(
                "Server memory",
                "MB resident",
                vec![whole("server", &|s| s.memory.map(|memory| memory as f64 / 1e6))],
            ),
        ]
    }

    /// Latency by quantile, each nine as wide as the one before.
    fn percentiles(&self) -> Plot<'static> {
        const PLACES: [(f64, &str); 6] =
            [(0.0, "p0"), (0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];
        let place = |quantile: f64| -(1.0 - quantile).log10();
        let lines = self.groups.iter().filter(|group| group.watches).filter_map(|group| {
            let times = group.times.of(Timed::Latency);
            let times = if times.is_empty() { group.times.of(Timed::Sound) } else { times };
            let steps = (0..=40).map(|n| f64::from(n) / 10.0);
            let points = steps.map(|nines| (nines, ms(times, 1.0 - 10f64.powf(-nines))));
            (!times.is_empty()).then(|| Line::new(group.name.clone(), points.collect()))
        });
        Plot {
            title: "Latency by percentile",
            unit: "ms",
            lines: lines.collect(),
            measured: None,
            places: PLACES.iter().map(|(quantile, name)| (place(*quantile), (*name).to_owned())).collect(),
        }
    }

    fn tables(&self, page: &mut String) {
        page.push_str(
            "<table><thead><tr><th>Times in ms<th>count<th>p50<th>p90<th>p95<th>p99<th>p99.9<th>max</thead>",
        );
        const NAMES: [(&str, Timed); 7] = [
            ("latency", Timed::Latency),
            ("latency of sound", Timed::Sound),
            ("jitter", Timed::Jitter),
            ("join", Timed::Join),
            ("first frame", Timed::FirstFrame),
            ("first frame, once asked", Timed::Subscribed),
            ("sent late by", Timed::SendLag),
        ];
        for group in &self.groups {
            for (name, what) in NAMES {
                let times = group.times.of(what);
                if times.is_empty() {
                    continue;
                }
                let _ = write!(page, "<tr><th>{}: {name}<td>{}", escaped(&group.name), times.len());
                for quantile in [0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                    let _ = write!(page, "<td>{:.2}", ms(times, quantile));
                }
            }
        }
        page.push_str("</table><table><thead><tr><th>Counts");
        self.groups.iter().for_each(|group| page.push_str(&format!("<th>{}", escaped(&group.name))));
        page.push_str("</thead>");
        let rows: [(&str, Count); 16] = [
            ("media packets", Count::Media),
            ("expected by stamps", Count::Expected),
            ("of these received", Count::Got),
            ("asked for again", Count::Asked),
            ("repaired", Count::Repaired),
            ("lost for good", Count::Lost),
            ("frames", Count::Frames),
            ("freezes", Count::Freezes),
            ("keyframe requests", Count::Requests),
            ("frames checked", Count::Checked),
            ("frames broken", Count::Broken),
            ("packets that reference viewers read", Count::Reference),
            ("packets that they refused", Count::Refused),
            ("packets of the smallest layer", Count::Layer0),
            ("packets of the middle layer", Count::Layer1),
            ("packets of the largest layer", Count::Layer2),
        ];
        let joined = |group: &super::GroupReport| format!("{} of {}", group.arrived, group.due);
        let _ = write!(page, "<tr><th>joined");
        self.groups.iter().for_each(|group| page.push_str(&format!("<td>{}", joined(group))));
        for (name, what) in rows {
            let _ = write!(page, "<tr><th>{name}");
            self.groups.iter().for_each(|group| page.push_str(&format!("<td>{}", group.counts.get(what))));
        }
        page.push_str("</table>");
        let failures: Vec<_> = self.groups.iter().flat_map(|g| &g.failures).collect();
        if !failures.is_empty() {
            page.push_str("<h2>Failures</h2><ul>");
            failures
                .iter()
                .for_each(|f| page.push_str(&format!("<li>{} x {}</li>", f.count, escaped(&f.why))));
            page.push_str("</ul>");
        }
    }
}
