//! Import and export: a file goes in by the command line, and comes out again.

mod bad_files;
mod cut_off;

use anyhow::Result;
use system_tests::{Pair, assert_level, program::Run, servers::servers, with_pair};

/// In the form in which export writes: lines end with LF, quotes only where they are needed.
const BAYS: &str = include_str!("../../data/bays.csv");

/// How many rows it has.
const ROWS: usize = 11;

/// Runs import with the file on standard input.
fn import(pair: &Pair, contents: &[u8], flags: &[&str]) -> Result<Run> {
    let arguments: Vec<&str> = ["import-parking-slots", "-"].iter().chain(flags).copied().collect();
    Ok(Run::command_service(pair, &arguments)?.fed(contents))
}

async fn export(pair: &Pair) -> Result<String> {
    assert_level(pair).await?;
    let ended = Run::command_service(pair, &["export-parking-slots"])?.end().await?.expect(0)?;
    Ok(ended.text()?.to_owned())
}

/// How many events there are.
async fn log_length(pair: &Pair) -> Result<i64> {
    let count = "SELECT count(*) FROM parking_slot_events";
    Ok(pair.primary.sql().await?.query_one(count, &[]).await?.try_get(0)?)
}

/// A file of so many rows, each with a name of its own.
fn rows(count: usize) -> String {
    let rows = (1..=count).map(|number| format!("Row {number},available\n"));
    format!("name,status\n{}", rows.collect::<String>())
}

#[test]
fn what_was_imported_is_exported_byte_for_byte() -> Result<()> {
    with_pair(async |pair| {
        let printed = import(pair, BAYS.as_bytes(), &[])?.end().await?.expect(0)?;

        let exported = export(pair).await?;

        assert_eq!(exported, BAYS);
        assert_eq!(printed.text()?, format!("{ROWS} rows imported\n"));
        assert_eq!(printed.errors, "", "nothing went wrong, and there is no terminal for a bar");
        Ok(())
    })
}

#[test]
fn other_spellings_of_a_file_are_the_same_file() -> Result<()> {
    with_pair(async |pair| {
        let crlf = BAYS.replace('\n', "\r\n");
        let quoted = BAYS.replace("Bay 1,available", "\"Bay 1\",\"available\"");
        let cases = [
            (crlf.clone(), "lines end with CRLF"),
            (format!("\u{feff}{BAYS}"), "a byte order mark"),
            (format!("\u{feff}{crlf}"), "both, as spreadsheets write it"),
            (BAYS.trim_end().to_owned(), "the last line has no end"),
            (crlf.trim_end_matches('\n').to_owned(), "the last line has half an end"),
            (quoted, "quotes that are not needed"),
            (BAYS.replace("\nBay 1,", "\n  Bay 1 \u{3000},"), "blanks around names"),
            (BAYS.replace("\nBay 1,available", "\n\n\nBay 1,available"), "empty lines"),
        ];
        let mut expected = "name,status\n".to_owned();

        for (file, reason) in cases {
            let ended = import(pair, file.as_bytes(), &[])?.end().await?.expect(0)?;
            expected.push_str(BAYS.strip_prefix("name,status\n").unwrap_or_default());

            assert_eq!(ended.text()?, format!("{ROWS} rows imported\n"), "{reason}");
            assert_eq!(export(pair).await?, expected, "{reason}");
        }
        Ok(())
    })
}

#[test]
fn a_decomposed_name_comes_out_composed() -> Result<()> {
    with_pair(async |pair| {
        import(pair, "name,status\nA\u{308}cker,available\n".as_bytes(), &[])?.end().await?.expect(0)?;

        let exported = export(pair).await?;

        assert_eq!(exported, "name,status\n\u{c4}cker,available\n");
        Ok(())
    })
}

#[test]
fn files_are_read_and_written_by_name() -> Result<()> {
    with_pair(async |pair| {
        let directory = servers()?.new_directory("exchange")?;
        let (source, copy) = (directory.join("bays.csv"), directory.join("copy.csv"));
        std::fs::write(&source, BAYS)?;
        std::fs::write(&copy, "what was there before, and was longer than what comes\n".repeat(100))?;

        let read =
            Run::command_service(pair, &["import-parking-slots", "--json"])?.and(&source).end().await?;
        assert_level(pair).await?;
        let written = Run::command_service(pair, &["export-parking-slots"])?.and(&copy).end().await?;

        assert_eq!(read.expect(0)?.json()?, serde_json::json!({ "imported": ROWS, "skipped": 0 }));
        assert_eq!(std::fs::read_to_string(&copy)?, BAYS);
        assert_eq!(written.expect(0)?.text()?, format!("{ROWS} rows exported\n"));
        let json = Run::command_service(pair, &["export-parking-slots", "--json"])?.and(&copy).end().await?;
        assert_eq!(json.expect(0)?.json()?, serde_json::json!({ "exported": ROWS }));
        Ok(())
    })
}

#[test]
fn an_export_that_cannot_begin_leaves_the_file_as_it_was() -> Result<()> {
    with_pair(async |pair| {
        let directory = servers()?.new_directory("exchange")?;
        let file = directory.join("bays.csv");
        std::fs::write(&file, BAYS)?;
        pair.links.command_replica.cut().await;

        let ended = Run::command_service(pair, &["export-parking-slots"])?.and(&file).end().await?;

        ended.expect(3)?;
        assert_eq!(std::fs::read_to_string(&file)?, BAYS, "yesterday's export is better than none");
        Ok(())
    })
}

#[test]
fn a_file_without_rows_imports_nothing_and_is_no_mistake() -> Result<()> {
    with_pair(async |pair| {
        for file in ["name,status", "name,status\n", "\u{feff}name,status\r\n", "\"name\",\"status\"\n\n\n"] {
            let ended = import(pair, file.as_bytes(), &[])?.end().await?.expect(0)?;

            assert_eq!(ended.text()?, "0 rows imported\n", "{file:?}");
        }
        assert_eq!(export(pair).await?, "name,status\n", "an empty register is a header");
        assert_eq!(log_length(pair).await?, 0);
        Ok(())
    })
}
