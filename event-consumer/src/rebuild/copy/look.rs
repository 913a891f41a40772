//! Tells how far the new copy is, and whether it may take the replica's place.

use jiff::Timestamp;
use shared::messages::watermark::Watermark;
use uuid::Uuid;

use super::{director::Director, fault::StepError};

pub(super) const LOOK: &str = "
    SELECT copy.epoch, copy.applied_through AS through, upper(copy.applied) - 1 AS reach,
           (SELECT sum(upper(range) - lower(range))::bigint - 1 FROM unnest(copy.applied) AS range) AS settled,
           held.epoch AS held_epoch, lower(held.applied - copy.applied) AS lacks,
           -- An edit by hand may have made it infinite.
           CASE WHEN held.as_of IS NOT NULL
                THEN greatest(least(held.as_of, '9999-01-01 UTC'), '0001-01-01 UTC') END AS held_as_of, copy.as_of
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
    /// The first position that the replica claims and the copy lacks. Means something only within one epoch.
    pub lacks: Option<i64>,
    /// Up to when the replica claims to be complete.
    pub held_as_of: Option<Timestamp>,
    /// Up to when the copy is complete.
    pub as_of: Option<Timestamp>,
}

/// Claims of the replica that the log has refuted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refuted {
    /// The replica's claims from this position on are false.
    pub positions_from: Option<i64>,
    /// This `as_of` of the replica, and every later one, is false.
    pub as_of_from: Option<Timestamp>,
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
    /// `goal`, the log's known end of a moment ago. Within one epoch it must also have everything that the replica
    /// claims, unless the log has refuted it. Otherwise it would lack something that the replica shows or has given a
    /// receipt of, or be complete up to an earlier time.
    #[must_use]
    pub fn is_level(&self, goal: i64, refuted: Refuted) -> bool {
        let is_position_held =
            self.lacks.is_none_or(|lacks| refuted.positions_from.is_some_and(|from| lacks >= from));
        let is_as_of_held = self.held_as_of <= self.as_of
            || refuted.as_of_from.is_some_and(|from| self.held_as_of >= Some(from));
        let is_held = is_position_held && is_as_of_held;
        self.epoch.is_some() && self.through >= goal && (is_held || self.replaces_another_epoch())
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
            lacks: row.try_get("lacks")?,
            held_as_of: row.try_get("held_as_of")?,
            as_of: row.try_get("as_of")?,
        })
    }
}
