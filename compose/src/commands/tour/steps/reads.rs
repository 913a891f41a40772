//! Steps that read, and that show where reads come from.

use anyhow::{Result, ensure};

use super::{
    super::{answer::Answer, guide::Guide, line::Line},
    commands::patch,
};

pub(super) fn list(guide: &mut Guide) -> Result<()> {
    guide.list_until(&[("one", "available", 1)])?;
    for database in ["primary", "replica"] {
        check_row(guide, database, "one|available|1")?;
    }
    Ok(())
}

/// The first slot in a database, as `psql` shows it.
fn check_row(guide: &Guide, database: &str, expected: &str) -> Result<()> {
    let uuid = guide.first()?;
    let sql = format!("SELECT name, status, version FROM parking_slots WHERE uuid = '{uuid}'");
    let row = guide.run(&Line::stack(["psql", database, "-Atc", &sql]))?;
    let (row, expected) = (row.trim_end(), format!("{} {expected}", guide.label));
    ensure!(row == expected, "the {database} should hold `{expected}`, but holds `{row}`");
    Ok(())
}

pub(super) fn read_own_write(guide: &mut Guide) -> Result<()> {
    let changed = guide.run(&patch(guide, "reserved")?)?;
    let receipt = Answer::expect(&changed, 200)?.header("write-receipt")?;
    let url = guide.read_url(&format!("{}?receipt={receipt}", guide.first_path()?));
    let read = guide.run(&Line::curl(["-si", &url]))?;
    let read = Answer::expect(&read, 200)?;
    let (result, slot) = (read.header("freshness-result")?, read.json()?);
    ensure!(result == "satisfied", "the read should be satisfied, but is {result}");
    ensure!(slot["status"] == "reserved" && slot["version"] == 2, "the read should hold the change: {slot}");
    Ok(())
}

pub(super) fn edit(guide: &mut Guide) -> Result<()> {
    let (name, uuid) = (format!("{} edited by hand", guide.label), guide.first()?);
    let sql = format!("UPDATE parking_slots SET name = '{name}' WHERE uuid = '{uuid}'");
    let edited = guide.run(&Line::stack(["psql", "replica", "-c", &sql]))?;
    ensure!(edited.trim_end() == "UPDATE 1", "one row should have been edited: {edited}");
    guide.list_now(&[("edited by hand", "reserved", 2)])?;
    check_row(guide, "primary", "one|reserved|2")
}

pub(super) fn verify(guide: &mut Guide) -> Result<()> {
    let found = guide.run_to(&Line::stack(["exec", "command-service", "verify"]), 1)?;
    let uuid = guide.first()?;
    ensure!(found.contains(uuid), "verify should name the slot {uuid}");
    Ok(())
}
