//! Import and export of CSV with the header `name,status`.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Read, Write},
    path::Path,
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shared::{
    process::shutdown,
    slot::{CreateSlot, SlotName, SlotStatus},
};
use uuid::Uuid;

use super::{
    exit::{CliError, REFUSED, exit_code_of},
    output::{print_json, print_text},
    read::{Pages, replica},
    write::WriteSide,
};
use crate::{
    commands::{CREATES_MAX, Commands, Refusal},
    queries::list::{Filter, LIMIT_MAX},
    settings::Settings,
};

const HEADER: [&str; 2] = ["name", "status"];

/// What some programs put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The largest file that is imported, in bytes: it is checked as a whole, in memory, before the first row goes in.
const FILE_MAX_BYTES: u64 = 256 * 1024 * 1024;

pub(super) async fn import(
    settings: &Settings,
    file: &Path,
    skip: usize,
    json: bool,
) -> Result<(), CliError> {
    let rows = parse(&contents(file)?)?;
    if skip > rows.len() {
        return Err(CliError::BadInput(format!("there are only {} rows to skip", rows.len())));
    }
    let stop = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let write_side = WriteSide::start(settings);
    let progress = progress(rows.len());
    let mut imported = skip;
    let mut result = Ok(());
    for chunk in rows[skip..].chunks(CREATES_MAX) {
        progress.set_position(imported as u64);
        if stop.is_cancelled() {
            result = Err(cut_off("interrupted".to_owned(), imported, rows.len(), String::new(), REFUSED));
            break;
        }
        let creates = chunk.iter().map(|(name, status)| CreateSlot {
            uuid: Uuid::now_v7(),
            name: name.clone(),
            status: *status,
        });
        let creates: Vec<CreateSlot> = creates.collect();
        let first = creates[0].uuid;
        match write_side.execute(Commands::CreateAll(creates)).await {
            Ok(_) => imported += chunk.len(),
            Err(refusal) => {
                let doubt = match refusal {
                    Refusal::OutcomeUnknown => format!(
                        ", unless the {} rows after them are in too: then parking-slot-details {first} finds \
                         the first of them",
                        chunk.len()
                    ),
                    _ => String::new(),
                };
                let code = exit_code_of(refusal);
                result = Err(cut_off(refusal.to_string(), imported, rows.len(), doubt, code));
                break;
            }
        }
    }
    progress.finish_and_clear();
    write_side.finish().await?;
    result?;
    if json {
        return print_json(&json!({ "imported": imported - skip, "skipped": skip }));
    }
    print_text(&format!("{} rows imported", imported - skip))
}

fn cut_off(reason: String, imported: usize, total: usize, doubt: String, exit_code: u8) -> CliError {
    CliError::ImportCutOff { reason, imported, total, doubt, exit_code }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(rows: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(rows as u64);
    match ProgressStyle::with_template("{bar:40} {pos} of {len} rows, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn contents(file: &Path) -> Result<Vec<u8>, CliError> {
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?)
    };
    let mut contents = Vec::new();
    reader
        .take(FILE_MAX_BYTES + 1)
        .read_to_end(&mut contents)
        .with_context(|| format!("cannot read {}", file.display()))?;
    if contents.len() as u64 > FILE_MAX_BYTES {
        return Err(CliError::BadInput("the file has more than 256 MiB; import it in parts".to_owned()));
    }
    Ok(contents)
}

/// Reads the whole file. One bad line, named by its number, refuses it all.
fn parse(contents: &[u8]) -> Result<Vec<(SlotName, SlotStatus)>, CliError> {
    let contents = contents.strip_prefix(BYTE_ORDER_MARK).unwrap_or(contents);
    let mut reader = csv::ReaderBuilder::new().from_reader(contents);
    let header = reader.byte_headers().map_err(|error| bad_line(line_at(contents, 0), &describe(&error)))?;
    if header.iter().collect::<Vec<_>>() != HEADER.map(str::as_bytes) {
        return Err(bad_line(line_at(contents, 0), "the header must be name,status"));
    }
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let start = reader.position().byte();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) => {
                rows.push(row(&record).map_err(|problem| bad_line(line_at(contents, start), &problem))?);
            }
            Err(error) => return Err(bad_line(line_at(contents, start), &describe(&error))),
        }
    }
}

