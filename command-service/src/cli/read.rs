//! List and details.

use std::{num::NonZeroUsize, time::Duration};

use serde::Serialize;
use shared::{
    postgres::DatabaseUrl,
    process::{dependency_state::Dependency, tasks::Tasks},
    slot::SlotStatus,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    exit::CliError,
    output::{print_json, print_versioned},
};
use crate::{
    access::QueryAccess,
    freshness::{
        demand::{Demand, OnTimeout, WAIT_MS_MAX},
        gate::{Fresh, Freshness},
    },
    queries::{
        cursor::Cursor,
        list::{Filter, LIMIT_MAX},
        one::ShownSlot,
        replica::Replica,
        status::{HandedBack, ReplicaStatus},
    },
    register::{
        receipt::{Receipt, WriteReceipt},
        record::SlotRecord,
    },
    settings::Settings,
    startup::{GateReports, open_gate},
};

/// The replica, for the command `needed_by`. Its readers end with `tasks`.
pub(super) fn replica(settings: &Settings, needed_by: &str, tasks: &mut Tasks) -> Result<Replica, CliError> {
    Ok(open(settings.replica_url(needed_by)?, tasks))
}

fn open(replica: &DatabaseUrl, tasks: &mut Tasks) -> Replica {
    Replica::open(replica, &Dependency::new("replica"), tasks, &CancellationToken::new())
}

/// The slots that pass a filter, in creation order, a page at a time: however many there are, only one page is in
/// memory.
pub(super) struct Pages<'r> {
    replica: &'r Replica,
    filter: &'r Filter,
    cursor: Option<Cursor>,
}

impl<'r> Pages<'r> {
    pub(super) fn of(replica: &'r Replica, filter: &'r Filter) -> Self {
        Self { replica, filter, cursor: Some(Cursor::START) }
    }

    /// The slots of the next page, at most `limit`; `None` when nothing follows.
    pub(super) async fn next(&mut self, limit: u16) -> Result<Option<Vec<SlotRecord>>, CliError> {
        let Some(from) = self.cursor else { return Ok(None) };
        let page = self.replica.list(self.filter, from, limit, &HandedBack::default()).await?.found;
        self.cursor = page.next();
        Ok(Some(page.records().map_err(anyhow::Error::from)?))
    }
}

pub(super) async fn list(
    settings: &Settings,
    status: Option<SlotStatus>,
    name_contains: Option<String>,
    limit: Option<NonZeroUsize>,
) -> Result<(), CliError> {
    let mut tasks = Tasks::default();
    let replica = replica(settings, "parking-slot-list", &mut tasks)?;
    let filter = Filter { status, name_contains };
    let mut pages = Pages::of(&replica, &filter);
    let mut left = limit.map_or(usize::MAX, NonZeroUsize::get);
    while left > 0 {
        let page_limit = u16::try_from(left).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
        let Some(records) = pages.next(page_limit).await? else { break };
        records.iter().try_for_each(print_line)?;
        left -= records.len();
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'r> {
    uuid: Uuid,
    name: &'r str,
    status: &'static str,
    version: i64,
}

fn print_line(record: &SlotRecord) -> Result<(), CliError> {
    let slot = &record.slot;
    let (status, version) = (slot.status.as_str(), slot.version.get());
    print_json(&Line { uuid: slot.uuid, name: slot.name.as_str(), status, version })
}

pub(super) async fn details(settings: &Settings, uuid: Uuid, json: bool) -> Result<(), CliError> {
    let mut tasks = Tasks::default();
    let replica = replica(settings, "parking-slot-details", &mut tasks)?;
    let found = replica.slot(uuid, &HandedBack::default()).await?.found;
    print_versioned(&record(found)?, json)
}

/// The slot as the replica shows it once it holds this write, within [`WAIT_MS_MAX`]. A slot that was deleted in the
/// meantime is [`CliError::NotFound`]; any other error says why the replica does not show it.
pub(super) async fn when_visible(
    settings: &Settings,
    access: &QueryAccess,
    uuid: Uuid,
    write: WriteReceipt,
) -> Result<SlotRecord, CliError> {
    let (mut tasks, stop_tasks) = (Tasks::default(), CancellationToken::new());
    let replica = open(&access.replica, &mut tasks);
    let reports =
        GateReports { replica: Dependency::new("replica"), silence: replica.silence(), primary: None };
    let gate = open_gate(
        access,
        reports,
        settings.freshness_max_waiters,
        &mut tasks,
        &stop_tasks,
        stop_tasks.child_token(),
    );
    let demand = Demand {
        receipts: vec![Receipt::Write(write)],
        wait: Duration::from_millis(WAIT_MS_MAX),
        // What the replica held at the end tells what was missing.
        on_timeout: OnTimeout::Stale,
        ..Demand::default()
    };
    let query = async |handed_back: &HandedBack| replica.slot(uuid, handed_back).await;
    let fresh = gate.read(&demand, Instant::now(), std::future::pending(), query).await;
    drop(tasks);
    let Fresh { read, freshness, .. } = fresh?;
    match freshness {
        Freshness::Stale => Err(CliError::NotLevel(what_is_missing(&read.status, &write))),
        Freshness::Satisfied | Freshness::Eventual => record(read.found),
    }
}

fn record(found: Option<ShownSlot>) -> Result<SlotRecord, CliError> {
    Ok(found.ok_or(CliError::NotFound)?.record().map_err(anyhow::Error::from)?)
}

fn what_is_missing(replica: &ReplicaStatus, write: &WriteReceipt) -> String {
    if replica.epoch.is_some_and(|epoch| epoch != write.epoch) {
        return "it is of another epoch: run event-consumer rebuild".to_owned();
    }
    let (has, wanted) = (replica.applied_through, write.last);
    format!("it has the log up to position {has} and lacks position {wanted}: does its event-consumer run?")
}
