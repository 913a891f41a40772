//! Retries dead letters after the fix, or discards them.

use serde_json::json;

use super::printable::printable;
use crate::{
    cli::{exit::CliError, output::print_text},
    projection::{OpenDeadLetters, ReplicaSession, Retried, retry},
    settings::Settings,
};

pub(super) async fn retry_letters(
    settings: &Settings,
    ids: Vec<i64>,
    all: bool,
    json: bool,
) -> Result<(), CliError> {
    let ids = if all { every_id(settings).await? } else { ids };
    let mut replica = ReplicaSession::open(&settings.replica).await?;
    let mut kept = 0;
    for &id in &ids {
        let (outcome, reason) = match retry(&mut replica, id).await? {
            Retried::Applied => ("applied", None),
            Retried::Failed { reason } => ("failed", Some(reason)),
            // Another command may have settled it in the meantime.
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

pub(super) async fn discard(settings: &Settings, ids: &[i64], json: bool) -> Result<(), CliError> {
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
