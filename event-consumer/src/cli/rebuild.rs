//! Rebuilds the replica beside the running consumer.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;
use shared::process::shutdown;
use tokio::{sync::watch, time::interval};

use super::{
    exit::CliError,
    output::{print_message, print_text},
};
use crate::{
    rebuild::{Rebuild, RebuildError, RebuildProgress, Rebuilt, copy::fault::StepError},
    settings::Settings,
};

/// Time between two progress lines without a terminal.
const TELL_INTERVAL: Duration = Duration::from_secs(5);

/// Time between two updates of the progress bar on a terminal.
const BAR_INTERVAL: Duration = Duration::from_millis(200);

/// The arguments of a rebuild.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct RebuildArguments {
    /// Wait at most this many seconds, 1 to 86400, while a dependency is down and nothing moves
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn rebuild(settings: &Settings, arguments: RebuildArguments) -> Result<(), CliError> {
    let stop = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let begun = Instant::now();
    let rebuild = Rebuild {
        broker: settings.broker()?,
        replica: settings.replica.clone(),
        replica_name: settings.replica_name.clone(),
        patience: Duration::from_secs(arguments.patience),
    };
    let (progress, seen) = watch::channel(RebuildProgress::default());
    let rebuilt = tokio::select! {
        rebuilt = rebuild.run(&progress, &stop) => rebuilt,
        never = tell(seen) => never,
    };
    let Rebuilt { counts, is_cleared } = rebuilt.map_err(refusal)?;
    if !is_cleared {
        print_message(
            "what was replaced is still there, in the schema `replaced`: the next rebuild removes it",
        );
    }
    let (name, took) = (&settings.replica_name, begun.elapsed());
    if arguments.json {
        let object = json!({
            "replica": name.to_string(),
            "applied_through": counts.applied_through,
            "slots": counts.slots,
            "dead_letters": counts.dead_letters,
            "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        return print_text(&object.to_string());
    }
    let dead_letters = match counts.dead_letters {
        0 => "no dead letters".to_owned(),
        letters => counted(letters, "dead letter"),
    };
    let (slots, events) = (counted(counts.slots, "slot"), counted(counts.applied_through, "event"));
    let secs = took.as_secs_f64();
    print_text(&format!("replica {name} was rebuilt in {secs:.1} s: {slots} from {events}; {dead_letters}"))
}

fn counted(count: i64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Shows progress: a bar on a terminal, a line at intervals elsewhere.
async fn tell<T>(mut seen: watch::Receiver<RebuildProgress>) -> T {
    let on_terminal = io::stderr().is_terminal();
    let bar = if on_terminal { bar() } else { ProgressBar::hidden() };
    let mut turn = interval(if on_terminal { BAR_INTERVAL } else { TELL_INTERVAL });
    // The first tick is immediate, before there is progress to show.
    turn.tick().await;
    loop {
        turn.tick().await;
        let RebuildProgress { settled, end, is_level } = *seen.borrow_and_update();
        if on_terminal {
            bar.set_length(end.unsigned_abs());
            bar.set_position(settled.unsigned_abs());
        } else if is_level {
            print_message(&format!("the copy is level with {end} events and takes the replica's place"));
        } else {
            print_message(&format!("{settled} of {end} events"));
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0).with_finish(ProgressFinish::AndClear);
    match ProgressStyle::with_template("{bar:40} {pos} of {len} events, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The command error for a failed rebuild, which leaves the replica unchanged.
fn refusal(error: RebuildError) -> CliError {
    match error {
        RebuildError::Down { dependency, cause } => CliError::Down { dependency, cause },
        RebuildError::Step(StepError::Connect(_) | StepError::Deadline) => {
            CliError::down("the replica", &error)
        }
        RebuildError::Step(StepError::Sql(error)) => error.into(),
        RebuildError::Step(StepError::Migrate(_)) => CliError::Other(anyhow::Error::from(error)),
        RebuildError::Step(_)
        | RebuildError::ForeignEpoch
        | RebuildError::BeyondLog { .. }
        | RebuildError::Busy { .. }
        | RebuildError::InTheWay(_)
        | RebuildError::Interrupted => CliError::Refused(format!("{error}; the replica is as it was")),
    }
}
