//! What is logged, to stderr: lines of text, or of JSON for machines.
//!
//! Nothing here takes secrets out: they have a type of their own, `Secret`, which shows nothing of itself.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{self, Interest};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::certificate::date;
use crate::config;
use crate::sorted::sort_by_key;

/// Down to which level things are logged: one for all, and others for modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The start of a module's path, the longest first; that of all is empty.
    levels: Vec<(String, LevelFilter)>,
}

impl Filter {
    /// Reads what [`config::Log::filter`] may be.
    pub fn parse(text: &str) -> Option<Self> {
        let mut levels = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (module, level) = part.split_once('=').unwrap_or(("", part));
            let (module, level) = (module.trim(), level.trim());
            if level.is_empty() {
                return None;
            }
            levels.push((module.to_owned(), level.parse().ok()?));
        }
        sort_by_key(&mut levels, |(module, _): &(String, _)| std::cmp::Reverse(module.len()));
        Some(Self { levels })
    }

    fn takes(&self, about: &Metadata<'_>) -> bool {
        let rule = self.levels.iter().find(|(module, _)| about.target().starts_with(module.as_str()));
        rule.is_some_and(|(_, level)| about.level() <= level)
    }

    fn most(&self) -> LevelFilter {
        self.levels.iter().map(|(_, level)| *level).max().unwrap_or(LevelFilter::OFF)
    }
}

/// Begins to log; what is returned sets another filter.
pub fn start(log: &config::Log) -> impl Fn(&str) + use<> {
    let filter = Arc::new(RwLock::new(Filter::parse(&log.filter).unwrap_or_default()));
    let lines = Lines { filter: filter.clone(), json: log.json, colored: io::stderr().is_terminal() };
    // Fails only if somebody listens already.
    let _ = subscriber::set_global_default(lines);
    move |text| {
        *filter.write().unwrap_or_else(PoisonError::into_inner) = Filter::parse(text).unwrap_or_default();
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Writes each event as a line.
struct Lines {
    filter: Arc<RwLock<Filter>>,
    json: bool,
    colored: bool,
}

impl Subscriber for Lines {
    fn register_callsite(&self, about: &'static Metadata<'static>) -> Interest {
        if self.enabled(about) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.is_event() && self.filter.read().unwrap_or_else(PoisonError::into_inner).takes(about)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter.read().unwrap_or_else(PoisonError::into_inner).most())
    }

    fn event(&self, event: &Event<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = if self.json { json(event, now) } else { text(event, now, self.colored) };
        // Who does not listen to us misses it.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    // Nothing here has spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Time, level, what is said, and the fields of the event.
fn text(event: &Event<'_>, now: Duration, colored: bool) -> String {
    let (year, month, day) = date(now.as_secs() / 86_400);
    let seconds = now.as_secs() % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (level, color) = match *event.metadata().level() {
        Level::ERROR => ("ERROR", 31),
        Level::WARN => (" WARN", 33),
        Level::INFO => (" INFO", 32),
        Level::DEBUG => ("DEBUG", 34),
        Level::TRACE => ("TRACE", 35),
    };
    let at = format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
        now.subsec_micros()
    );
    let mut line = Text(match colored {
        true => format!("\x1b[2m{at}\x1b[0m \x1b[{color}m{level}\x1b[0m"),
        false => format!("{at} {level}"),
    });
    event.record(&mut line);
    line.0.push('\n');
    line.0
}

struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let said = match field.name() {
            "message" => format!(" {value:?}"),
            name => format!(" {name}={value:?}"),
        };
        // A terminal is not to be told what to do by what others sent.
        for c in said.chars() {
            match c.is_control() && !matches!(c, '\n' | '\t') {
                true => self.0.extend(c.escape_default()),
                false => self.0.push(c),
            }
        }
    }
}

/// One object: `ts` in seconds since 1970, `level`, `target`, `message`, and the fields of the event.
fn json(event: &Event<'_>, now: Duration) -> String {
    let mut fields = Fields(Map::new());
    event.record(&mut fields);
    let about = event.metadata();
    fields.0.insert("ts".to_owned(), (now.as_millis() as f64 / 1e3).into());
    fields.0.insert("level".to_owned(), about.level().as_str().into());
    fields.0.insert("target".to_owned(), about.target().into());
    let mut line = String::new();
    // A string takes all.
    let _ = writeln!(line, "{}", Value::Object(fields.0));
    line
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use tracing::{debug, error, info};

    use super::*;

    #[test]
    fn the_longest_module_that_fits_has_the_say() {
        struct Told(Filter, Arc<RwLock<String>>);

        impl Subscriber for Told {
            fn enabled(&self, about: &Metadata<'_>) -> bool {
                self.0.takes(about)
            }
            fn event(&self, event: &Event<'_>) {
                self.1.write().expect("unpoisoned").push_str(&text(
                    event,
                    Duration::from_secs(1_800_000_000),
                    false,
                ));
            }
            fn new_span(&self, _: &Attributes<'_>) -> Id {
                Id::from_u64(1)
            }
            fn record(&self, _: &Id, _: &Record<'_>) {}
            fn record_follows_from(&self, _: &Id, _: &Id) {}
            fn enter(&self, _: &Id) {}
            fn exit(&self, _: &Id) {}
        }

        let said = Arc::new(RwLock::new(String::new()));
        let filter = Filter::parse("warn,a::b=debug, a::b::c = off").expect("a filter");
        subscriber::with_default(Told(filter, said.clone()), || {
            info!(target: "a", "no");
            error!(target: "a", who = "some\u{1b}one", n = 3, "yes\u{7}");
            debug!(target: "a::b", "too");
            error!(target: "a::b::c", "never");
        });
        assert_eq!(
            *said.read().expect("unpoisoned"),
            "2027-01-15T08:00:00.000000Z ERROR yes\\u{7} who=\"some\\u{1b}one\" n=3\n\
             2027-01-15T08:00:00.000000Z DEBUG too\n"
        );
    }

    #[test]
    fn what_is_no_level_is_no_filter() {
        for text in ["", "loud", "a=", "info,", "a=loud,info"] {
            assert_eq!(Filter::parse(text), None, "{text}");
        }
    }
}
