//! Open dead letters, printed: all in a table, or one with headers and body.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use shared::time;

use super::printable::printable;
use crate::{
    cli::{exit::CliError, output::print_text},
    projection::{DeadLetterSummary, OpenDeadLetter, OpenDeadLetters},
    settings::Settings,
};

const TABLE_HEAD: &str = "    id    position  type            dead-lettered                retries  reason";

pub(super) async fn list(settings: &Settings, json: bool) -> Result<(), CliError> {
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

pub(super) async fn show(settings: &Settings, id: i64, json: bool) -> Result<(), CliError> {
    let letters = OpenDeadLetters::open(&settings.replica).await?;
    let letter = letters.one(id).await?.ok_or_else(|| CliError::Refused(format!("no dead letter {id}")))?;
    if json {
        return print_text(&whole_as_json(&letter)?.to_string());
    }
    let OpenDeadLetter { summary, headers, body } = &letter;
    let dash = || "-".to_owned();
    let position = summary.position.map_or_else(dash, |position| position.to_string());
    let again = summary.last_retry_reason.clone().unwrap_or_else(dash);
    let (stored_bytes, (encoding, body)) = (body.len(), text_of(body));
    let fields = [
        ("id", id.to_string()),
        ("position", position),
        ("type", summary.kind.clone().unwrap_or_else(dash)),
        ("dead-lettered", time::format(summary.dead_lettered_at)),
        ("reason", summary.reason.clone()),
        ("retries", summary.retries.to_string()),
        ("last retry", again),
        ("headers", headers.clone()),
        ("body", body_line(summary, stored_bytes, encoding)),
    ];
    for (name, value) in fields {
        print_text(&format!("{:<11} {}", format!("{name}:"), printable(&value, "")))?;
    }
    print_text(&printable(&body, "\n\t"))
}

fn body_line(summary: &DeadLetterSummary, stored_bytes: usize, encoding: &str) -> String {
    let bytes = summary.body_bytes;
    match summary.is_cut {
        true => format!("the first {stored_bytes} of {bytes} bytes, {encoding}; the rest is not stored"),
        false => format!("{bytes} bytes, {encoding}"),
    }
}

fn whole_as_json(letter: &OpenDeadLetter) -> Result<Value, CliError> {
    let (encoding, body) = text_of(&letter.body);
    let mut whole = as_json(&letter.summary);
    whole["headers"] = serde_json::from_str(&letter.headers).map_err(anyhow::Error::from)?;
    whole["encoding"] = json!(encoding);
    whole["body"] = json!(body);
    Ok(whole)
}

/// The body and its encoding: text stays as it is.
fn text_of(body: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(body) {
        Ok(text) => ("utf-8", text.to_owned()),
        Err(_) => ("base64", BASE64_STANDARD.encode(body)),
    }
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
        "body_cut": letter.is_cut,
    })
}
