//! A service with a fault that its own sources know nothing of: `faulty-service command-service|event-consumer ...` is
//! that service, in which the background task named by `FAULT_TASK` panics once the file `FAULT_FLAG` exists.
//!
//! Each task runs inside a span with its name. A subscriber that hears of that span runs inside the task, and can panic
//! there.

use std::{
    env, fs,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::Parser;
use shared::process::{runtime, telemetry};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Panics inside the span of one task.
struct Fault {
    task: String,
    flag: PathBuf,
    has_panicked: AtomicBool,
}

/// Marks the span of the task.
struct Marked;

struct IsNamed<'n>(&'n str, bool);

impl Visit for IsNamed<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.1 |= field.name() == "name" && value == self.0;
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Fault {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut named = IsNamed(&self.task, false);
        attributes.record(&mut named);
        if let Some(span) = context.span(id)
            && attributes.metadata().name() == "task"
            && named.1
        {
            span.extensions_mut().insert(Marked);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let is_marked = context.span(id).is_some_and(|span| span.extensions().get::<Marked>().is_some());
        // Once: while the task unwinds, its span is entered again.
        if is_marked && self.flag.exists() && !self.has_panicked.swap(true, Ordering::Relaxed) {
            // The time of this file is the time of the panic.
            let _ = fs::write(self.flag.with_extension("panicked"), "");
            panic!("on purpose");
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let service = arguments.next().unwrap_or_default();
    let arguments = std::iter::once(service.clone()).chain(arguments);
    let (Ok(task), Some(flag)) = (env::var("FAULT_TASK"), env::var_os("FAULT_FLAG")) else {
        runtime::complain("faulty-service: FAULT_TASK and FAULT_FLAG must be set");
        return ExitCode::FAILURE;
    };
    let logs = tracing_subscriber::fmt::layer().with_writer(telemetry::writer()).json().flatten_event(true);
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(logs)
        .with(Fault { task, flag: flag.into(), has_panicked: AtomicBool::new(false) })
        .init();
    match service.to_str() {
        Some("command-service") => {
            runtime::run("command-service", command_service::cli::Cli::parse_from(arguments).run())
        }
        _ => runtime::run("event-consumer", event_consumer::cli::Cli::parse_from(arguments).run()),
    }
}
