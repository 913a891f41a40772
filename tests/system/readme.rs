//! The transcripts of the README and of the documents that go on from it, run as they stand.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use command_service::register::receipt::Receipt;
use jiff::Timestamp;
use stack::Port;
use system_tests::{CargoStack, cargo_stack::said};
use uuid::Uuid;

use crate::prose::documents;

/// The documents and sections whose first block is a transcript, in the order in which they are read, and how far the
/// replica is let come before each command: whoever types gives it more time than a test does.
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
                panic!("$ {command}\n{difference}\n{document} shows:\n{output}\nand one sees:\n{seen}");
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

/// A command and what it prints.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: String,
}

/// The first indented block below a heading.
fn transcript(document: &str, heading: &str) -> Result<Vec<Shown>> {
    let (_, section) =
        document.split_once(&format!("\n{heading}\n")).with_context(|| format!("no {heading}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().skip_while(|line| !line.starts_with("    "));
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    let mut shown: Vec<Shown> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            shown.push(Shown { command: command.to_owned(), output: String::new() });
            continue;
        }
        let last = shown.last_mut().with_context(|| format!("output without a command: {line}"))?;
        if !last.output.is_empty() {
            last.output.push('\n');
        }
        last.output.push_str(line);
    }
    Ok(shown)
}

/// What differs from run to run, and what stands for what: the same uuid or time wherever the documents show the same.
#[derive(Debug, Default)]
struct Variables {
    seen_for: HashMap<String, String>,
    shown_for: HashMap<String, String>,
}

impl Variables {
    /// The command with what was seen in place of what the documents show for it.
    fn put_into(&self, command: &str) -> String {
        self.seen_for.iter().fold(command.to_owned(), |command, (shown, seen)| command.replace(shown, seen))
    }

    /// Whether `seen` is `shown`, but for uuids and times, which must be consistent over the whole transcript.
    fn check(&mut self, shown: &str, seen: &str) -> Result<(), String> {
        let (shown, seen) = (pieces(shown), pieces(seen));
        for (shown, seen) in shown.iter().zip(&seen) {
            match (shown, seen) {
                (Piece::Text(shown), Piece::Text(seen)) if shown == seen => {}
                (Piece::Uuid(shown), Piece::Uuid(seen))
                | (Piece::Time(shown), Piece::Time(seen))
                | (Piece::Receipt(shown), Piece::Receipt(seen))
                | (Piece::Age(shown), Piece::Age(seen)) => {
                    let (first_seen, first_shown) = (
                        self.seen_for.entry((*shown).to_owned()).or_insert_with(|| (*seen).to_owned()),
                        self.shown_for.entry((*seen).to_owned()).or_insert_with(|| (*shown).to_owned()),
                    );
                    if (first_seen.as_str(), first_shown.as_str()) != (*seen, *shown) {
                        return Err(format!(
                            "{shown} is {seen} here, but {first_seen} was {first_shown} before"
                        ));
                    }
                }
                _ => return Err(format!("{shown:?} differs from {seen:?}")),
            }
        }
        if shown.len() == seen.len() { Ok(()) } else { Err("one is longer than the other".to_owned()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Uuid(&'t str),
    Time(&'t str),
    Receipt(&'t str),
    Age(&'t str),
}

/// Characters of a receipt.
const RECEIPT_LENGTH: usize = 50;

/// Cuts a text at its uuids, times, receipts and ages.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let Some(variable) = variable_at(text, at) else {
            at += 1;
            continue;
        };
        pieces.push(Piece::Text(&text[start..at]));
        let (Piece::Text(found)
        | Piece::Uuid(found)
        | Piece::Time(found)
        | Piece::Receipt(found)
        | Piece::Age(found)) = variable;
        at += found.len();
        start = at;
        pieces.push(variable);
    }
    pieces.push(Piece::Text(&text[start..]));
    pieces
}

/// The uuid, time, receipt or age that begins here: in the one form that is promised, version 7 and six digits.
fn variable_at(text: &str, at: usize) -> Option<Piece<'_>> {
    let uuid = text.get(at..at + 36).filter(|part| {
        Uuid::try_parse(part).is_ok_and(|uuid| uuid.get_version_num() == 7 && uuid.to_string() == **part)
    });
    let is_time = |part: &&str| {
        part.ends_with('Z') && part.parse::<Timestamp>().is_ok_and(|time| format!("{time:.6}") == **part)
    };
    let time = text.get(at..at + 27).filter(is_time);
    let receipt = text.get(at..at + RECEIPT_LENGTH).filter(|part| Receipt::decode(part).is_some());
    let age = age_at(&text[at..]).filter(|_| text[..at].ends_with(' '));
    uuid.map(Piece::Uuid).or(time.map(Piece::Time)).or(receipt.map(Piece::Receipt)).or(age.map(Piece::Age))
}

/// How far behind a replica is, to a tenth of a second.
fn age_at(text: &str) -> Option<&str> {
    let (seconds, _) = text.split_once(" s behind")?;
    let (whole, tenth) = seconds.split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    (digits(whole) && digits(tenth) && tenth.len() == 1).then_some(seconds)
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

    let mut run = SECTIONS.map(|(document, ..)| document.to_owned());
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
