//! How far a replica is, by its own words.

use jiff::Timestamp;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaReach {
    /// The epoch of its positions; none before the first event.
    pub epoch: Option<Uuid>,
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// The highest settled position.
    pub reach: i64,
    /// Up to when the replica claims to be complete.
    pub as_of: Option<Timestamp>,
    /// How many positions are missing up to the requested one.
    pub missing: i64,
}

impl ReplicaReach {
    pub(super) fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            epoch: row.try_get("epoch")?,
            applied_through: row.try_get("applied_through")?,
            reach: row.try_get("reach")?,
            as_of: row.try_get("as_of")?,
            missing: row.try_get("missing")?,
        })
    }
}
