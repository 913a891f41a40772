//! Asks the relay to send missing positions again. A position missing for two seconds was lost on the way, or sent
//! before this replica had a queue. An empty replica misses every position, so bootstrap works the same way.

pub mod missing;
pub mod plan;

use std::{ops::Range, sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use shared::{
    broker::{
        Broker, BrokerError, PERSISTENT,
        signing::SigningKeys,
        topology::{REPLAY_QUEUE, declare_replay_queue},
        within_deadline,
    },
    messages::{
        replay::{REPLAY_CONTENT_TYPE, ReplayRequest},
        watermark::Watermark,
    },
    postgres::DatabaseUrl,
    process::cause::chain,
    process::{backoff::Pauses, dependency_state::Dependency},
    replica_name::Recipient,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    missing::{Missing, SeekError, SeekerSession},
    plan::{ANSWER_PATIENCE, OPEN_MAX, Plan},
};

/// Time between two looks while no answer is awaited.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two looks while answers are awaited.
const BUSY_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Bound for connecting to the broker and sending all requests of a look. At the limit the seeker connects again.
/// With [`LOOK_INTERVAL`] added, it stays below the idle timeout of the seeker's session.
const ASK_DEADLINE: Duration = Duration::from_secs(7);

/// Time a request may wait in the queue: as long as the requests before it may need. By then the seeker repeats it.
/// Without this bound a relay that was down would find, and answer, one for every few seconds of its absence.
const REQUEST_TTL: Duration = Duration::from_secs(ANSWER_PATIENCE.as_secs() * OPEN_MAX as u64);

/// Reported when the broker takes no requests. The broker may still be up, with a queue of another kind.
const NOT_ASKED: &str = "something is missing, and cannot be asked for: see the log of this service";

/// Why the seeker cannot ask.
#[derive(Debug, thiserror::Error)]
pub enum HolesError {
    /// The replica does not tell which positions are missing.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The broker does not take requests.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Finds missing positions and asks for them.
#[derive(Debug)]
pub struct Holes {
    /// The broker that takes the requests.
    pub broker: Broker,
    /// The replica that is searched.
    pub replica: DatabaseUrl,
    /// The replica or rebuild that receives the answers.
    pub recipient: Recipient,
    /// The newest watermark: how far the log reaches.
    pub watermarks: watch::Receiver<Option<Watermark>>,
    /// Notified while an answer makes no progress: it may have gone to a queue without a consumer.
    pub unanswered: Arc<Notify>,
    /// Reports whether missing positions arrive after they were requested.
    pub log_dependency: Dependency,
}

/// A channel with publisher confirms, and its connection.
struct Requests {
    _connection: Connection,
    channel: Channel,
    keys: SigningKeys,
}

impl Holes {
    /// Looks and asks until `shutdown` is cancelled; starts again after any failure. A second process of the same
    /// replica stands by.
    pub async fn run(self, shutdown: CancellationToken) {
        let seeking = async {
            let mut pauses = Pauses::new();
            loop {
                match self.seek(&mut pauses).await {
                    // Another process seeks.
                    Ok(()) => self.log_dependency.up(),
                    Err(HolesError::Broker(error)) => self.log_dependency.down(NOT_ASKED, &error),
                    // Another task reports the state of the replica.
                    Err(HolesError::Seek(error)) => {
                        tracing::debug!(error = chain(&error), "the search for missing positions waits");
                    }
                }
                pauses.wait().await;
            }
        };
        shutdown.run_until_cancelled(seeking).await;
    }

    async fn seek(&self, pauses: &mut Pauses) -> Result<(), HolesError> {
        let Some(session) = SeekerSession::open(&self.replica, &self.recipient).await? else {
            return Ok(());
        };
        let (mut plan, mut requests) = (Plan::default(), None);
        loop {
            let missing = self.look(&session).await?;
            let asks = plan.look(&missing, Instant::now());
            if let (Some(first), Some(last)) = (asks.first(), asks.last()) {
                let (from, to, count) = (first.start, last.end - 1, asks.len());
                tracing::info!(from, to, requests = count, "asking for missing positions");
                let asking = timeout(ASK_DEADLINE, self.ask(requests.take(), asks));
                requests = Some(asking.await.map_err(|_| BrokerError::Deadline)??);
            }
            if plan.is_unanswered(Instant::now()) {
                self.unanswered.notify_one();
            }
            self.report(&plan);
            *pauses = Pauses::new();
            sleep(if plan.is_waiting() { BUSY_LOOK_INTERVAL } else { LOOK_INTERVAL }).await;
        }
    }

    async fn look(&self, session: &SeekerSession) -> Result<Missing, SeekError> {
        let watermark = *self.watermarks.borrow();
        let (position, epoch) = watermark.map_or((0, None), |newest| (newest.position, Some(newest.epoch)));
        session.missing(position, epoch).await
    }

    /// Asks for these ranges; connects first if there is no connection.
    async fn ask(
        &self,
        requests: Option<Requests>,
        ranges: Vec<Range<i64>>,
    ) -> Result<Requests, BrokerError> {
        let requests = match requests {
            Some(open) => open,
            None => Requests::open(&self.broker, &self.recipient.step("holes")).await?,
        };
        for range in ranges {
            if let Some(request) = ReplayRequest::new(self.recipient.clone(), range.start..=range.end - 1) {
                requests.send(&request).await?;
            }
        }
        Ok(requests)
    }

    fn report(&self, plan: &Plan) {
        match plan.in_vain().next() {
            None => self.log_dependency.up(),
            Some(range) => self.log_dependency.down_because(format!(
                "positions {} to {} were asked for again and again in vain",
                range.start,
                range.end - 1
            )),
        }
    }
}

impl Requests {
    async fn open(broker: &Broker, step: &str) -> Result<Self, BrokerError> {
        let connection = broker.url.connect(step).await?;
        let channel = within_deadline(connection.create_channel()).await?;
        within_deadline(declare_replay_queue(&channel)).await?;
        within_deadline(channel.confirm_select(ConfirmSelectOptions { nowait: false })).await?;
        Ok(Self { _connection: connection, channel, keys: broker.keys.clone() })
    }

    /// Sends a request. The seeker repeats a request that is lost or not answered.
    async fn send(&self, request: &ReplayRequest) -> Result<(), BrokerError> {
        let options = BasicPublishOptions { mandatory: false, immediate: false };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(REPLAY_CONTENT_TYPE.into())
            .with_expiration(REQUEST_TTL.as_millis().to_string().into())
            .with_app_id("event-consumer".into());
        let body = request.encode();
        let properties = self.keys.sign(properties, REPLAY_QUEUE, &body);
        let sending = async {
            self.channel
                .basic_publish("".into(), REPLAY_QUEUE.into(), options, &body, properties)
                .await?
                .await
        };
        within_deadline(sending).await.map(|_| ())
    }
}
