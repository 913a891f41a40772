//! Data on standard output.

use std::io::Write;

use super::exit::CliError;
use crate::register::record::SlotRecord;

pub(super) fn print_record(record: &SlotRecord, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(record);
    }
    let slot = &record.slot;
    print_text(&format!("uuid:   {}\nname:   {}\nstatus: {}", slot.uuid, slot.name, slot.status))
}

pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    print_text(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
}

/// Unlike `println!`, reports a reader that is gone instead of panicking.
pub(super) fn print_text(text: &str) -> Result<(), CliError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}
