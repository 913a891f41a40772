//! The rows of a CSV file, checked as a whole.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context;
use shared::slot::{SlotName, SlotStatus};

use crate::cli::exit::CliError;

pub(super) const HEADER: [&str; 2] = ["name", "status"];

/// What some programs put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The largest file that is imported, in bytes: it is checked as a whole, in memory, before the first row goes in.
const FILE_MAX_BYTES: u64 = 256 * 1024 * 1024;

pub(super) type Row = (SlotName, SlotStatus);

/// Reads a file; `-` is standard input.
pub(super) fn read(file: &Path) -> Result<Vec<Row>, CliError> {
    parse(&contents(file)?)
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

/// The rows of a file. One bad line refuses the whole file; the error names the line by its number.
fn parse(contents: &[u8]) -> Result<Vec<Row>, CliError> {
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

/// The number of the line in which the record after `start` begins. The rest of a CRLF and empty lines may stand
/// between the two; the reader counts them only with the record.
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

fn row(record: &csv::StringRecord) -> Result<Row, String> {
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
