//! The step: one batch of commands, one transaction.

use std::collections::BTreeMap;

use futures_util::future::join4;
use shared::slot::Slot;
use tokio_postgres::{Row, error::SqlState, types::ToSql};
use uuid::Uuid;

use super::{
    columns::EventColumns,
    draft::{Base, Draft, Slots, Stamps, StoredSlot, Verdict},
    idempotency_keys::{KeyColumns, Keys, Reservations, Wanted},
    roundtrip::{Failure, WriteFault, exchange},
    session::PrimarySession,
    wake::Wake,
};
use crate::{
    commands::Submission,
    primary::commit_lock::{begin_with_commit_lock, take_commit_lock},
    register::{receipt::WriteReceipt, record::SlotRecord},
};

/// The outcome of a batch that was unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It is in the log, once.
    Committed(Stamps),
    /// It can no longer enter the log: its slots have moved on. The committer decides it again.
    Overtaken,
}

/// Decides the commands and commits the result in one transaction.
///
/// # Errors
/// [`Failure`]. Only [`Failure::Unsettled`] may have committed.
pub async fn commit_batch(
    primary: &PrimarySession,
    submissions: &[&Submission],
    wake: Wake,
) -> Result<Vec<Verdict>, Failure> {
    let referenced: Vec<Uuid> =
        submissions.iter().filter_map(|submission| submission.request.existing_slot()).collect();
    let wanted = Wanted::of(submissions);
    if referenced.is_empty() && wanted.is_empty() {
        let draft = Draft::decide(submissions, &Slots::default(), &Keys::default());
        let stamps = write(primary, &begin_with_commit_lock(), &draft, wake)
            .await
            .map_err(|lost| lost.before_answer(draft.clone()))?;
        return Ok(draft.verdicts(Some(stamps)));
    }
    let (slots, keys) = begin_with_locks(primary, &referenced, &wanted).await?;
    let draft = Draft::decide(submissions, &slots, &keys);
    if draft.is_empty() {
        rollback(primary).await?;
        return Ok(draft.verdicts(None));
    }
    let stamps = write(primary, &take_commit_lock(), &draft, wake)
        .await
        .map_err(|lost| lost.before_answer(draft.clone()))?;
    Ok(draft.verdicts(Some(stamps)))
}

