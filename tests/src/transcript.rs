//! The commands that documents show, and what they print.

use std::collections::HashMap;

use anyhow::{Context, Result};
use command_service::register::receipt::Receipt;
use jiff::Timestamp;
use uuid::Uuid;

/// The document and the section whose transcript is run in containers.
pub const IN_CONTAINERS: (&str, &str) = ("docs/compose.md", "## See it work in containers");

/// A command and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// What is typed.
    pub command: String,
    /// What is printed, without its last line break.
    pub output: String,
}

/// The first indented block below a heading.
///
/// # Errors
/// There is no such heading, or the block begins with output.
pub fn transcript(document: &str, heading: &str) -> Result<Vec<Shown>> {
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
pub struct Variables {
    seen_for: HashMap<String, String>,
    shown_for: HashMap<String, String>,
}

impl Variables {
    /// The command with what was seen in place of what the documents show for it.
    #[must_use]
    pub fn put_into(&self, command: &str) -> String {
        self.seen_for.iter().fold(command.to_owned(), |command, (shown, seen)| command.replace(shown, seen))
    }

    /// Whether `seen` is `shown`, but for uuids and times, which must be consistent over the whole transcript.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&mut self, shown: &str, seen: &str) -> Result<(), String> {
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
