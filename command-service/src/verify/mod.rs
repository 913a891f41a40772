//! Compares the write model, the log, the read model and the summary while writes go on, and repairs the
//! replica.
//!
//! | module | holds |
//! |---|---|
//! | [`difference`] | what can differ |
//! | [`judge`] | what a slot must be, and whether it is: pure |
//! | [`side_session`] | a read-only session |
//! | [`primary_side`] | the log and the write model |
//! | [`reach`] | how far a replica is, by its own words |
//! | [`replica_side`] | the replica |
//! | [`comparison`] | the two databases that are compared |
//! | [`report`] | the differences, and which of them are healed |
//! | [`look`] | the exact check of given slots |
//! | [`walk`] | the first pass: everything, in short chunks |
//! | [`mod@repair`] | sends repairs and checks their effect |
//!
//! `verify` stops nothing and keeps no snapshot for long. A difference in the first pass may only be an event
//! on its way, so an exact check follows. The exact check cannot err: one statement on the replica reads the
//! rows together with the set of positions that the replica has settled. These positions and the log
//! determine what the rows must be. The log is read afterwards, so it has all of these positions.

pub mod difference;
pub mod judge;
pub mod side_session;
pub mod primary_side;
pub mod reach;
pub mod replica_side;
pub mod error;
pub mod report;
pub mod comparison;
pub mod look;
pub mod walk;
pub mod repair;

use std::time::Duration;

use shared::{broker::Broker, postgres::DatabaseUrl, replica_name::ReplicaName};
use tokio::time::sleep;
use uuid::Uuid;

use self::{
    comparison::Comparison,
    difference::{Difference, SlotDifference},
    error::VerifyError,
    look::LOOK_SLOTS_MAX,
    repair::{RepairOutcome, Repairer},
    report::{Report, VerifyProgress},
};

/// Every statement that reads the primary, for the test that prepares them against its schema.
pub const PRIMARY_STATEMENTS: [&str; 4] =
    [primary_side::END, primary_side::CHUNK, primary_side::FLAWS, primary_side::DUE];

/// Every statement that reads the replica, for the same test.
pub const REPLICA_STATEMENTS: [&str; 6] = [
    replica_side::LEVEL,
    replica_side::SLOTS,
    replica_side::TOMBSTONES,
    replica_side::EXACTLY,
    replica_side::DEAD_LETTERS,
    replica_side::SUMMARY,
];

/// Pause before `verify` checks differences again, if it repairs nothing.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What to compare, and whether to repair.
#[derive(Clone, Debug)]
pub struct VerifyRequest<'r> {
    /// The log and the write model.
    pub primary: &'r DatabaseUrl,
    /// The read model.
    pub replica: &'r DatabaseUrl,
    /// How long the replica may take to settle every position up to the log's end.
    pub wait: Duration,
    /// The broker and the replica to which repairs go. `None`: repair nothing.
    pub repair: Option<(Broker, &'r ReplicaName)>,
}

/// Compares, and repairs if `request` asks for it. Calls `progress` as the first pass advances.
///
/// # Errors
/// [`VerifyError`]: the comparison has no result.
pub async fn verify(
    request: &VerifyRequest<'_>,
    progress: impl Fn(VerifyProgress),
) -> Result<Report, VerifyError> {
    let (comparison, end) = Comparison::open(request.primary, request.replica).await?;
    comparison.wait_for_level(end.position, request.wait).await?;
    let mut report = Report { from: end.position, ..Report::default() };
    walk::log(&comparison, end.position, &mut report, &progress).await?;
    let suspects = walk::slots(&comparison, &mut report, &progress).await?;
    match &request.repair {
        None => look_again(&comparison, suspects, &mut report).await?,
        Some((broker, replica)) => repair(&comparison, suspects, broker, replica, &mut report).await?,
    }
    for claim in comparison.claims().await? {
        report.add(claim, false)?;
    }
    report.to = comparison.confirm(end).await?.position;
    Ok(report)
}

/// Checks differences a second time: an event may have healed them meanwhile.
async fn look_again(
    comparison: &Comparison,
    suspects: Vec<SlotDifference>,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let summary = comparison.summary().await?;
    if !suspects.is_empty() || summary.is_some() {
        sleep(LOOK_AGAIN_AFTER).await;
    }
    let uuids: Vec<Uuid> = suspects.iter().map(|suspect| suspect.uuid).collect();
    for part in uuids.chunks(LOOK_SLOTS_MAX) {
        for difference in comparison.exactly(part).await? {
            report.add(Difference::Slot(Box::new(difference)), false)?;
        }
    }
    if summary.is_some()
        && let Some(difference) = comparison.summary().await?
    {
        report.add(difference, false)?;
    }
    Ok(())
}

async fn repair(
    comparison: &Comparison,
    suspects: Vec<SlotDifference>,
    broker: &Broker,
    replica: &ReplicaName,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let summary = comparison.summary().await?;
    if suspects.is_empty() && summary.is_none() {
        return Ok(());
    }
    let repairer = Repairer::open(comparison, broker, replica).await?;
    for (difference, outcome) in repairer.repair_slots(suspects).await? {
        if outcome != RepairOutcome::Vanished {
            report.add(Difference::Slot(Box::new(difference)), outcome == RepairOutcome::Healed)?;
        }
    }
    if let Some(difference) = summary {
        let healed = repairer.repair_summary().await?;
        report.add(difference, healed)?;
    }
    repairer.close().await;
    Ok(())
}
