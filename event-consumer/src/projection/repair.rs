//! Applies repairs: sets rows to what a comparison with the log found. A repair skips rows written since that
//! comparison. It leaves the applied positions unchanged.

use jiff::Timestamp;
use shared::{
    messages::repair::{Repair, RowWriters, SlotRepair, Target},
    postgres::{Fault, Transaction},
};
use tokio_postgres::Error;
use uuid::Uuid;

use super::{
    dead_letters::{DeadLetter, reason_of},
    fault::{ApplyError, Blame, may_lie_in_content},
    statements::{BOUND_RECOUNT, Param, Statements},
};
use crate::batch::{Batch, ReceivedRepair};

/// The result of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repaired {
    /// Every row that was still as the comparison found it now has its target state.
    Done,
    /// The repair is of another epoch than the rows: nothing was changed.
    ForeignEpoch,
}

/// Slots to repair, as columns.
#[derive(Debug, Default)]
struct RepairColumns<'r> {
    uuids: Vec<Uuid>,
    found_slots: Vec<Option<i64>>,
    found_tombstones: Vec<Option<i64>>,
    versions: Vec<Option<i64>>,
    created_at: Vec<Option<Timestamp>>,
    updated_at: Vec<Option<Timestamp>>,
    statuses: Vec<Option<&'static str>>,
    names: Vec<Option<&'r str>>,
    deleted_at: Vec<Option<Timestamp>>,
}

impl<'r> RepairColumns<'r> {
    fn of(slots: &'r [SlotRepair]) -> Self {
        let mut columns = Self::default();
        for SlotRepair { uuid, found: RowWriters { slot, tombstone }, target } in slots {
            columns.uuids.push(*uuid);
            columns.found_slots.push(*slot);
            columns.found_tombstones.push(*tombstone);
            columns.push(target);
        }
        columns
    }

    fn push(&mut self, target: &'r Target) {
        let (live, buried) = match target {
            Target::Live { slot, created_at, updated_at } => (Some((slot, *created_at, *updated_at)), None),
            Target::Deleted { version, deleted_at } => (None, Some((*version, *deleted_at))),
            Target::Absent => (None, None),
        };
        let version = live.map(|(slot, ..)| slot.version).or(buried.map(|(version, _)| version));
        self.versions.push(version.map(|version| version.get()));
        self.created_at.push(live.map(|(_, created_at, _)| created_at));
        self.updated_at.push(live.map(|(.., updated_at)| updated_at));
        self.statuses.push(live.map(|(slot, ..)| slot.status.as_str()));
        self.names.push(live.map(|(slot, ..)| slot.name.as_str()));
        self.deleted_at.push(buried.map(|(_, deleted_at)| deleted_at));
    }
}

/// Repairs slots. The caller has locked the status row.
pub(super) async fn repair_rows(
    transaction: &Transaction<'_>,
    statements: &Statements,
    repair: &Repair,
) -> Result<Repaired, Error> {
    let columns = RepairColumns::of(&repair.slots);
    let params: [Param<'_>; 10] = [
        &columns.uuids,
        &columns.found_slots,
        &columns.found_tombstones,
        &columns.versions,
        &columns.created_at,
        &columns.updated_at,
        &columns.statuses,
        &columns.names,
        &columns.deleted_at,
        &repair.epoch,
    ];
    let row = transaction.query_one(&statements.repair, &params).await?;
    let (asked, repaired): (_, i64) = (repair.slots.len(), row.try_get("repaired")?);
    let is_this_epoch = row.try_get("is_this")?;
    if asked > 0 {
        tracing::info!(asked, repaired, is_this_epoch, "slots repaired");
    }
    Ok(if is_this_epoch { Repaired::Done } else { Repaired::ForeignEpoch })
}

/// Recounts the summary. The caller has locked the status row.
pub(super) async fn recount(
    transaction: &Transaction<'_>,
    statements: &Statements,
    repair: &Repair,
) -> Result<(), Error> {
    let row = transaction.query_one(&statements.recount, &[&repair.epoch]).await?;
    let is_this_epoch: bool = row.try_get("is_this")?;
    tracing::info!(is_this_epoch, "summary recounted");
    Ok(())
}

/// Repairs the slots that a batch names. A repair that the replica refuses for its content is dead-lettered; the
/// others go on.
pub(super) async fn repair_slots<'d>(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'d>,
    blame: Blame,
    letters: &mut Vec<DeadLetter<'d>>,
) -> Result<(), ApplyError> {
    for received in &batch.repairs {
        let savepoint = transaction.transaction().await?;
        match repair_rows(&savepoint, statements, &received.repair).await {
            Ok(Repaired::Done) => savepoint.commit().await?,
            Ok(Repaired::ForeignEpoch) => {
                savepoint.rollback().await?;
                tracing::warn!(repair.epoch = %received.repair.epoch, "a repair of another epoch passed over");
            }
            Err(error) if blame.covers(&error) => {
                savepoint.rollback().await?;
                tracing::warn!(reason = reason_of(&error), "repair dead-lettered");
                letters.push(DeadLetter::refused_repair(received, &error));
            }
            Err(error) => return Err(blame.uncovered(error)),
        }
    }
    Ok(())
}

/// Recounts the summary once, if the batch asks for it. Runs last in its transaction, since its statement timeout
/// stays in force. Gives up at that limit; the sender of the repair sees that the summary is unchanged.
pub(super) async fn recount_summary(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    batch: &Batch<'_>,
) -> Result<(), ApplyError> {
    let asks = |received: &&ReceivedRepair<'_>| received.repair.summary;
    let Some(received) = batch.repairs.iter().rfind(asks) else { return Ok(()) };
    transaction.query_one(BOUND_RECOUNT, &[]).await?;
    let savepoint = transaction.transaction().await?;
    match recount(&savepoint, statements, &received.repair).await {
        Ok(()) => Ok(savepoint.commit().await?),
        Err(error) if may_lie_in_content(&error) || Fault::of_rollback(&error) == Fault::Retryable => {
            savepoint.rollback().await?;
            tracing::warn!(reason = reason_of(&error), "the summary was not recounted");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
