//! Files with a mistake: it is named by its line, and nothing is imported.

use anyhow::{Result, ensure};
use system_tests::{Pair, program::Run, servers::servers, with_pair};

use super::{BAYS, ROWS, import, log_length, rows};

/// Files, the line of their first mistake, and what it is.
fn cases() -> Vec<(Vec<u8>, usize, &'static str)> {
    let row = |row: &[u8]| [b"name,status\nBay 1,available\n", row, b"\nBay 3,available\n"].concat();
    vec![
        (b"".to_vec(), 1, "an empty file has no header"),
        (b"\xef\xbb\xbf".to_vec(), 1, "nor has one with nothing but a byte order mark"),
        (b"Bay 1,available\n".to_vec(), 1, "no header"),
        (b"name\nBay 1\n".to_vec(), 1, "half a header"),
        (b"status,name\navailable,Bay 1\n".to_vec(), 1, "another order"),
        (b"Name,Status\nBay 1,available\n".to_vec(), 1, "other letters"),
        (b"name,status,uuid\nBay 1,available,1\n".to_vec(), 1, "a column too many"),
        (b"name;status\nBay 1;available\n".to_vec(), 1, "semicolons, as some spreadsheets write"),
        (b"na\xffme,status\nBay 1,available\n".to_vec(), 1, "a header that is not UTF-8"),
        (b"\xff\xfen\0a\0m\0e\0".to_vec(), 1, "UTF-16"),
        (row(b"Bay 2,parked"), 3, "an unknown status"),
        (row(b"Bay 2,Available"), 3, "statuses are written small"),
        (row(b"Bay 2, available"), 3, "and without blanks"),
        (row(b"Bay 2,"), 3, "no status"),
        (row(b",available"), 3, "no name"),
        (row("\" \u{3000} \",available".as_bytes()), 3, "a name of blanks"),
        (row(format!("{},available", "x".repeat(201)).as_bytes()), 3, "a name of 201 characters"),
        (row(b"Bay 2"), 3, "a field is missing"),
        (row(b"Bay 2,available,"), 3, "a field too many"),
        (row(b"Bay, 2,available"), 3, "a comma without quotes"),
        (row(b"Bay \xff,available"), 3, "not UTF-8"),
        (row(b"\xed\xa0\x80,available"), 3, "half a surrogate pair"),
        (row(b"Bay\0 2,available"), 3, "a NUL"),
        (row(b"Bay\t2,available"), 3, "a control character"),
        (row("\u{200b},available".as_bytes()), 3, "a name that shows nothing"),
        (row("Bay\u{202e}2,available".as_bytes()), 3, "a bidirectional control"),
        (row(b"\"Bay\n2\",available"), 3, "a line break in a name: the row begins in line 3"),
        (row(b"\"Bay 2\n\n\",available\nBay 2,parked"), 6, "a row of three lines before it"),
        (row(b"\n\n\nBay 2,parked"), 6, "empty lines count"),
        (row(b"\"Bay 2,available"), 3, "a quote that never ends"),
    ]
}

#[test]
fn a_bad_line_is_named_by_its_number_and_nothing_is_imported() -> Result<()> {
    with_pair(async |pair| {
        for (file, line, reason) in cases() {
            let crlf = String::from_utf8(file.clone()).map(|text| text.replace('\n', "\r\n").into_bytes());
            let marked = [b"\xef\xbb\xbf".as_slice(), &file].concat();
            for file in [Some(file), crlf.ok(), Some(marked)].into_iter().flatten() {
                let ended = import(pair, &file, &[])?.end().await?.expect(1)?;

                let shown = String::from_utf8_lossy(&file);
                let expected = format!("command-service: line {line}: ");
                ensure!(ended.errors.starts_with(&expected), "{reason}: {shown:?}: {}", ended.errors);
                ensure!(ended.errors.ends_with("; nothing was imported\n"), "{reason}: {}", ended.errors);
                ensure!(ended.errors.lines().count() == 1, "{reason}: {}", ended.errors);
                ensure!(ended.output.is_empty(), "{reason}: messages belong on standard error");
            }
        }
        assert_eq!(log_length(pair).await?, 0, "not one row of all these files is in");
        Ok(())
    })
}

#[test]
fn a_bad_line_at_the_end_of_several_transactions_keeps_the_first_of_them_out() -> Result<()> {
    with_pair(async |pair| {
        let file = format!("{}Row 2501,parked\n", rows(2500));

        let ended = import(pair, file.as_bytes(), &[])?.end().await?.expect(1)?;

        assert_eq!(
            ended.errors,
            "command-service: line 2502: status must be available, reserved, occupied or blocked; \
             nothing was imported\n"
        );
        assert_eq!(log_length(pair).await?, 0);
        Ok(())
    })
}

#[test]
fn a_skip_beyond_the_end_is_refused_and_one_to_the_end_leaves_nothing_to_do() -> Result<()> {
    with_pair(async |pair| {
        let (all, more) = (ROWS.to_string(), (ROWS + 1).to_string());

        let to_the_end = import(pair, BAYS.as_bytes(), &["--skip", &all, "--json"])?.end().await?;
        let beyond = import(pair, BAYS.as_bytes(), &["--skip", &more])?.end().await?;

        assert_eq!(to_the_end.expect(0)?.json()?, serde_json::json!({ "imported": 0, "skipped": ROWS }));
        assert_eq!(beyond.expect(1)?.errors, "command-service: there are only 11 rows to skip\n");
        assert_eq!(log_length(pair).await?, 0);
        Ok(())
    })
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named() -> Result<()> {
    with_pair(async |pair| {
        let directory = servers()?.new_directory("exchange")?;
        let absent = directory.join("absent").join("bays.csv");
        let cases = [
            ("import-parking-slots", &absent, "it is not there"),
            ("import-parking-slots", &directory, "it is a directory"),
            ("export-parking-slots", &absent, "its directory is not there"),
            ("export-parking-slots", &directory, "it is a directory"),
        ];

        for (command, path, reason) in cases {
            let ended = run_with_path(pair, command, path).await?;

            ensure!(
                ended.errors.contains(&path.display().to_string()),
                "{command}: {reason}: {}",
                ended.errors
            );
            ensure!(ended.errors.lines().count() == 1, "{command}: {reason}: {}", ended.errors);
            ensure!(ended.output.is_empty(), "{command}: {reason}");
        }
        assert_eq!(log_length(pair).await?, 0);
        Ok(())
    })
}

async fn run_with_path(
    pair: &Pair,
    command: &str,
    path: &std::path::Path,
) -> Result<system_tests::program::Ended> {
    Run::command_service(pair, &[command])?.and(path).end().await?.expect(1)
}
