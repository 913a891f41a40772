//! Tells how far the new copy is, and whether it may take the replica's place.

use shared::messages::watermark::Watermark;
use uuid::Uuid;

use super::{director::Director, fault::StepError};

pub(super) const LOOK: &str = "
    SELECT copy.epoch, copy.applied_through AS through, upper(copy.applied) - 1 AS reach,
           (SELECT sum(upper(range) - lower(range))::bigint - 1 FROM unnest(copy.applied) AS range) AS settled,
           held.epoch AS held_epoch, coalesce(upper(held.applied) - 1, 0) AS held_reach,
           coalesce(copy.applied @> held.applied, true) AS holds_all
    FROM rebuild.replication_status AS copy
    LEFT JOIN public.replication_status AS held ON true";

/// The copy compared with the replica, from one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyStatus {
    /// The epoch of the copy's positions; none before the first event or watermark.
    pub epoch: Option<Uuid>,
    /// Every position up to this one is settled in the copy.
    pub through: i64,
    /// The highest position that is settled in the copy.
    pub reach: i64,
    /// How many positions are settled in the copy.
    pub settled: i64,
    /// The epoch of the replica.
    pub held_epoch: Option<Uuid>,
    /// The highest position that is settled in the replica.
    pub held_reach: i64,
    /// Whether the copy has settled every position that the replica has. Means something only within one epoch.
    pub holds_all: bool,
}

impl CopyStatus {
    /// Whether replica and copy have different epochs: then the replica's positions mean nothing to the copy.
    #[must_use]
    pub fn replaces_another_epoch(&self) -> bool {
        self.held_epoch.is_some_and(|held| self.epoch.is_some_and(|epoch| epoch != held))
    }

    /// The highest position that the log is known to contain.
    #[must_use]
    pub fn known_end(&self, newest: Option<&Watermark>) -> i64 {
        let told = newest.filter(|watermark| Some(watermark.epoch) == self.epoch);
        self.reach.max(told.map_or(0, |watermark| watermark.position))
    }

    /// Whether the watermark has another epoch than the copy.
    #[must_use]
    pub fn contradicts(&self, newest: Option<&Watermark>) -> bool {
        let told = newest.map(|watermark| watermark.epoch);
        self.epoch.is_some_and(|epoch| told.is_some_and(|told| told != epoch))
    }

    /// Whether the copy may take the replica's place. The copy must know its epoch and have every position up to
    /// `goal`, the log's known end of a moment ago. Within one epoch it must also have every position that the
    /// replica has settled. Otherwise it would lack something that the replica shows or has given a receipt of.
    #[must_use]
    pub fn is_level(&self, goal: i64) -> bool {
        self.epoch.is_some() && self.through >= goal && (self.holds_all || self.replaces_another_epoch())
    }
}

impl Director {
    /// Reads the state of both in one snapshot.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn look(&self) -> Result<CopyStatus, StepError> {
        let row = self.session.query_one(LOOK, &[]).await?;
        Ok(CopyStatus {
            epoch: row.try_get("epoch")?,
            through: row.try_get("through")?,
            reach: row.try_get("reach")?,
            settled: row.try_get("settled")?,
            held_epoch: row.try_get("held_epoch")?,
            held_reach: row.try_get("held_reach")?,
            holds_all: row.try_get("holds_all")?,
        })
    }
}
