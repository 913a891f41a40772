//! Keeps the replica's freshness up to date while no events come.

use shared::messages::watermark::Watermark;
use uuid::Uuid;

use super::{fault::ApplyError, session::ReplicaSession};

/// Records a watermark. Ignores one that arrives before the events it covers: the next comes within half a second.
///
/// # Errors
/// [`ApplyError`]; the freshness may or may not be recorded, which the next watermark corrects. A watermark of
/// another epoch is not recorded.
pub async fn apply_watermark(replica: &ReplicaSession, watermark: &Watermark) -> Result<(), ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let Watermark { epoch, position, as_of } = watermark;
    let row = session.query_one(&statements.advance_as_of, &[position, as_of, epoch]).await?;
    match row.try_get::<_, Option<Uuid>>("epoch")? {
        Some(held) if held != *epoch => Err(ApplyError::ForeignEpoch { held, met: *epoch }),
        _ => Ok(()),
    }
}
