//! Notes how complete the replica is while no events come.

use shared::messages::watermark::Watermark;
use uuid::Uuid;

use super::{fault::ApplyError, session::ReplicaSession};

/// Takes note of a watermark. One that comes before the events it speaks of says nothing yet, and is passed over: the
/// next comes within half a second.
///
/// # Errors
/// [`ApplyError`]; the replica's freshness may or may not have been noted, which the next watermark makes up for. That of
/// another epoch is not.
pub async fn apply_watermark(replica: &ReplicaSession, watermark: &Watermark) -> Result<(), ApplyError> {
    let ReplicaSession { session, statements } = replica;
    let Watermark { epoch, position, as_of } = watermark;
    let row = session.query_one(&statements.advance_as_of, &[position, as_of, epoch]).await?;
    match row.try_get::<_, Option<Uuid>>("epoch")? {
        Some(held) if held != *epoch => Err(ApplyError::ForeignEpoch { held, met: *epoch }),
        _ => Ok(()),
    }
}
