//! The transcripts of the README and of the documents that go on from it, run as they stand.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use stack::Port;
use system_tests::{
    CargoStack,
    cargo_stack::said,
    transcript::{self, Shown, Variables, transcript},
};

use crate::prose::documents;

/// The documents and sections whose first block is a transcript, in reading order. The last member waits for the replica
/// before each command, because a test types faster than a reader.
const SECTIONS: [(&str, &str, Awaited); 3] = [
    ("README.md", "## See it work", CargoStack::level),
    // There, the consumer is stopped.
    ("docs/freshness.md", "## Watch a write arrive", CargoStack::published),
    ("docs/operations.md", "## Verify the replica", CargoStack::level),
];

type Awaited = fn(&CargoStack) -> Result<()>;

#[test]
fn the_transcript_of_the_readme_is_what_one_sees() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let stack = CargoStack::up()?;
    let mut variables = Variables::default();

    for (document, section, awaited) in SECTIONS {
        let text = fs::read_to_string(root.join(document)).context(document)?;
        let transcript = transcript(&text, section)?;
        ensure!(transcript.len() >= 5, "this is not the whole transcript: {transcript:?}");
        for Shown { command, output } in &transcript {
            awaited(&stack)?;
            let ran = shell(&adapted(&variables.put_into(command), &stack), &stack).output()?;

            assert!(ran.status.success(), "{command}: {}", said(&ran));
            let seen = String::from_utf8(ran.stdout)?;
            if let Err(difference) = variables.check(output, seen.trim_end_matches('\n')) {
                panic!(
                    "$ {command}\n{difference}\n{document} shows:\n{output}\nbut the command prints:\n{seen}"
                );
            }
        }
    }
    Ok(())
}

/// The one place where the transcript is adapted to the test: `cargo stack` is the program behind it, which finds the
/// test's own stack by its environment, and command-service has another port. Where there is no curl, the stand-in of
/// the tour takes its place.
fn adapted(command: &str, stack: &CargoStack) -> String {
    let program = stack.program().display().to_string();
    let default_address = format!("http://127.0.0.1:{}", Port::Http.default_value());
    let command = command.replace("cargo stack", &program).replace(&default_address, &stack.url());
    let has_curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok();
    match command.strip_prefix("curl ") {
        Some(arguments) if !has_curl => format!("{program} curl {arguments}"),
        _ => command,
    }
}

fn shell(command: &str, stack: &CargoStack) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).envs(stack.environment()).env("no_proxy", "*").stdin(Stdio::null());
    shell
}

/// Whether a block of code shows commands and what they print.
fn is_transcript(block: &[&str]) -> bool {
    let command = |line: &&str| line.trim_start().starts_with("$ ");
    block.iter().any(command) && !block.iter().all(command)
}

#[test]
fn every_transcript_of_the_documents_is_run() -> Result<()> {
    let mut shown = Vec::new();
    for document in documents()? {
        let lines: Vec<&str> = document.text.lines().collect();
        let blocks = lines.split(|line| !line.starts_with("    "));
        let transcripts = blocks.filter(|block| is_transcript(block));
        shown.extend(transcripts.map(|_| document.path.to_string_lossy().into_owned()));
    }

    // Those of containers are run by `containers::the_transcript_of_compose_is_what_one_sees`.
    let run = SECTIONS.iter().map(|(document, ..)| *document).chain([transcript::IN_CONTAINERS.0]);
    let mut run: Vec<String> = run.map(str::to_owned).collect();
    run.sort();
    assert_eq!(shown, run, "one section of each document");
    Ok(())
}

#[test]
fn only_uuids_times_and_ages_may_differ_from_the_transcript() {
    let (one, two) = ("01a200b7-6771-742a-bc19-16bd795b4ad4", "01a200b8-0c3e-7c11-9f0a-6c2f7a2f6f55");
    let (early, late) = ("2026-11-22T00:45:49.299467Z", "2026-11-22T00:45:50.000000Z");
    let cases = [
        (format!("{one} {early}"), format!("{two} {late}"), true, "a uuid and a time"),
        (format!("{one}\n{one}"), format!("{two}\n{two}"), true, "twice the same"),
        (format!("{one}\n{one}"), format!("{one}\n{two}"), false, "no longer the same"),
        (format!("{one}\n{two}"), format!("{one}\n{one}"), false, "no longer different"),
        (format!("{early} {early}"), format!("{late} {early}"), false, "no longer the same time"),
        (one.to_owned(), early.to_owned(), false, "a time for a uuid"),
        (early.to_owned(), "2026-11-22T00:45:49Z".to_owned(), false, "a time without its digits"),
        (one.to_owned(), one.to_uppercase(), false, "a uuid in capitals"),
        (one.to_owned(), one.replace("-7", "-4"), false, "a uuid of another version"),
        ("version 1".to_owned(), "version 2".to_owned(), false, "a number"),
        ("it is 1.2 s behind".to_owned(), "it is 0.9 s behind".to_owned(), true, "an age"),
        ("it is 1.2 s behind".to_owned(), "it is 12 s behind".to_owned(), false, "an age without its digit"),
        ("a".to_owned(), "a\nb".to_owned(), false, "one more line"),
        (one.to_owned(), format!("{one} {two}"), false, "one more uuid"),
    ];

    for (shown, seen, same, reason) in cases {
        assert_eq!(Variables::default().check(&shown, &seen).is_ok(), same, "{reason}");
    }
}

#[test]
fn the_transcript_is_the_block_below_its_heading() {
    let readme = "# A\n\n    $ other\n\n## See it work\n\nSome words:\n\n    $ one\n    a\n    b\n    $ two\n\nMore.\n\n    $ not\n";

    let found = transcript(readme, "## See it work").expect("a transcript");

    let shown =
        |command: &str, output: &str| Shown { command: command.to_owned(), output: output.to_owned() };
    assert_eq!(found, [shown("one", "a\nb"), shown("two", "")]);
}
