//! Plots as inline SVG. Colours and type come from the page's style sheet.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// A line of a plot.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Line {
    pub(super) fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points }
    }
}

/// What a plot is about.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) lines: Vec<Line>,
    /// The measured part: it is set off.
    pub(super) measured: Option<(f64, f64)>,
    /// Names of places on the horizontal axis; else numbers with `s`.
    pub(super) places: Vec<(f64, String)>,
}

/// A step of 1, 2 or 5 times a power of ten, so that there are about `count` of them.
fn step(span: f64, count: f64) -> f64 {
    let raw = (span / count).max(1e-9);
    let power = 10f64.powf(raw.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| nice * power >= raw);
    nice.unwrap_or(10.0) * power
}

/// A number without needless digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 1e6 => format!("{}M", trimmed(value / 1e6, 2)),
        _ if size >= 1e4 => format!("{}k", trimmed(value / 1e3, 1)),
        _ if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        _ if size >= 1.0 => trimmed(value, 2),
        _ => trimmed(value, 4),
    }
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Text in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Plot<'_> {
    /// The figure; empty if there is nothing to draw.
    pub(super) fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let Some(right) = all().map(|p| p.0).max_by(f64::total_cmp) else { return String::new() };
        let left = all().map(|p| p.0).min_by(f64::total_cmp).unwrap_or(0.0).min(right - 1e-9);
        let highest = all().map(|p| p.1).max_by(f64::total_cmp).unwrap_or(0.0).max(1e-9);
        let rise = step(highest, 4.0);
        let top = (highest / rise).ceil() * rise;
        let x = |value: f64| LEFT + (value - left) / (right - left) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);

        let mut svg = format!(
            "<figure><figcaption>{} <span>{}</span></figcaption>",
            escaped(self.title),
            escaped(self.unit)
        );
        if self.lines.len() > 1 {
            svg.push_str("<p class=\"legend\">");
            for (n, line) in self.lines.iter().enumerate() {
                let _ = write!(svg, "<span class=\"c{}\">{}</span>", n % 6, escaped(&line.name));
            }
            svg.push_str("</p>");
        }
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(self.title)
        );
        if let Some((from, to)) = self.measured {
            let (from, to) = (x(from.max(left)), x(to.min(right)));
            let _ = write!(
                svg,
                "<rect class=\"measured\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                (to - from).max(0.0),
                HEIGHT - TOP - BOTTOM,
            );
        }
        let mut level = 0.0;
        while level <= top * 1.001 {
            let at = y(level);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                number(level),
            );
            level += rise;
        }
        for (place, name) in self.places(left, right) {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(place),
                HEIGHT - 6.0,
                escaped(&name)
            );
        }
        for (n, line) in self.lines.iter().enumerate() {
            let points: Vec<_> = line.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let _ = write!(svg, "<polyline class=\"c{}\" points=\"{}\"/>", n % 6, points.join(" "));
            for point in &line.points {
                let _ = write!(
                    svg,
                    "<circle class=\"c{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"><title>{} {}</title></circle>",
                    n % 6,
                    x(point.0),
                    y(point.1),
                    escaped(&line.name),
                    number(point.1),
                );
            }
        }
        svg.push_str("</svg></figure>");
        svg
    }

    fn places(&self, left: f64, right: f64) -> Vec<(f64, String)> {
        if !self.places.is_empty() {
            return self.places.clone();
        }
        let step = step(right - left, 8.0).max(1.0);
        let mut places = Vec::new();
        let mut at = (left / step).ceil() * step;
        while at <= right {
            places.push((at, format!("{at:.0} s")));
            at += step;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!([step(10.0, 4.0), step(0.7, 4.0), step(90.0, 4.0)], [5.0, 0.2, 50.0]);
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.25, 3.5, 250.0, 12_000.0, 2_500_000.0];
        assert_eq!(all.map(number), ["0", "0.25", "3.5", "250", "12k", "2.5M"]);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let plot = Plot { title: "a", unit: "", lines: vec![], measured: None, places: vec![] };
        assert_eq!(plot.svg(), "");
    }
}
