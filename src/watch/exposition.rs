//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write;

/// What a family of numbers is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sort {
    Counter,
    Gauge,
}

/// One label. Its values come from fixed sets and names of ours, which need no escaping.
pub(super) type Label<'a> = Option<(&'static str, &'a str)>;

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    pub(super) text: String,
}

impl Exposition {
    pub(super) fn counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'a>, f64)>,
    ) {
        self.family(Sort::Counter, name, help, values);
    }

    pub(super) fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'a>, f64)>,
    ) {
        self.family(Sort::Gauge, name, help, values);
    }

    pub(super) fn family<'a>(
        &mut self,
        sort: Sort,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'a>, f64)>,
    ) {
        let sort = match sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
        };
        self.head(name, help, sort);
        for (label, value) in values {
            self.value(name, label, value);
        }
    }

    /// Buckets are cumulative, each with its upper bound.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, below) in buckets {
            self.value(&bucket, Some(("le", &bound.to_string())), below as f64);
        }
        self.value(&bucket, Some(("le", "+Inf")), count as f64);
        self.value(&format!("{name}_sum"), None, sum);
        self.value(&format!("{name}_count"), None, count as f64);
    }

    /// One line of a family that has its head.
    pub(super) fn value(&mut self, name: &str, label: Label<'_>, value: f64) {
        // Writing to a text never fails.
        let _ = match label {
            Some((label, of)) => writeln!(self.text, "{name}{{{label}=\"{of}\"}} {value}"),
            None => writeln!(self.text, "{name} {value}"),
        };
    }

    fn head(&mut self, name: &str, help: &str, sort: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {sort}");
    }
}
