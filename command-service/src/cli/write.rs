//! Create, update, delete.

use std::time::Duration;

use serde_json::json;
use shared::{
    process::dependency_state::Dependency,
    slot::{ChangeSlot, Command, CreateSlot, DeleteSlot, Precondition, SlotName, SlotStatus, Version},
};
use tokio::task::JoinHandle;
use tracing::Span;
use uuid::Uuid;

use super::{
    exit::CliError,
    output::{print_json, print_record, print_text},
    read,
};
use crate::{
    commands::{Answer, Commands, Outcome, Submission, queue::CommandQueue},
    settings::Settings,
    write_model::{committer::Committer, wake::CommitSignal},
};

/// A write side of this process's own. The relay of a running service is woken by the commit; if none runs, the event
/// waits in the log.
pub(super) struct WriteSide {
    commands: CommandQueue,
    committer: JoinHandle<()>,
}

impl WriteSide {
    /// Starts a committer; the primary is reached when the first request comes.
    pub(super) fn start(settings: &Settings) -> Self {
        let (commands, submissions) = CommandQueue::channel(
            settings.commit_queue_limit,
            Duration::from_millis(settings.command_deadline_ms),
        );
        let dependency = Dependency::new("primary");
        let committer = Committer::new(settings.primary(), dependency, submissions, CommitSignal::default());
        Self { commands, committer: tokio::spawn(committer.run()) }
    }

    /// Has one request carried out.
    pub(super) async fn execute(&self, request: Commands) -> Answer {
        self.commands
            .execute(Submission { request, key: None, traceparent: None, span: Span::none() })
            .await
            .answer
    }

    /// Ends the committer.
    pub(super) async fn finish(self) -> Result<(), CliError> {
        drop(self.commands);
        Ok(self.committer.await.map_err(anyhow::Error::from)?)
    }
}

async fn execute_one(settings: &Settings, command: Command) -> Result<Outcome, CliError> {
    let write_side = WriteSide::start(settings);
    let answer = write_side.execute(Commands::One(command)).await;
    write_side.finish().await?;
    Ok(answer?.outcome)
}

fn print_outcome(outcome: &Outcome, json: bool) -> Result<(), CliError> {
    match outcome {
        Outcome::Created { record, .. } | Outcome::Updated { record, .. } => print_record(record, json),
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
    let uuid = Uuid::now_v7();
    let create = CreateSlot { uuid, name, status };
    let outcome = execute_one(settings, Command::Create(create)).await?;
    if !wait {
        return print_outcome(&outcome, json);
    }
    match read::when_visible(settings, uuid, *outcome.receipt()).await? {
        Ok(record) => print_record(&record, json),
        Err(reason) => Err(CliError::NotSeen { uuid, reason }),
    }
}

pub(super) async fn update(
    settings: &Settings,
    uuid: Uuid,
    name: Option<SlotName>,
    status: Option<SlotStatus>,
    if_version: Option<Version>,
    json: bool,
) -> Result<(), CliError> {
    let change = ChangeSlot { uuid, precondition: precondition(if_version), name, status };
    print_outcome(&execute_one(settings, Command::Change(change)).await?, json)
}

pub(super) async fn delete(
    settings: &Settings,
    uuid: Uuid,
    if_version: Option<Version>,
    json: bool,
) -> Result<(), CliError> {
    let delete = DeleteSlot { uuid, precondition: precondition(if_version) };
    print_outcome(&execute_one(settings, Command::Delete(delete)).await?, json)
}

fn precondition(if_version: Option<Version>) -> Precondition {
    if_version.map_or(Precondition::Exists, |version| Precondition::VersionIn(vec![version]))
}
