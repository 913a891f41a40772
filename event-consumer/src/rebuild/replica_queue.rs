//! The replica's queue after a new epoch.

use shared::{
    broker::{
        BrokerError,
        topology::{declare_events_exchange, declare_events_queue, delete_replica_queue},
        within_deadline,
    },
    replica_name::Recipient,
};

use super::order::Rebuild;

impl Rebuild {
    /// Replaces the replica's queue: its events of the old epoch do not fit the copy. The seeker asks again for all
    /// else. Before the swap: a rebuild killed in between loses only events that the old state cannot apply. Declares
    /// the new queue itself, because the consumer may be stopped: without a queue the relay publishes nothing.
    pub(super) async fn forget_other_epoch(&self) -> Result<(), BrokerError> {
        let connection = self.broker.url.connect("rebuild").await?;
        let channel = within_deadline(connection.create_channel()).await?;
        within_deadline(delete_replica_queue(&channel, &self.replica_name)).await?;
        let recipient = Recipient::Replica(self.replica_name.clone());
        within_deadline(declare_events_exchange(&channel)).await?;
        within_deadline(declare_events_queue(&channel, &recipient)).await?;
        within_deadline(connection.close(200, "done".into())).await
    }
}
