//! Answers replicas that request missing events: reads the log and sends the events to the requesting replica's queue.
//! It keeps no state between two requests, so any process may answer, and any number of times.

use std::convert::Infallible;

use futures_util::StreamExt;
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use shared::{
    broker::{
        Broker, BrokerError,
        signing::DroppedMessages,
        topology::{REPLAY_QUEUE, declare_replay_queue},
        within_deadline,
    },
    messages::replay::{REPLAY_MAX_POSITIONS, ReplayRequest},
    position::Position,
    postgres::{Session, SessionKind},
    process::backoff::Pauses,
    process::cause::chain,
    replica_name::{Recipient, ReplicaName},
};
use tokio::time::{Duration, sleep, timeout};
use tokio_postgres::Statement;
use tokio_util::sync::CancellationToken;

use super::{
    log::{BETWEEN, LogError, logged_event},
    messages,
    publisher::{Destination, PublishError, Publisher},
};
use crate::primary::connection::Primary;

/// One request at a time. This bounds the number of unconfirmed events.
const PREFETCH_REQUESTS: u16 = 1;

/// The most events that one batch reads and publishes.
const TAKE_MAX_EVENTS: i64 = 1_000;

/// Pause after each batch. It leaves room for up-to-date replicas while another replica requests the whole log.
const PAUSE: Duration = Duration::from_millis(10);

/// Time after which a subscription without requests is renewed. If the queue is deleted and at once created again, the
/// broker silently drops its messages on a channel that knew the old queue. Closing that channel returns them
/// to the queue, and a new channel receives them.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// A primary that answers nothing for 6 s counts as down, and the request goes back to the queue.
const KIND: SessionKind = SessionKind {
    step: "replay",
    options: "-c statement_timeout=5s -c default_transaction_read_only=on",
    deadline: Duration::from_secs(6),
};

/// Why a request was not answered. The request goes back to the queue.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The broker did not confirm.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The broker ended the subscription.
    #[error("the broker ended the subscription")]
    Ended,
}

impl From<BrokerError> for ReplayError {
    fn from(error: BrokerError) -> Self {
        Self::Publish(error.into())
    }
}

impl From<lapin::Error> for ReplayError {
    fn from(error: lapin::Error) -> Self {
        BrokerError::from(error).into()
    }
}

impl From<tokio_postgres::Error> for ReplayError {
    fn from(error: tokio_postgres::Error) -> Self {
        LogError::from(error).into()
    }
}

/// Reads ranges of the log and sends them to a replica's queue.
pub struct Replayer {
    session: Session,
    between: Statement,
    publisher: Publisher,
}

impl std::fmt::Debug for Replayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replayer").field("publisher", &self.publisher).finish_non_exhaustive()
    }
}

impl Replayer {
    /// Connects to the primary and the broker.
    ///
    /// # Errors
    /// Either is down.
    pub async fn open(primary: &Primary, broker: &Broker) -> Result<Self, ReplayError> {
        let session = primary.connect(KIND).await.map_err(LogError::from)?;
        let between = session.prepare(BETWEEN).await?;
        Ok(Self { session, between, publisher: Publisher::open(broker, "replay").await? })
    }

    /// Sends the events of the requested range, up to the end of the log. Returns how many it sent.
    ///
    /// # Errors
    /// [`ReplayError`]; some of the events may have been sent.
    pub async fn answer(&self, request: &ReplayRequest) -> Result<usize, ReplayError> {
        let to = Destination::One(request.replica.clone());
        let (mut first, last) = (request.from.get(), request.to.get());
        let mut sent = 0;
        while first <= last {
            let end = last.min(first.saturating_add(TAKE_MAX_EVENTS - 1));
            let rows = self.session.query(&self.between, &[&first, &end]).await?;
            let events = rows.iter().map(logged_event).collect::<Result<Vec<_>, _>>()?;
            if events.is_empty() {
                break;
            }
            self.publisher.publish(&messages::group(&events), &to).await?;
            sent += events.len();
            first = end + 1;
            sleep(PAUSE).await;
        }
        Ok(sent)
    }
}

