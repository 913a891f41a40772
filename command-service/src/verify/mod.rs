//! Is the copy right? Compares write model, log, read model and summary while writes go on, and heals the replica.
//!
//! | module | holds |
//! |---|---|
//! | [`inspector`] | a session that can only look |
//! | [`sides`] | the two that are compared |
//! | [`walk`] | the first look: everything, in short chunks |
//! | [`look`] | the exact look at certain slots |
//! | [`judge`] | what must be there, and whether it is: pure |
//! | [`difference`] | what can be different |
//! | [`mend`] | repairs, sent and looked for |
//! | [`report`] | what was found, and what became of it |
//!
//! The SQL is in `queries` and `write_model`. Nothing is stopped and no snapshot is held for long. What differs at the
//! first look may only be on its way; the exact look cannot err: one statement on the replica reads the rows together
//! with the set of positions that it has settled, and what the rows must be follows from these positions and the log,
//! which is read afterwards and so has them all.

pub mod inspector;
pub mod sides;
pub mod walk;
pub mod look;
pub mod judge;
pub mod difference;
pub mod mend;
pub mod report;

use std::time::Duration;

use shared::{broker::BrokerUrl, postgres::DatabaseUrl, replica_name::ReplicaName};
use tokio::time::sleep;
use uuid::Uuid;

use self::{
    difference::{Difference, SlotDifference},
    inspector::InspectError,
    look::LOOK_SLOTS_MAX,
    mend::{Mender, Outcome},
    report::{DIFFERENCES_MAX, Progress, Report},
    sides::Sides,
};
use crate::relay::publisher::PublishError;

/// How long after the first look what differed is looked at again, where nothing is repaired.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A database is away, or does not let itself be looked at.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Repairs cannot be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The positions of the two mean different things.
    #[error("the replica is of another life of the primary: run event-consumer rebuild")]
    OtherEpoch,
    /// The replica has what the log does not have.
    #[error(
        "the replica has settled position {reach}, and the log ends at {end}: the primary is not the one that it copies"
    )]
    Ahead {
        /// The replica's highest position.
        reach: i64,
        /// The log's last one.
        end: i64,
    },
    /// The replica is not level, and did not become so in time.
    #[error(
        "the replica lacks position {first} and {more} more of those up to {end}: does its event-consumer run?"
    )]
    Behind {
        /// The first position that is missing.
        first: i64,
        /// How many more are.
        more: i64,
        /// Up to where it was to be level.
        end: i64,
    },
    /// There is no end of differences.
    #[error("more than {DIFFERENCES_MAX} differences: run event-consumer rebuild")]
    TooMany,
    /// One of the two became another while it was looked at.
    #[error("primary or replica were replaced meanwhile: run verify again")]
    Replaced,
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The log and the write model.
    pub primary: &'r DatabaseUrl,
    /// The read model.
    pub replica: &'r DatabaseUrl,
    /// How long the replica may take to be level.
    pub wait: Duration,
    /// By way of whom and to whose queue repairs are sent, if any are.
    pub repair: Option<(&'r BrokerUrl, &'r ReplicaName)>,
}

/// Compares, and repairs if that is asked for. `progress` gets to know how far the first look is.
///
/// # Errors
/// [`VerifyError`]: then nothing is known.
pub async fn verify(request: &Request<'_>, progress: impl Fn(Progress)) -> Result<Report, VerifyError> {
    let (sides, end) = Sides::open(request.primary, request.replica).await?;
    sides.wait_for_level(end.position, request.wait).await?;
    let mut report = Report { from: end.position, ..Report::default() };
    walk::log(&sides, end.position, &mut report, &progress).await?;
    let suspects = walk::slots(&sides, &mut report, &progress).await?;
    match request.repair {
        None => look_again(&sides, suspects, &mut report).await?,
        Some((broker, replica)) => repair(&sides, suspects, broker, replica, &mut report).await?,
    }
    report.to = sides.confirm(end).await?.position;
    Ok(report)
}

/// What differs is looked at a second time: it may have been healed by an event.
async fn look_again(
    sides: &Sides,
    suspects: Vec<SlotDifference>,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let summary = sides.summary().await?;
    if !suspects.is_empty() || summary.is_some() {
        sleep(LOOK_AGAIN_AFTER).await;
    }
    let uuids: Vec<Uuid> = suspects.iter().map(|suspect| suspect.uuid).collect();
    for part in uuids.chunks(LOOK_SLOTS_MAX) {
        for difference in sides.exactly(part).await? {
            report.add(Difference::Slot(Box::new(difference)), false)?;
        }
    }
    if summary.is_some()
        && let Some(difference) = sides.summary().await?
    {
        report.add(difference, false)?;
    }
    Ok(())
}

async fn repair(
    sides: &Sides,
    suspects: Vec<SlotDifference>,
    broker: &BrokerUrl,
    replica: &ReplicaName,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let summary = sides.summary().await?;
    if suspects.is_empty() && summary.is_none() {
        return Ok(());
    }
    let mender = Mender::open(sides, broker, replica).await?;
    for (difference, outcome) in mender.mend_slots(suspects).await? {
        if outcome != Outcome::Vanished {
            report.add(Difference::Slot(Box::new(difference)), outcome == Outcome::Healed)?;
        }
    }
    if let Some(difference) = summary {
        let healed = mender.mend_summary().await?;
        report.add(difference, healed)?;
    }
    mender.close().await;
    Ok(())
}
