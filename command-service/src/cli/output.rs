//! Data on standard output, and messages on standard error.

use std::io::Write;

use super::exit::CliError;
use crate::register::record::SlotRecord;

/// The slot in three lines, which a create prints.
pub(super) fn print_record(record: &SlotRecord, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(record);
    }
    print_text(&three_lines(record))
}

/// The slot with its version, which `--if-version` takes.
pub(super) fn print_versioned(record: &SlotRecord, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(record);
    }
    print_text(&format!("{}\nversion: {}", three_lines(record), record.slot.version))
}

fn three_lines(record: &SlotRecord) -> String {
    let slot = &record.slot;
    format!("uuid:   {}\nname:   {}\nstatus: {}", slot.uuid, slot.name, slot.status)
}

pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    print_text(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
}

/// Unlike `println!`, reports a reader that is gone instead of panicking.
pub(super) fn print_text(text: &str) -> Result<(), CliError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// One line on standard error. A message that nobody reads costs nothing but itself.
pub(super) fn print_message(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "command-service: {text}");
}
