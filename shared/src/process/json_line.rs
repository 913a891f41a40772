//! A log line as one JSON object: time, level, fields of the event, and the span with its fields.
//!
//! Each request has a span and a line. The formatter of `tracing_subscriber` builds a tree for a span's fields, writes
//! it, and parses it again for each line. This one writes them once and copies them.

use std::fmt;

use jiff::Timestamp;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormattedFields,
        format::{FormatEvent, FormatFields, Writer},
    },
    registry::LookupSpan,
};

use super::json_members::MemberList;
use crate::time;

/// The bytes that most lines fit into.
const LINE_BYTES: usize = 512;

/// Formats an event as a line.
#[derive(Debug)]
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = MemberList(Vec::with_capacity(LINE_BYTES));
        line.0.push(b'{');
        line.member("timestamp", &time::AsText(Timestamp::now()));
        line.member("level", event.metadata().level().as_str());
        event.record(&mut line);
        let parent = event.parent().and_then(|id| context.span(id));
        if let Some(span) = parent.or_else(|| context.lookup_current()) {
            line.0.extend_from_slice(b"\"span\":{");
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.0.extend_from_slice(fields.fields.as_bytes());
            }
            line.member("name", span.metadata().name());
            line.end_object();
            line.0.push(b',');
        }
        line.end_object();
        writer.write_str(line.text()?)?;
        writer.write_char('\n')
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex, PoisonError},
    };

    use serde_json::Value;
    use tracing_subscriber::{Layer, Registry, fmt::layer, layer::SubscriberExt};

    use super::*;
    use crate::process::json_members::JsonMembers;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Output {
        fn lines(&self) -> Vec<Value> {
            let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let mut lines: Vec<Value> =
                lines.map(|line| serde_json::from_slice(line).expect("a line of JSON")).collect();
            for line in &mut lines {
                let time = line["timestamp"].take();
                assert_eq!(time.as_str().map(str::len), Some("2026-01-01T00:00:00.000000Z".len()), "{time}");
            }
            lines
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_says_what_the_formatter_of_the_library_says() {
        let (own, library) = (Output::default(), Output::default());
        let (to_own, to_library) = (own.clone(), library.clone());
        let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![
            layer()
                .with_writer(move || to_own.clone())
                .event_format(JsonLine)
                .fmt_fields(JsonMembers)
                .boxed(),
            layer()
                .with_writer(move || to_library.clone())
                .json()
                .flatten_event(true)
                .with_target(false)
                .with_span_list(false)
                .boxed(),
        ];
        tracing::subscriber::with_default(Registry::default().with(layers), || {
            tracing::info!("outside of every span");
            let error = io::Error::other("a \"cause\"\n\u{1}");
            let outer = tracing::info_span!("outer", id = "of \"mine\"", trace_id = Option::<&str>::None);
            let later =
                tracing::info_span!(parent: &outer, "later", number = tracing::field::Empty, fixed = -1);
            outer.in_scope(|| {
                tracing::error!(error = &error as &dyn std::error::Error, "a refusal");
                tracing::warn!(small = -3_i64, large = u64::MAX, share = 0.5, none = f64::NAN, yes = true);
                let names = ["a", "b"];
                tracing::debug!(%error, ?names, detail = Option::<String>::None, "ü {}", 1 + 1);
            });
            later.record("number", 7);
            later.in_scope(|| tracing::trace!(text = "\t", "inside"));
            tracing::info!(parent: &outer, "of another span");
        });

        let lines = own.lines();

        assert_eq!(lines.len(), 6);
        assert_eq!(lines, library.lines());
    }
}
