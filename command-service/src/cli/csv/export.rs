//! The replica's slots into a CSV file. Names go in as they are: an import of the file makes the same names. A
//! spreadsheet may run a name that begins with `=`, `+`, `-` or `@` as a formula.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use serde_json::json;
use shared::process::tasks::Tasks;

use super::rows::HEADER;
use crate::{
    cli::{
        exit::CliError,
        output::{print_json, print_text},
        read::{Pages, replica},
    },
    queries::list::{Filter, LIMIT_MAX},
    register::record::SlotRecord,
    settings::Settings,
};

type Rows = csv::Writer<BufWriter<Box<dyn Write>>>;

/// Writes all slots to a file; `-` is standard output. Lines end with LF; quotes stand only where a value needs them.
pub(crate) async fn export(settings: &Settings, file: &Path, json: bool) -> Result<(), CliError> {
    let mut tasks = Tasks::default();
    let replica = replica(settings, "export-parking-slots", &mut tasks)?;
    let to_stdout = file == Path::new("-");
    if json && to_stdout {
        return Err(CliError::Usage("--json needs a FILE: the rows themselves go to standard output"));
    }
    let filter = Filter::default();
    let mut pages = Pages::of(&replica, &filter);
    // Before the file is touched: an older export is better than none.
    let mut page = pages.next(LIMIT_MAX).await?;
    let mut rows = create(file)?;
    let mut exported = 0;
    while let Some(written) = page {
        written.items().iter().try_for_each(|record| write_row(&mut rows, record))?;
        exported += written.items().len();
        page = pages.next(LIMIT_MAX).await?;
    }
    rows.flush()?;
    drop(rows);
    match (json, to_stdout) {
        (true, _) => print_json(&json!({ "exported": exported })),
        (false, true) => Ok(()),
        (false, false) => print_text(&format!("{exported} rows exported")),
    }
}

/// A file with its header.
fn create(file: &Path) -> Result<Rows, CliError> {
    let sink: Box<dyn Write> = if file == Path::new("-") {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(file).with_context(|| format!("cannot write {}", file.display()))?)
    };
    let mut rows = csv::Writer::from_writer(BufWriter::new(sink));
    rows.write_record(HEADER).map_err(unwritten)?;
    Ok(rows)
}

fn write_row(rows: &mut Rows, record: &SlotRecord) -> Result<(), CliError> {
    let row = [record.slot.name.as_str(), record.slot.status.as_str()];
    rows.write_record(row).map_err(unwritten)
}

fn unwritten(error: csv::Error) -> CliError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => CliError::Other(anyhow::anyhow!("cannot write CSV: {other:?}")),
    }
}
