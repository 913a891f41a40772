//! Create, update, delete.

use std::{pin::pin, time::Duration};

use serde_json::json;
use shared::{
    process::dependency_state::Dependency,
    slot::{ChangeSlot, Command, CreateSlot, DeleteSlot, Precondition, SlotName, SlotStatus, Version},
};
use tokio::{task::JoinHandle, time::timeout};
use tracing::Span;
use uuid::Uuid;

use super::{
    exit::CliError,
    output::{print_json, print_message, print_record, print_text, print_versioned},
    read,
};
use crate::{
    access::QueryAccess,
    commands::{Answer, Commands, Outcome, Refusal, Submission, queue::CommandQueue},
    freshness::demand::WAIT_MS_MAX,
    primary::connection::Primary,
    settings::Settings,
    write_model::{committer::Committer, wake::CommitSignal},
};

/// How soon a create that waits for the replica says so.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// The write side of a command: its own queue and committer. The commit wakes the relay of a running service; if none
/// runs, the event waits in the log.
pub(super) struct WriteSide {
    commands: CommandQueue,
    committer: JoinHandle<()>,
    primary: Dependency,
}

impl WriteSide {
    /// Starts a committer, which connects to the primary at once.
    pub(super) fn start(settings: &Settings, access: &Primary) -> Self {
        let (commands, submissions) = CommandQueue::channel(
            settings.commit_queue_limit,
            Duration::from_millis(settings.command_deadline_ms),
        );
        let primary = Dependency::new("primary");
        let committer = Committer::new(access.clone(), primary.clone(), submissions, CommitSignal::default());
        Self { commands, committer: tokio::spawn(committer.run()), primary }
    }

    /// Has one request carried out.
    pub(super) async fn execute(&self, request: Commands) -> Answer {
        self.commands
            .execute(Submission { request, key: None, traceparent: None, span: Span::none() })
            .await
            .answer
    }

    /// How the command ends because of a refusal. The queue does not say why the primary is down; the committer has
    /// noted it.
    pub(super) fn ended_by(&self, refusal: Refusal) -> CliError {
        match refusal {
            Refusal::PrimaryUnavailable => {
                CliError::Down { dependency: "the primary database", cause: self.primary.last_reason() }
            }
            refusal => refusal.into(),
        }
    }

    /// Ends the committer.
    pub(super) async fn finish(self) -> Result<(), CliError> {
        drop(self.commands);
        Ok(self.committer.await.map_err(anyhow::Error::from)?)
    }
}

async fn execute_one(settings: &Settings, access: &Primary, command: Command) -> Result<Outcome, CliError> {
    let write_side = WriteSide::start(settings, access);
    let answer = write_side.execute(Commands::One(command)).await;
    let done = answer.map_err(|refusal| write_side.ended_by(refusal));
    write_side.finish().await?;
    Ok(done?.outcome)
}

fn print_outcome(outcome: &Outcome, json: bool) -> Result<(), CliError> {
    match outcome {
        Outcome::Created { record, .. } => print_record(record, json),
        Outcome::Updated { record, .. } => print_versioned(record, json),
        Outcome::AllCreated { records, .. } => {
            records.iter().try_for_each(|record| print_record(record, json))
        }
        Outcome::Deleted { version, .. } if json => {
            print_json(&json!({ "removed": true, "version": version.get() }))
        }
        Outcome::Deleted { .. } => print_text("removed"),
    }
}

pub(super) async fn create(
    settings: &Settings,
    name: SlotName,
    status: SlotStatus,
    wait: bool,
    json: bool,
) -> Result<(), CliError> {
    let primary = settings.primary("create-parking-slot")?;
    // Asked for before the slot is created.
    let replica = if wait { Some(settings.replica_url("create-parking-slot --wait")?.clone()) } else { None };
    let uuid = Uuid::now_v7();
    let create = CreateSlot { uuid, name, status };
    let outcome = execute_one(settings, &primary, Command::Create(create)).await?;
    let Some(replica) = replica else {
        return print_outcome(&outcome, json);
    };
    let access = QueryAccess { replica, primary: Some(primary) };
    match with_notice(uuid, read::when_visible(settings, &access, uuid, *outcome.receipt())).await {
        Ok(record) => print_record(&record, json),
        Err(CliError::NotFound) => Err(CliError::NotFound),
        Err(reason) => Err(CliError::NotSeen { uuid, reason: Box::new(reason) }),
    }
}

/// Waits, and says for what if that takes a moment.
async fn with_notice<T>(uuid: Uuid, waiting: impl Future<Output = T>) -> T {
    let mut waiting = pin!(waiting);
    if let Ok(seen) = timeout(NOTICE_AFTER, &mut waiting).await {
        return seen;
    }
    let secs = Duration::from_millis(WAIT_MS_MAX).as_secs();
    print_message(&format!(
        "parking slot {uuid} is created; waiting up to {secs} s until the replica shows it"
    ));
    waiting.await
}

pub(super) async fn update(
    settings: &Settings,
    uuid: Uuid,
    name: Option<SlotName>,
    status: Option<SlotStatus>,
    if_version: Option<Version>,
    json: bool,
) -> Result<(), CliError> {
    let primary = settings.primary("update-parking-slot")?;
    let change = ChangeSlot { uuid, precondition: precondition(if_version), name, status };
    print_outcome(&execute_one(settings, &primary, Command::Change(change)).await?, json)
}

pub(super) async fn delete(
    settings: &Settings,
    uuid: Uuid,
    if_version: Option<Version>,
    json: bool,
) -> Result<(), CliError> {
    let primary = settings.primary("delete-parking-slot")?;
    let delete = DeleteSlot { uuid, precondition: precondition(if_version) };
    print_outcome(&execute_one(settings, &primary, Command::Delete(delete)).await?, json)
}

fn precondition(if_version: Option<Version>) -> Precondition {
    if_version.map_or(Precondition::Exists, |version| Precondition::VersionIn(vec![version]))
}