/// Sends a replica's queue the events from `from` up to `to`, or up to the end of the log. Returns how many it sent.
///
/// # Errors
/// [`ReplayError`]; some of the events may have been sent, which does no harm.
pub async fn replay_range(
    replayer: &Replayer,
    replica: &ReplicaName,
    from: Position,
    to: Option<Position>,
) -> Result<usize, ReplayError> {
    let (mut first, last) = (from.get(), to.map_or(i64::MAX - 1, Position::get));
    let mut sent = 0;
    while first <= last {
        let end = last.min(first.saturating_add(REPLAY_MAX_POSITIONS - 1));
        let Some(request) = ReplayRequest::new(Recipient::Replica(replica.clone()), first..=end) else {
            break;
        };
        let events = replayer.answer(&request).await?;
        if events == 0 {
            break;
        }
        sent += events;
        first = end + 1;
    }
    Ok(sent)
}

/// Serves replay requests.
#[derive(Debug)]
pub struct Replay {
    /// The primary with the log.
    pub primary: Primary,
    /// The broker that brings requests and takes the events.
    pub broker: Broker,
    /// Counts the requests that are not signed.
    pub unsigned_requests: DroppedMessages,
}

impl Replay {
    /// Answers requests until `shutdown` is cancelled. Connects again after any failure.
    pub async fn run(self, shutdown: CancellationToken) {
        let answering = async {
            let mut pauses = Pauses::new();
            loop {
                let Err(error) = self.serve(&mut pauses).await;
                tracing::debug!(error = chain(&error), "replays are not served now");
                pauses.wait().await;
            }
        };
        shutdown.run_until_cancelled(answering).await;
    }

    /// Answers requests on one connection until an error.
    async fn serve(&self, pauses: &mut Pauses) -> Result<Infallible, ReplayError> {
        let connection = self.broker.url.connect("replay requests").await?;
        let mut replayer = None;
        loop {
            let (channel, mut requests) = subscribe(&connection).await?;
            while let Ok(request) = timeout(SILENCE_MAX, requests.next()).await {
                let delivery = request.ok_or(ReplayError::Ended)??;
                self.answer(&delivery, &mut replayer).await?;
                within_deadline(delivery.acker.ack(BasicAckOptions { multiple: false })).await?;
                *pauses = Pauses::new();
            }
            within_deadline(channel.close(200, "no requests".into())).await?;
        }
    }

    /// Answers one request. Skips a request that is not signed, that cannot be decoded, or whose replica has no queue.
    async fn answer(&self, delivery: &Delivery, replayer: &mut Option<Replayer>) -> Result<(), ReplayError> {
        if let Err(unsigned) = self.broker.keys.check(delivery) {
            self.unsigned_requests.note(unsigned);
            return Ok(());
        }
        let request = match ReplayRequest::decode(&delivery.data) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(error = chain(&error), "request for a replay passed over");
                return Ok(());
            }
        };
        let open = match replayer.take() {
            Some(open) => open,
            None => Replayer::open(&self.primary, &self.broker).await?,
        };
        match open.answer(&request).await {
            Ok(events) => {
                let (from, to, replica) = (request.from.get(), request.to.get(), &request.replica);
                tracing::info!(from, to, events, %replica, "events sent again");
            }
            Err(ReplayError::Publish(PublishError::Unroutable)) => {
                tracing::warn!(replica = %request.replica, "a replica without a queue asked for a replay");
            }
            Err(error) => return Err(error),
        }
        *replayer = Some(open);
        Ok(())
    }
}

async fn subscribe(connection: &Connection) -> Result<(Channel, Consumer), ReplayError> {
    let channel = within_deadline(connection.create_channel()).await?;
    within_deadline(declare_replay_queue(&channel)).await?;
    within_deadline(channel.basic_qos(PREFETCH_REQUESTS, BasicQosOptions { global: false })).await?;
    let options = BasicConsumeOptions {
        no_local: false,  // RabbitMQ does not support it
        no_ack: false,    // a request is done when its last event is confirmed
        exclusive: false, // every process answers
        nowait: false,    // wait, so that a queue that cannot be consumed is an error here
    };
    let consuming =
        channel.basic_consume(REPLAY_QUEUE.into(), "replay".into(), options, FieldTable::default());
    let requests = within_deadline(consuming).await?;
    Ok((channel, requests))
}
