//! The order to rebuild a replica.

use std::time::Duration;

use shared::{broker::Broker, postgres::DatabaseUrl, replica_name::ReplicaName};

/// What is rebuilt, and from where.
#[derive(Clone, Debug)]
pub struct Rebuild {
    /// The broker, from which events come.
    pub broker: Broker,
    /// The database of the replica and of its copy.
    pub replica: DatabaseUrl,
    /// The name of the replica to rebuild.
    pub replica_name: ReplicaName,
    /// How long the rebuild may make no progress before it gives up.
    pub patience: Duration,
}
