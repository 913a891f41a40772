//! The first pass: compares everything, in short chunks. It walks the slots from the youngest to the oldest.
//! Slots created meanwhile lie behind the walk, so the walk ends however busy the register is.

use uuid::Uuid;

use super::{
    comparison::Comparison,
    difference::{Difference, SlotDifference},
    error::{DIFFERENCES_MAX, VerifyError},
    look::LOOK_SLOTS_MAX,
    primary_side::{Chunk, LogPlace},
    replica_side::Range,
    report::{Report, VerifyProgress},
};

/// Checks the log up to a position: no gap, commit times strictly rising, versions of each slot rising by
/// one.
pub(super) async fn log(
    comparison: &Comparison,
    end: i64,
    report: &mut Report,
    progress: &impl Fn(VerifyProgress),
) -> Result<(), VerifyError> {
    let mut place = LogPlace { position: 0, committed_at: None };
    while place.position < end {
        let part = comparison.primary.log_behind(place).await?;
        for (position, flaw) in part.flaws {
            report.add(Difference::Log { position, flaw }, false)?;
        }
        match part.last {
            Some(last) => place = last,
            None => return Err(VerifyError::Replaced),
        }
        progress(VerifyProgress::Log(place.position));
    }
    Ok(())
}

/// Compares every slot of the log with the write model and the replica, and finds slots that only these have.
/// Checks each difference on the replica exactly, and returns those that remain.
pub(super) async fn slots(
    comparison: &Comparison,
    report: &mut Report,
    progress: &impl Fn(VerifyProgress),
) -> Result<Vec<SlotDifference>, VerifyError> {
    let mut differences = Vec::new();
    let mut high = Uuid::max();
    loop {
        let chunk = comparison.primary.chunk(high).await?;
        let range = comparison.replica.range(chunk.low, high).await?;
        let low = range.low;
        let compared = compare(chunk, range);
        for difference in compared.write_model {
            report.add(difference, false)?;
        }
        for part in compared.suspects.chunks(LOOK_SLOTS_MAX) {
            differences.extend(comparison.exactly(part).await?);
        }
        if report.findings.len() + differences.len() > DIFFERENCES_MAX {
            return Err(VerifyError::TooMany);
        }
        report.slots += compared.slots;
        progress(VerifyProgress::Slots(report.slots));
        if low.is_nil() {
            return Ok(differences);
        }
        high = Uuid::from_u128(low.as_u128() - 1);
    }
}

struct Compared {
    slots: u64,
    /// Differences of the write model: exact, because one snapshot has both the write model and the log.
    write_model: Vec<Difference>,
    /// Slots whose state on the replica is not the one at the end of the log. The replica may still be right.
    suspects: Vec<Uuid>,
}

/// Compares the slots from the lower end of the replica's range upwards. The next chunk reads the rest again.
fn compare(chunk: Chunk, range: Range) -> Compared {
    let Range { slots: mut found, low } = range;
    let mut compared = Compared { slots: 0, write_model: Vec::new(), suspects: Vec::new() };
    for entry in chunk.entries.into_iter().filter(|entry| entry.uuid >= low) {
        let uuid = entry.uuid;
        compared.slots += 1;
        if !entry.state.is(&found.remove(&uuid).unwrap_or_default()) {
            compared.suspects.push(uuid);
        }
        if entry.expected != entry.written {
            let (found, expected) = (entry.written.map(Box::new), entry.expected.map(Box::new));
            compared.write_model.push(Difference::WriteModel { uuid, found, expected });
        }
    }
    compared.slots += found.len() as u64;
    compared.suspects.extend(found.into_keys());
    compared
}
