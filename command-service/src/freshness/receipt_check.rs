//! Receipts compared with the end of the log. Pure.

use uuid::Uuid;

use super::outcome::Unmet;
use crate::register::{place::LogEnd, receipt::Receipt};

/// Whether both epochs are known and differ.
pub(super) fn is_another(known: Option<Uuid>, met: Option<Uuid>) -> bool {
    known.zip(met).is_some_and(|(known, met)| known != met)
}

/// Whether the log is known to reach the receipt's position.
pub(super) fn reaches(end: &LogEnd, receipt: &Receipt) -> bool {
    receipt.epoch().is_none_or(|epoch| epoch == end.epoch && receipt.position() <= end.position)
}

/// Refuses receipts of another epoch, and of positions that the log has not reached.
pub(super) fn judge(receipts: &[Receipt], end: &LogEnd) -> Result<(), Unmet> {
    for receipt in receipts {
        if receipt.epoch().is_some_and(|epoch| epoch != end.epoch) {
            return Err(Unmet::ForeignReceipt);
        }
        if !reaches(end, receipt) {
            return Err(Unmet::BeyondLog);
        }
    }
    Ok(())
}

/// Up to where the replica must be complete for a receipt.
pub(super) fn position_of(receipt: &Receipt) -> Option<LogEnd> {
    receipt.epoch().map(|epoch| LogEnd { epoch, position: receipt.position() })
}