/// Reruns an unsettled batch, unchanged, on a new connection. The log holds each version of a slot once, and each key
/// is stored once. So the rerun waits for the first attempt if that still runs, and exactly one of them commits.
///
/// If a slot has changed since the batch was decided, this looks for the batch in the log instead. If it is absent, it
/// stays absent: another batch made its version, or the primary was restored and the first attempt ended with the
/// former server.
///
/// # Errors
/// The outcome is still unknown: the primary is down again, or a lock is taken. Run it again.
pub async fn rerun(primary: &PrimarySession, draft: &Draft, wake: Wake) -> Result<Resolved, Failure> {
    let (slots, reservations) = (draft.bases.keys().collect::<Vec<_>>(), Reservations::of(&draft.keys));
    let locking = async {
        primary.session.batch_execute("BEGIN").await?;
        let rows = primary.session.query(&primary.lock_slots, &[&slots]).await?;
        primary.session.query(&primary.reserve_keys, &[&reservations.classes, &reservations.objects]).await?;
        bases(&rows)
    };
    let bases = exchange(primary, locking).await.map_err(WriteFault::before_write)?;
    if bases != draft.bases {
        rollback(primary).await?;
        return find(primary, draft).await;
    }
    match write(primary, &take_commit_lock(), draft, wake).await {
        Ok(stamps) => Ok(Resolved::Committed(stamps)),
        Err(WriteFault::RolledBack(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            find(primary, draft).await
        }
        Err(fault) => Err(fault.before_answer(draft.clone())),
    }
}

async fn rollback(primary: &PrimarySession) -> Result<(), Failure> {
    exchange(primary, primary.session.batch_execute("ROLLBACK")).await.map_err(WriteFault::before_write)
}

/// Begins a transaction; locks the free slots and reserves the free keys. So a slot or key that another transaction
/// has locked stalls only its own commands.
async fn begin_with_locks(
    primary: &PrimarySession,
    uuids: &[Uuid],
    wanted: &Wanted<'_>,
) -> Result<(Slots, Keys), Failure> {
    let session = &primary.session;
    let work = async {
        let (begun, slots, keys) = tokio::join!(
            biased;
            session.batch_execute("BEGIN"),
            lock_slots(primary, uuids),
            reserve_keys(primary, wanted),
        );
        begun?;
        Ok((slots?, keys?))
    };
    match exchange(primary, Box::pin(work)).await {
        Ok(locked) => Ok(locked),
        Err(WriteFault::ConnectionLost | WriteFault::Undone) => Err(Failure::Interrupted),
        Err(WriteFault::RolledBack(error)) => {
            rollback(primary).await?;
            Err(Failure::of_rollback(error))
        }
    }
}

async fn lock_slots(primary: &PrimarySession, uuids: &[Uuid]) -> Result<Slots, tokio_postgres::Error> {
    let mut slots = Slots::default();
    if uuids.is_empty() {
        return Ok(slots);
    }
    let params: [&(dyn ToSql + Sync); 1] = [&uuids];
    let (locked, existing) = tokio::join!(
        biased;
        primary.session.query(&primary.lock_free_slots, &params),
        primary.session.query(&primary.existing_slots, &params),
    );
    for row in &locked? {
        let stored = stored_slot(row)?;
        slots.locked.insert(stored.record.slot.uuid, stored);
    }
    for row in &existing? {
        let uuid = row.try_get(0)?;
        if !slots.locked.contains_key(&uuid) {
            slots.held.insert(uuid);
        }
    }
    Ok(slots)
}

async fn reserve_keys(primary: &PrimarySession, wanted: &Wanted<'_>) -> Result<Keys, tokio_postgres::Error> {
    if wanted.is_empty() {
        return Ok(Keys::default());
    }
    let reservations: [&(dyn ToSql + Sync); 2] = [&wanted.reservations.classes, &wanted.reservations.objects];
    let sought: [&(dyn ToSql + Sync); 2] = [&wanted.names, &wanted.fingerprints];
    let (reserved, kept) = tokio::join!(
        biased;
        primary.session.query(&primary.reserve_free_keys, &reservations),
        primary.session.query(&primary.kept_keys, &sought),
    );
    wanted.found(&reserved?, &kept?)
}

async fn keep_keys(primary: &PrimarySession, draft: &Draft) -> Result<(), tokio_postgres::Error> {
    if !draft.keys.is_empty() {
        let columns = KeyColumns::of(&draft.keys, draft.events.len());
        primary.session.execute(&primary.keep_keys, &columns.params()).await?;
    }
    Ok(())
}

/// Takes the commit lock, appends, commits: one pipelined roundtrip, so that the lock never waits for this process.
///
/// The append's own result decides: a COMMIT of a failed transaction reports success, though it rolled back.
async fn write(
    primary: &PrimarySession,
    lock: &str,
    draft: &Draft,
    wake: Wake,
) -> Result<Stamps, WriteFault> {
    let session = &primary.session;
    if session.is_closed() {
        return Err(WriteFault::Undone);
    }
    let columns = EventColumns::of(draft);
    let notify = wake == Wake::EveryRelay;
    let params = columns.params(&notify);
    // Requests leave in the order in which these futures are first polled: the order written here.
    let (locked, appended, kept, committed) = join4(
        session.batch_execute(lock),
        session.query_one(&primary.append, &params),
        keep_keys(primary, draft),
        session.batch_execute("COMMIT"),
    )
    .await;
    locked.map_err(WriteFault::before_commit)?;
    let row = appended.map_err(WriteFault::before_commit)?;
    kept.map_err(WriteFault::before_commit)?;
    committed.map_err(WriteFault::at_commit)?;
    // An unreadable result is no result: the rerun will tell.
    let stamps = stamps(&row).map_err(|_| WriteFault::ConnectionLost)?;
    draft.last_event(stamps).into_iter().for_each(|event| primary.primary.saw(event));
    Ok(stamps)
}

/// Looks for a batch whose versions are taken: by itself, then the log holds all of it, or by others.
async fn find(primary: &PrimarySession, draft: &Draft) -> Result<Resolved, Failure> {
    let EventColumns { slots, versions, ids, .. } = EventColumns::of(draft);
    let row = exchange(primary, primary.session.query_one(&primary.find_events, &[&slots, &versions, &ids]))
        .await
        .map_err(|_| Failure::Interrupted)?;
    let found: i64 = row.try_get("events").map_err(Failure::Culprit)?;
    if found == 0 {
        return Ok(Resolved::Overtaken);
    }
    stamps(&row).map(Resolved::Committed).map_err(Failure::Culprit)
}

fn stamps(row: &Row) -> Result<Stamps, tokio_postgres::Error> {
    Ok(Stamps {
        position: row.try_get("first_position")?,
        time: row.try_get("first_time")?,
        epoch: row.try_get("epoch")?,
    })
}

fn bases(rows: &[Row]) -> Result<BTreeMap<Uuid, Base>, tokio_postgres::Error> {
    let base = |row: &Row| {
        let base = Base { version: row.try_get("version")?, position: row.try_get("position")? };
        Ok((row.try_get("uuid")?, base))
    };
    rows.iter().map(base).collect()
}

fn stored_slot(row: &Row) -> Result<StoredSlot, tokio_postgres::Error> {
    let slot = Slot {
        uuid: row.try_get("uuid")?,
        name: row.try_get("name")?,
        status: row.try_get("status")?,
        version: row.try_get("version")?,
    };
    let record =
        SlotRecord { slot, created_at: row.try_get("created_at")?, updated_at: row.try_get("updated_at")? };
    let receipt = WriteReceipt::of_one(row.try_get("epoch")?, row.try_get("position")?);
    Ok(StoredSlot { record, receipt })
}
