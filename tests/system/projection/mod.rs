//! The projection by itself, on a real replica: whatever order, repetition and batching events come in, what is left
//! is what the log says.

mod applied_set;
mod orders;
mod listing;

use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result};
use event_consumer::{
    batch::{Batch, Received},
    projection::{Applied, ReplicaSession, apply_batch},
};
use lapin::BasicProperties;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestRunner},
};
use shared::{
    messages::event::{EventType, LoggedEvent},
    position::Position,
    postgres::DatabaseUrl,
    slot::{Changed, Slot, SlotEvent, SlotName, SlotStatus, Version, evolve},
};
use system_tests::{database::Database, level::EventRow, servers::servers};
use tokio::{runtime::Runtime, sync::Mutex};
use uuid::Uuid;

pub(crate) const EPOCH: Uuid = Uuid::from_u128(0xe90c);

/// A replica of its own and connections on which events are applied to it.
pub(crate) struct Stand {
    pub(crate) runtime: Runtime,
    pub(crate) replica: Database,
    url: DatabaseUrl,
    pub(crate) session: Mutex<ReplicaSession>,
}

impl Stand {
    pub(crate) fn new() -> Result<Self> {
        let servers = servers()?;
        let server = servers.replica().clone();
        let replica = Database::new(server.clone(), servers.new_replica_database(&server)?);
        let url =
            DatabaseUrl::parse(&server.url(stack::Role::EventConsumer, &replica.name)).context("no URL")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let session = Mutex::new(runtime.block_on(ReplicaSession::open(&url))?);
        Ok(Self { runtime, replica, url, session })
    }

    /// The replica's address for command-service.
    pub(crate) fn reader_url(&self) -> Result<DatabaseUrl> {
        let url = self.replica.server.url(stack::Role::CommandServiceReader, &self.replica.name);
        DatabaseUrl::parse(&url).context("no URL")
    }

    /// Runs `test` on an empty replica for each of `cases` values.
    pub(crate) fn for_each<S: Strategy>(
        &self,
        cases: u32,
        strategy: &S,
        test: impl AsyncFn(S::Value) -> Result<(), TestCaseError>,
    ) -> Result<()> {
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let checked = runner.run(strategy, |value| {
            self.runtime.block_on(async {
                self.empty().await.map_err(fail)?;
                test(value).await
            })
        });
        checked.map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Makes the replica as it is after its migrations.
    async fn empty(&self) -> Result<()> {
        // TRUNCATE would make new files each time, which takes longer than the test itself.
        let sql = "DELETE FROM parking_slots; DELETE FROM parking_slot_tombstones; DELETE FROM dead_letters;
                   DELETE FROM replication_ahead; UPDATE parking_slot_summary SET slots = 0;
                   UPDATE replication_status SET applied = DEFAULT, as_of = NULL, applied_at = NULL, epoch = NULL";
        Ok(self.replica.sql().await?.batch_execute(sql).await?)
    }

    /// Applies a batch on the stand's connection.
    pub(crate) async fn apply(&self, events: &[LoggedEvent]) -> Result<Applied> {
        apply(&mut *self.session.lock().await, events).await
    }
}

/// Applies a batch the way the subscription does.
async fn apply(session: &mut ReplicaSession, events: &[LoggedEvent]) -> Result<Applied> {
    let properties = BasicProperties::default();
    let jsons: Vec<String> = events
        .iter()
        .map(|event| {
            let mut json = Vec::new();
            event.encode_into(&mut json);
            Ok(String::from_utf8(json)?)
        })
        .collect::<Result<_>>()?;
    let received = events.iter().zip(&jsons);
    let batch = Batch {
        events: received
            .map(|(event, json)| Received { event: event.clone(), json, properties: &properties })
            .collect(),
        ..Batch::default()
    };
    Ok(apply_batch(session, &batch).await?)
}

pub(crate) fn fail(error: anyhow::Error) -> TestCaseError {
    TestCaseError::fail(format!("{error:#}"))
}

/// What happens next to a slot in a history that is being made up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Create,
    Rename,
    Occupy,
    Delete,
}

