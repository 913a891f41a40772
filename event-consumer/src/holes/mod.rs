//! Asks for what is missing. A position that has been missing for two seconds was lost on the way, or was sent before
//! this replica had a queue: the relay sends it again. An empty replica is one big hole, so bootstrap is the same.

pub mod missing;
pub mod plan;

use std::{ops::Range, sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use shared::{
    broker::{
        BrokerError, BrokerUrl,
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

/// How often is looked while nothing is being waited for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often is looked while answers are awaited.
const BUSY_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long one exchange with the broker may take: connecting, and all requests of a look. At the limit the seeker connects
/// again. Shorter than a session of the seeker may be idle, with [`LOOK_INTERVAL`] added.
const ASK_DEADLINE: Duration = Duration::from_secs(7);

/// A request survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// How long a request waits to be taken: as long as those before it may need. It is made again by then. Without this
/// bound, the relay would find one for every few seconds of its absence, and answer them all.
const REQUEST_TTL: Duration = Duration::from_secs(ANSWER_PATIENCE.as_secs() * OPEN_MAX as u64);

/// What is said when the broker does not take requests. It may be there all the same, with a queue of another kind.
const NOT_ASKED: &str = "something is missing, and cannot be asked for: see the log of this service";

/// Why nothing can be asked for.
#[derive(Debug, thiserror::Error)]
pub enum HolesError {
    /// The replica does not tell what is missing.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The broker does not take requests.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// What is needed to ask.
#[derive(Debug)]
pub struct Holes {
    /// Where requests go.
    pub broker: BrokerUrl,
    /// Where is looked.
    pub replica: DatabaseUrl,
    /// The replica, or the rebuild, that asks.
    pub recipient: Recipient,
    /// The newest watermark: how far the log is.
    pub watermarks: watch::Receiver<Option<Watermark>>,
    /// Notified while an answer makes no progress: it may have come to a queue that is not heard.
    pub unanswered: Arc<Notify>,
    /// Reports whether what is missing comes when it is asked for.
    pub log_dependency: Dependency,
}

/// A channel on which requests are confirmed, and its connection.
struct Requests {
    _connection: Connection,
    channel: Channel,
}

impl Holes {
    /// The loop: looks, asks, starts again after any failure; until `shutdown` is cancelled. A second process of the
    /// same replica stands by.
    pub async fn run(self, shutdown: CancellationToken) {
        let seeking = async {
            let mut pauses = Pauses::new();
            loop {
                match self.seek(&mut pauses).await {
                    // Another process seeks.
                    Ok(()) => self.log_dependency.up(),
                    Err(HolesError::Broker(error)) => self.log_dependency.down(NOT_ASKED, &error),
                    // The replica is a part of its own.
                    Err(HolesError::Seek(error)) => {
                        tracing::debug!(error = chain(&error), "holes are not sought now");
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

    /// Asks for these ranges, on a new connection if there is none.
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
    async fn open(broker: &BrokerUrl, step: &str) -> Result<Self, BrokerError> {
        let connection = broker.connect(step).await?;
        let channel = within_deadline(connection.create_channel()).await?;
        within_deadline(declare_replay_queue(&channel)).await?;
        within_deadline(channel.confirm_select(ConfirmSelectOptions { nowait: false })).await?;
        Ok(Self { _connection: connection, channel })
    }

    /// Sends a request. One that is lost on the way is made again, like one that is not answered.
    async fn send(&self, request: &ReplayRequest) -> Result<(), BrokerError> {
        let options = BasicPublishOptions { mandatory: false, immediate: false };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(REPLAY_CONTENT_TYPE.into())
            .with_expiration(REQUEST_TTL.as_millis().to_string().into())
            .with_app_id("event-consumer".into());
        let body = request.encode();
        let sending = async {
            self.channel
                .basic_publish("".into(), REPLAY_QUEUE.into(), options, &body, properties)
                .await?
                .await
        };
        within_deadline(sending).await.map(|_| ())
    }
}
