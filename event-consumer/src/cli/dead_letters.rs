//! Dead letters: what could not be applied is looked at, retried after the fix, or given up.

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Subcommand;
use serde_json::{Value, json};
use shared::time;

use super::{exit::CliError, output::print_text};
use crate::{
    projection::{DeadLetterSummary, OpenDeadLetter, OpenDeadLetters, ReplicaSession, Retried, retry},
    settings::Settings,
};

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
    /// Print the open ones, oldest first
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print one with its headers and its body
    Show {
        /// Its number
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Apply them after all; those that fail again stay, with the new reason beside the old one
    ///
    /// At any time and in any order, also while the consumer runs: what is older than the slot changes nothing.
    Retry {
        /// Their numbers
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID",
              value_parser = clap::value_parser!(i64).range(1..))]
        ids: Vec<i64>,
        /// All that are open
        #[arg(long)]
        all: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Give them up for good
    ///
    /// A letter with a position is an event that this replica will never have: the position stays settled, its receipt
    /// counts as applied, and reads no longer say that it is missing. Only a later event of the same slot, a replay of
    /// that position, or `command-service verify --repair`, brings the replica level again. A letter without a position settled nothing: the events that
    /// it may have held are sent again by themselves.
    Discard {
        /// Their numbers
        #[arg(required = true, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
        ids: Vec<i64>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

impl DeadLetters {
    pub(super) async fn carry_out(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::List { json } => list(settings, json).await,
            Self::Show { id, json } => show(settings, id, json).await,
            Self::Retry { ids, all, json } => retry_letters(settings, ids, all, json).await,
            Self::Discard { ids, json } => discard(settings, &ids, json).await,
        }
    }
}

