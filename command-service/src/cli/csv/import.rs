//! The rows of a CSV file into the register.

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;
use shared::{process::shutdown, slot::CreateSlot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::rows::{self, Row};
use crate::{
    cli::{
        exit::CliError,
        output::{print_json, print_text},
        write::WriteSide,
    },
    commands::{CREATES_MAX, Commands, Refusal},
    settings::Settings,
};

/// Creates a slot for each row behind the first `skip`, [`CREATES_MAX`] rows a transaction.
pub(crate) async fn import(
    settings: &Settings,
    file: &Path,
    skip: usize,
    json: bool,
) -> Result<(), CliError> {
    let primary = settings.primary("import-parking-slots")?;
    let rows = rows::read(file)?;
    if skip > rows.len() {
        return Err(CliError::BadInput(format!("there are only {} rows to skip", rows.len())));
    }
    let stop = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let write_side = WriteSide::start(settings, &primary);
    let created = create(&write_side, &rows, skip, &stop).await;
    write_side.finish().await?;
    created?;
    let imported = rows.len() - skip;
    if json {
        return print_json(&json!({ "imported": imported, "skipped": skip }));
    }
    print_text(&format!("{imported} rows imported"))
}

/// Creates the slots. An error says how many rows are in.
async fn create(
    write_side: &WriteSide,
    rows: &[Row],
    skip: usize,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let progress = progress(rows.len());
    let mut imported = skip;
    let cut_off = |reason: CliError, imported: usize, doubt: String| CliError::ImportCutOff {
        reason: Box::new(reason),
        imported,
        total: rows.len(),
        doubt,
    };
    for chunk in rows[skip..].chunks(CREATES_MAX) {
        progress.set_position(imported as u64);
        if stop.is_cancelled() {
            return Err(cut_off(CliError::Interrupted, imported, String::new()));
        }
        let creates = new_slots(chunk);
        let first = creates[0].uuid;
        if let Err(refusal) = write_side.execute(Commands::CreateAll(creates)).await {
            let doubt = doubt(refusal, chunk.len(), first);
            return Err(cut_off(write_side.ended_by(refusal), imported, doubt));
        }
        imported += chunk.len();
    }
    Ok(())
}

fn new_slots(rows: &[Row]) -> Vec<CreateSlot> {
    let slot =
        |(name, status): &Row| CreateSlot { uuid: Uuid::now_v7(), name: name.clone(), status: *status };
    rows.iter().map(slot).collect()
}

/// How to find out whether the rows in hand are in, if that is unknown.
fn doubt(refusal: Refusal, rows: usize, first: Uuid) -> String {
    match refusal {
        Refusal::OutcomeUnknown => format!(
            ", unless the {rows} rows after them are in too: then parking-slot-details {first} finds the first of them"
        ),
        _ => String::new(),
    }
}

/// A bar on a terminal, nothing elsewhere. It goes away with the import.
fn progress(rows: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(rows as u64).with_finish(ProgressFinish::AndClear);
    match ProgressStyle::with_template("{bar:40} {pos} of {len} rows, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