/// The number of the line in which the record begins that is read from `start` on. Before it there may be the second
/// half of the last line's CRLF, and empty lines, which the reader itself counts only afterwards.
fn line_at(contents: &[u8], start: u64) -> usize {
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(contents.len());
    let ends = contents[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let before = &contents[..start + ends];
    let ends_line = |(at, byte): (usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => before.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    1 + before.iter().enumerate().filter(|found| ends_line(*found)).count()
}

fn row(record: &csv::StringRecord) -> Result<(SlotName, SlotStatus), String> {
    let name = SlotName::parse(&record[0]).map_err(|error| format!("name {error}"))?;
    let status = SlotStatus::parse(&record[1])
        .ok_or_else(|| "status must be available, reserved, occupied or blocked".to_owned())?;
    Ok((name, status))
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        csv::ErrorKind::UnequalLengths { len, .. } => format!("has {len} fields, not 2"),
        _ => "is not CSV".to_owned(),
    }
}

fn bad_line(line: usize, problem: &str) -> CliError {
    CliError::BadInput(format!("line {line}: {problem}; nothing was imported"))
}

/// Lines end with LF, and quotes stand only where they are needed.
pub(super) async fn export(settings: &Settings, file: &Path, json: bool) -> Result<(), CliError> {
    let to_stdout = file == Path::new("-");
    if json && to_stdout {
        return Err(CliError::Usage("--json needs a FILE: the rows themselves go to standard output"));
    }
    let replica = replica(settings)?;
    let filter = Filter::default();
    let mut pages = Pages::of(&replica, &filter);
    // Before the file is touched: an older export is better than none.
    let mut page = pages.next(LIMIT_MAX).await?;
    let sink: Box<dyn Write> = if to_stdout {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(file).with_context(|| format!("cannot write {}", file.display()))?)
    };
    let mut writer = csv::Writer::from_writer(BufWriter::new(sink));
    writer.write_record(HEADER).map_err(unwritten)?;
    let mut exported = 0;
    while let Some(records) = page {
        for record in &records {
            let row = [record.slot.name.as_str(), record.slot.status.as_str()];
            writer.write_record(row).map_err(unwritten)?;
        }
        exported += records.len();
        page = pages.next(LIMIT_MAX).await?;
    }
    writer.flush()?;
    drop(writer);
    match (json, to_stdout) {
        (true, _) => print_json(&json!({ "exported": exported })),
        (false, true) => Ok(()),
        (false, false) => print_text(&format!("{exported} rows exported")),
    }
}

fn unwritten(error: csv::Error) -> CliError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => CliError::Other(anyhow::anyhow!("cannot write CSV: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_and_crlf_are_fine() {
        let rows = parse(b"\xef\xbb\xbfname,status\r\n\"Bay, 1\",occupied\r\n").expect("a good file");

        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].0.as_str(), "Bay, 1");
        assert_eq!(rows[0].1, SlotStatus::Occupied);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let cases: [(&[u8], &str, &str); 9] = [
            (b"name\nBay 1\n", "line 1:", "the header is not ours"),
            (b"", "line 1:", "there is no header"),
            (b"name,status\nBay 1,available\nBay 2,gone\n", "line 3:", "the status is unknown"),
            (b"name,status\nBay 1,available\n  ,available\n", "line 3:", "the name is empty"),
            (b"name,status\n\"Bay\n1\",available\n", "line 2:", "the name has a line break"),
            (b"name,status\nBay 1,available,x\n", "line 2:", "there is a field too many"),
            (b"name,status\r\nBay 1,available\r\nBay 2,gone\r\n", "line 3:", "CRLF is one line end"),
            (b"name,status\rBay 1,available\rBay 2,gone\r", "line 3:", "and so is CR"),
            (b"name,status\n\n\r\nBay 2,gone\n", "line 4:", "empty lines count"),
        ];
        for (contents, expected, reason) in cases {
            let error = parse(contents).expect_err(reason).to_string();
            assert!(error.starts_with(expected), "{reason}: {error}");
            assert!(error.ends_with("nothing was imported"), "{reason}: {error}");
        }
    }
}
