//! Notes how complete the replica is while no events come.

use shared::watermark::Watermark;
use tokio::time::timeout;

use super::{
    apply::{APPLY_DEADLINE, ApplyError},
    session::ReplicaSession,
};

/// Takes note of a watermark. One that comes before the events it speaks of says nothing yet, and is passed over: the
/// next comes within half a second. So is one of another epoch than the replica's.
///
/// # Errors
/// [`ApplyError`]; the replica's freshness may or may not have been noted, which the next watermark makes up for.
pub async fn apply_watermark(replica: &ReplicaSession, watermark: &Watermark) -> Result<(), ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let Watermark { epoch, position, as_of } = watermark;
    timeout(APPLY_DEADLINE, session.execute(&statements.advance_as_of, &[position, as_of, epoch]))
        .await
        .map_err(|_| ApplyError::Deadline)??;
    Ok(())
}