/// A log made up of steps on slots by number, one commit a second. Steps that make no sense are left out: changes and
/// deletes of what is not there, creates of what was there before.
pub(crate) fn log_of(steps: &[(u8, Step)]) -> Vec<LoggedEvent> {
    static NEXT_NAME: AtomicI64 = AtomicI64::new(1);
    let mut slots: std::collections::BTreeMap<u8, (i64, Option<Slot>)> = std::collections::BTreeMap::new();
    let mut log: Vec<LoggedEvent> = Vec::new();
    for (number, step) in steps {
        let name = format!("Name {}", NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        let uuid = Uuid::from_u128(u128::from(*number) + 1);
        let before = slots.get(number).cloned();
        let Some(event) = next_event(uuid, before.as_ref().map(|(_, slot)| slot.as_ref()), *step, &name)
        else {
            continue;
        };
        let position = i64::try_from(log.len()).expect("a short log") + 1;
        let created = before.map_or(position, |(created, _)| created);
        slots.insert(*number, (created, evolve(&event).cloned()));
        let committed_at = second(position);
        let created_at =
            if matches!(event, SlotEvent::Deleted { .. }) { committed_at } else { second(created) };
        log.push(LoggedEvent {
            position: Position::new(position).expect("a position"),
            id: Uuid::from_u128(u128::from(position.unsigned_abs()) << 64),
            epoch: EPOCH,
            committed_at,
            created_at,
            traceparent: None,
            event,
        });
    }
    log
}

/// `before` is `None` for a slot that never was, `Some(None)` for one that is no more.
fn next_event(uuid: Uuid, before: Option<Option<&Slot>>, step: Step, name: &str) -> Option<SlotEvent> {
    let name = SlotName::parse(name).ok()?;
    match (before, step) {
        (None, Step::Create) => {
            let status = SlotStatus::Available;
            Some(SlotEvent::Created(Slot { uuid, name, status, version: Version::FIRST }))
        }
        (Some(Some(slot)), Step::Rename) => {
            let slot = Slot { name, version: slot.version.next(), ..slot.clone() };
            Some(SlotEvent::Updated { slot, changed: Changed::Name })
        }
        (Some(Some(slot)), Step::Occupy) if slot.status != SlotStatus::Occupied => {
            let slot = Slot { status: SlotStatus::Occupied, version: slot.version.next(), ..slot.clone() };
            Some(SlotEvent::Updated { slot, changed: Changed::Status })
        }
        (Some(Some(slot)), Step::Delete) => Some(SlotEvent::Deleted { uuid, version: slot.version.next() }),
        _ => None,
    }
}

fn second(number: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000 + number).expect("a time")
}

/// The events as rows of the log, for the fold that knows nothing of the services' code. A delete's row has the time
/// of its slot's create, which is not on the wire.
pub(crate) fn rows_of(log: &[LoggedEvent]) -> Vec<EventRow> {
    log.iter()
        .map(|logged| {
            let slot = evolve(&logged.event);
            let creation = log.iter().find(|other| other.event.uuid() == logged.event.uuid());
            EventRow {
                position: logged.position.get(),
                version: logged.event.version().get(),
                committed_at: logged.committed_at,
                created_at: creation.map_or(logged.created_at, |event| event.committed_at),
                id: logged.id,
                slot_uuid: logged.event.uuid(),
                kind: EventType::of(&logged.event).as_str().to_owned(),
                status: slot.map(|slot| slot.status.as_str().to_owned()),
                name: slot.map(|slot| slot.name.to_string()),
                changed: match &logged.event {
                    SlotEvent::Updated { changed, .. } => Some(changed.as_str().to_owned()),
                    SlotEvent::Created(_) | SlotEvent::Deleted { .. } => None,
                },
            }
        })
        .collect()
}