async fn list(settings: &Settings, json: bool) -> Result<(), CliError> {
    let letters = OpenDeadLetters::open(&settings.replica).await?;
    let mut last = 0;
    loop {
        let page = letters.page_behind(last).await?;
        if last == 0 && !json {
            print_text(if page.is_empty() { "no dead letters" } else { TABLE_HEAD })?;
        }
        for letter in &page {
            print_text(&if json { as_json(letter).to_string() } else { table_row(letter) })?;
            last = letter.id;
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

const TABLE_HEAD: &str = "    id    position  type            dead-lettered                retries  reason";

fn table_row(letter: &DeadLetterSummary) -> String {
    let position = letter.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
    let (kind, time) = (letter.kind.as_deref().unwrap_or("-"), time::format(letter.dead_lettered_at));
    let reason = match &letter.last_retry_reason {
        Some(again) => format!("{}; at the last retry: {again}", letter.reason),
        None => letter.reason.clone(),
    };
    let (id, retries) = (letter.id, letter.retries);
    printable(&format!("{id:>6}  {position:>10}  {kind:<14}  {time:<27}  {retries:>7}  {reason}"), "")
}

/// What a stranger's message claims must not move the cursor of the terminal.
fn printable(text: &str, allowed: &str) -> String {
    let shown = |one: char| match one.is_control() && !allowed.contains(one) {
        true => one.escape_default().to_string(),
        false => one.to_string(),
    };
    text.chars().map(shown).collect()
}

fn as_json(letter: &DeadLetterSummary) -> Value {
    json!({
        "id": letter.id,
        "position": letter.position,
        "type": letter.kind,
        "reason": letter.reason,
        "dead_lettered_at": time::format(letter.dead_lettered_at),
        "retries": letter.retries,
        "last_retry_reason": letter.last_retry_reason,
        "body_bytes": letter.body_bytes,
    })
}

async fn show(settings: &Settings, id: i64, json: bool) -> Result<(), CliError> {
    let letters = OpenDeadLetters::open(&settings.replica).await?;
    let letter = letters.one(id).await?.ok_or_else(|| CliError::Refused(format!("no dead letter {id}")))?;
    if json {
        return print_text(&whole_as_json(&letter)?.to_string());
    }
    let OpenDeadLetter { summary, headers, body } = &letter;
    let dash = || "-".to_owned();
    let position = summary.position.map_or_else(dash, |position| position.to_string());
    let again = summary.last_retry_reason.clone().unwrap_or_else(dash);
    let (encoding, body) = text_of(body);
    let fields = [
        ("id", id.to_string()),
        ("position", position),
        ("type", summary.kind.clone().unwrap_or_else(dash)),
        ("dead-lettered", time::format(summary.dead_lettered_at)),
        ("reason", summary.reason.clone()),
        ("retries", summary.retries.to_string()),
        ("last retry", again),
        ("headers", headers.clone()),
        ("body", format!("{} bytes, {encoding}", summary.body_bytes)),
    ];
    for (name, value) in fields {
        print_text(&format!("{:<11} {}", format!("{name}:"), printable(&value, "")))?;
    }
    print_text(&printable(&body, "\n\t"))
}

fn whole_as_json(letter: &OpenDeadLetter) -> Result<Value, CliError> {
    let (encoding, body) = text_of(&letter.body);
    let mut whole = as_json(&letter.summary);
    whole["headers"] = serde_json::from_str(&letter.headers).map_err(anyhow::Error::from)?;
    whole["encoding"] = json!(encoding);
    whole["body"] = json!(body);
    Ok(whole)
}

/// The body and how it is written: as it is if it is text.
fn text_of(body: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(body) {
        Ok(text) => ("utf-8", text.to_owned()),
        Err(_) => ("base64", BASE64_STANDARD.encode(body)),
    }
}

async fn retry_letters(settings: &Settings, ids: Vec<i64>, all: bool, json: bool) -> Result<(), CliError> {
    let ids = if all { every_id(settings).await? } else { ids };
    let mut replica = ReplicaSession::open(&settings.replica).await?;
    let mut kept = 0;
    for &id in &ids {
        let (outcome, reason) = match retry(&mut replica, id).await? {
            Retried::Applied => ("applied", None),
            Retried::Failed { reason } => ("failed", Some(reason)),
            // Somebody else may have seen to it meanwhile.
            Retried::Absent if all => continue,
            Retried::Absent => ("absent", None),
        };
        kept += usize::from(outcome != "applied");
        print_outcome(id, outcome, reason.as_deref(), json)?;
    }
    finish(kept, ids.len(), "applied")
}

async fn every_id(settings: &Settings) -> Result<Vec<i64>, CliError> {
    let letters = OpenDeadLetters::open(&settings.replica).await?;
    let mut ids = Vec::new();
    loop {
        let page = letters.page_behind(ids.last().copied().unwrap_or_default()).await?;
        if page.is_empty() {
            return Ok(ids);
        }
        ids.extend(page.iter().map(|letter| letter.id));
    }
}

async fn discard(settings: &Settings, ids: &[i64], json: bool) -> Result<(), CliError> {
    let mut letters = OpenDeadLetters::open(&settings.replica).await?;
    let mut absent = 0;
    for &id in ids {
        let outcome = if letters.discard(id).await? { "discarded" } else { "absent" };
        absent += usize::from(outcome == "absent");
        print_outcome(id, outcome, None, json)?;
    }
    finish(absent, ids.len(), "discarded")
}

fn print_outcome(id: i64, outcome: &str, reason: Option<&str>, json: bool) -> Result<(), CliError> {
    if json {
        return print_text(&json!({ "id": id, "outcome": outcome, "reason": reason }).to_string());
    }
    let reason = reason.map_or_else(String::new, |reason| format!(": {}", printable(reason, "")));
    print_text(&format!("{id}: {outcome}{reason}"))
}

fn finish(kept: usize, asked: usize, wanted: &str) -> Result<(), CliError> {
    match kept {
        0 => Ok(()),
        kept => Err(CliError::Refused(format!("{kept} of {asked} were not {wanted}"))),
    }
}
