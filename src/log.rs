//! What is logged, to stderr: lines of text, or of JSON for machines.
//!
//! Nothing here takes secrets out: they have a type of their own, `Secret`, which shows nothing of itself.

use std::fmt;
use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use millrace::config::Log;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// Begins to log; what is returned sets another filter.
pub(crate) fn start(log: &Log) -> impl Fn(&str) + use<> {
    let parse = |filter: &str| filter.parse::<Targets>().unwrap_or_default();
    let (filter, handle) = reload::Layer::new(parse(&log.filter));
    let lines = layer().with_writer(std::io::stderr);
    let text = (!log.json).then(|| lines.with_ansi(std::io::stderr().is_terminal()).with_target(false));
    let json = log.json.then(|| layer().with_writer(std::io::stderr).event_format(Json));
    tracing_subscriber::registry().with(filter).with(text).with(json).init();
    move |filter| {
        // Fails only if nothing is logged any more.
        let _ = handle.reload(parse(filter));
    }
}

/// One object a line: `ts` in seconds since 1970, `level`, `target`, `message`, and the fields of the event.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let ts = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let about = event.metadata();
        fields.0.insert("ts".to_owned(), (ts as f64 / 1e3).into());
        fields.0.insert("level".to_owned(), about.level().to_string().into());
        fields.0.insert("target".to_owned(), about.target().into());
        writeln!(writer, "{}", Value::Object(fields.0))
    }
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
