//! Tells whether the replica refuses one event, or every event of its type: tries a plain event in the same
//! transaction, and rolls it back.

use shared::{
    messages::event::{EventType, LoggedEvent},
    postgres::Transaction,
    slot::{Changed, Slot, SlotEvent, SlotName, SlotStatus, Version},
};
use tokio_postgres::Error;
use uuid::Uuid;

use super::{
    apply::{project, settle},
    fault::{ApplyError, may_lie_in_content},
    statements::Statements,
};

/// The name of the slot that is written and rolled back.
const CONTROL_NAME: &str = "Control";

/// Writes a new slot as the culprit's type of event would, and rolls it back.
///
/// # Errors
/// [`ApplyError::RefusesAll`] if the replica refuses that as well: then the culprit is not to blame.
pub(super) async fn apply_control(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    culprit: &LoggedEvent,
) -> Result<(), ApplyError> {
    let savepoint = transaction.transaction().await?;
    let written = write_control(&savepoint, statements, culprit).await;
    if let Err(error) = written {
        return Err(match may_lie_in_content(&error) {
            true => ApplyError::RefusesAll(error),
            false => ApplyError::Replica(error),
        });
    }
    Ok(savepoint.rollback().await?)
}

async fn write_control(
    transaction: &Transaction<'_>,
    statements: &Statements,
    culprit: &LoggedEvent,
) -> Result<(), Error> {
    for event in control_events(culprit) {
        project(transaction, statements, [&event]).await?;
    }
    settle(transaction, statements, [], Some(culprit.epoch)).await?;
    Ok(())
}

/// A create, and an event of the culprit's type if that is another one.
fn control_events(culprit: &LoggedEvent) -> Vec<LoggedEvent> {
    let (Ok(name), Some(second)) = (SlotName::parse(CONTROL_NAME), Version::new(2)) else {
        return Vec::new();
    };
    let slot = Slot { uuid: Uuid::now_v7(), name, status: SlotStatus::Available, version: Version::FIRST };
    let changed = Slot { version: second, status: SlotStatus::Reserved, ..slot.clone() };
    let after = match EventType::of(&culprit.event) {
        EventType::Create => None,
        EventType::Update => Some(SlotEvent::Updated { slot: changed, changed: Changed::Status }),
        EventType::Delete => Some(SlotEvent::Deleted { uuid: slot.uuid, version: second }),
    };
    let logged = |event| LoggedEvent {
        id: Uuid::now_v7(),
        created_at: culprit.committed_at,
        traceparent: None,
        event,
        ..culprit.clone()
    };
    std::iter::once(SlotEvent::Created(slot)).chain(after).map(logged).collect()
}
