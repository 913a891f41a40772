//! What is to be rebuilt.

use std::time::Duration;

use shared::{broker::BrokerUrl, postgres::DatabaseUrl, replica_name::ReplicaName};

/// What is rebuilt, and from where.
#[derive(Clone, Debug)]
pub struct Rebuild {
    /// Where events come from.
    pub broker: BrokerUrl,
    /// The database of the replica, and of the copy.
    pub replica: DatabaseUrl,
    /// Whose copy is made.
    pub replica_name: ReplicaName,
    /// How long is waited while nothing moves.
    pub patience: Duration,
}
