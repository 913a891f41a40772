//! The relay: publishes the log to the broker in order of position, and remembers how far the broker has
//! confirmed.
//!
//! | module | holds |
//! |---|---|
//! | [`log`] | the leader's session on the primary: the log and the cursor |
//! | [`messages`] | events grouped into messages |
//! | [`publisher`] | the only publisher |
//! | [`replay`] | answers replicas that ask for missing positions |
//! | [`watermark`] | how complete the log is while nothing is published |
//!
//! One process leads; the others stand by. A replica applies an event once, even if the relay publishes it
//! twice. So whenever the relay is in doubt, it publishes again.

pub mod log;
pub mod messages;
pub mod publisher;
pub mod replay;
pub mod watermark;

/// Every statement of the relay, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 7] = [
    log::TRY_TO_LEAD,
    log::START,
    log::REWIND,
    log::AFTER_CURSOR,
    log::BETWEEN,
    log::ADVANCE,
    watermark::TAKE,
];

use std::time::Duration;

use futures_util::FutureExt;
use shared::{
    broker::Broker,
    messages::event::traces,
    process::{backoff::Pauses, dependency_state::Dependency},
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::{
    log::{LogError, RelaySession},
    publisher::{Destination, PublishError, Publisher},
};
use crate::{primary::connection::Primary, write_model::wake::CommitSignal};

/// The most events that one step takes from the log; also the most that are unconfirmed at any time.
pub const TAKE_MAX_EVENTS: i64 = 1024;

/// A take of this many events means high load.
const BUSY_TAKE_EVENTS: usize = 16;

/// Under high load, takes begin at least this far apart. Fewer and larger takes cost the broker and the
/// replica less per event, and leave more of the machine to the commands. An event then waits up to this
/// long; under low load it does not wait.
const BUSY_TAKE_INTERVAL: Duration = Duration::from_millis(5);

/// How often a relay that stands by tries to lead. The leader reads the log whenever a watermark is due, in
/// case a notification is lost.
const POLL: Duration = Duration::from_secs(1);

/// Time without anything sent after which a watermark is due. So watermarks come at most twice a second, and
/// only while no events come.
const WATERMARK_INTERVAL: Duration = Duration::from_millis(500);

/// How often the log repeats that no queue is bound.
const UNBOUND_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The broker had confirmed everything already.
    Nothing,
    /// The broker has confirmed this many more events.
    Events(usize),
}

/// Why the relay has to start again.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The primary is down, the log has a gap, or another process leads.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The broker did not confirm.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// One step: publishes at most this many events after the cursor, awaits every confirm, moves the cursor.
///
/// # Errors
/// [`RelayError`]; the cursor has not moved.
pub async fn relay_batch(
    log: &mut RelaySession,
    publisher: &Publisher,
    take_max_events: i64,
) -> Result<Relayed, RelayError> {
    let events = log.after_cursor(take_max_events).await?;
    let Some(last) = events.last().map(|event| event.position) else {
        return Ok(Relayed::Nothing);
    };
    publisher.publish(&messages::group(&events), &Destination::EveryReplica).await?;
    log.advance(last).await?;
    if tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug!(
            events = events.len(),
            position.last = last.get(),
            traces = traces(&events),
            "events published"
        );
    }
    Ok(Relayed::Events(events.len()))
}

/// Publishes how complete the log is. Does nothing during a commit: its event then says more.
///
/// # Errors
/// [`RelayError`].
async fn send_watermark(log: &RelaySession, publisher: &Publisher) -> Result<(), RelayError> {
    if let Some(watermark) = log.watermark().await? {
        publisher.publish_watermark(&watermark).await?;
    }
    Ok(())
}

/// What the relay works with.
#[derive(Debug)]
pub struct Relay {
    /// Where the log is.
    pub primary: Primary,
    /// Where the events go.
    pub broker: Broker,
    /// Notified by the committer of this process, if it has one.
    pub committed: CommitSignal,
    /// Reports whether the primary answers. `None`: another task of this process does.
    pub primary_dependency: Option<Dependency>,
    /// Reports whether the broker answers.
    pub broker_dependency: Dependency,
    /// Reports whether events are being relayed, by this process or by the leader.
    pub relay_dependency: Dependency,
}

/// The connections that a relay keeps between steps.
#[derive(Debug, Default)]
struct Connections {
    publisher: Option<Publisher>,
    log: Option<RelaySession>,
    /// When the relay last sent something, or last tried to take a watermark.
    last_sent: Option<Instant>,
    /// Present while no queue takes the events: when the log last said so.
    unbound_logged_at: Option<Instant>,
}

impl Connections {
    /// One event is enough to find out whether a queue is bound by now: the broker returns whole messages.
    fn take_max_events(&self) -> i64 {
        if self.unbound_logged_at.is_some() { 1 } else { TAKE_MAX_EVENTS }
    }

    /// Repeats at intervals what the relay waits for.
    fn note_unbound(&mut self) {
        if self.unbound_logged_at.is_none_or(|logged_at| logged_at.elapsed() >= UNBOUND_LOG_INTERVAL) {
            tracing::warn!("events wait in the log: no replica's queue is bound");
            self.unbound_logged_at = Some(Instant::now());
        }
    }
}

/// How the loop goes on after a step.
enum Next {
    /// There may be more events: step again at this moment.
    At(Instant),
    /// Step again when woken, or when a watermark is due.
    WhenWoken {
        /// When the next watermark is due.
        watermark_at: Instant,
    },
    /// Another process leads: step again after `POLL`.
    LookAgain,
}

impl Relay {
    /// The loop: leads when it can, relays, and starts again after any failure. Ends after the current step
    /// when `shutdown` is cancelled.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut connections = Connections::default();
        let mut pauses = Pauses::new();
        while !shutdown.is_cancelled() {
            let wait = match self.step(&mut connections).await {
                Ok(next) => {
                    self.relay_dependency.up();
                    pauses = Pauses::new();
                    self.wait_for(next, connections.log.as_ref()).boxed()
                }
                Err(error) => {
                    self.report(&error, &mut connections);
                    sleep(pauses.next_pause()).boxed()
                }
            };
            shutdown.run_until_cancelled(wait).await;
        }
        if let Some(publisher) = connections.publisher {
            publisher.close().await;
        }
    }

    async fn step(&self, connections: &mut Connections) -> Result<Next, RelayError> {
        let take_max_events = connections.take_max_events();
        let publisher = match connections.publisher.take_if(|publisher| publisher.is_connected()) {
            Some(publisher) => publisher,
            None => Publisher::open(&self.broker, "relay").await.map_err(PublishError::from)?,
        };
        let publisher = connections.publisher.insert(publisher);
        self.broker_dependency.up();
        let log = match &mut connections.log {
            Some(log) => log,
            none => none.insert(RelaySession::open(&self.primary).await?),
        };
        let leads = log.leads().await?;
        self.primary_dependency.iter().for_each(Dependency::up);
        self.committed.set_leads_here(leads);
        if !leads {
            return Ok(Next::LookAgain);
        }
        let begun_at = Instant::now();
        let relayed = relay_batch(log, publisher, take_max_events).await?;
        connections.unbound_logged_at = None;
        if let Relayed::Events(taken) = relayed {
            connections.last_sent = Some(Instant::now());
            let pause = if taken < BUSY_TAKE_EVENTS { Duration::ZERO } else { BUSY_TAKE_INTERVAL };
            return Ok(Next::At(begun_at + pause));
        }
        let last_sent = match connections.last_sent {
            Some(last_sent) if begun_at < last_sent + WATERMARK_INTERVAL => last_sent,
            _ => {
                send_watermark(log, publisher).await?;
                *connections.last_sent.insert(begun_at)
            }
        };
        Ok(Next::WhenWoken { watermark_at: last_sent + WATERMARK_INTERVAL })
    }

    async fn wait_for(&self, next: Next, log: Option<&RelaySession>) {
        match (next, log) {
            (Next::At(moment), _) => sleep_until(moment).await,
            (Next::WhenWoken { watermark_at }, Some(log)) => {
                let elsewhere = log.notified();
                tokio::select! {
                    () = self.committed.notified() => {}
                    () = elsewhere.notified() => {}
                    () = log.lost() => {}
                    () = sleep_until(watermark_at) => {}
                }
            }
            (Next::WhenWoken { .. } | Next::LookAgain, _) => sleep(POLL).await,
        }
    }

    /// Reports which dependency is down, and drops the connections that failed. Without the broker this
    /// process gives up the lead, because another process may reach the broker.
    fn report(&self, error: &RelayError, connections: &mut Connections) {
        self.committed.set_leads_here(false);
        match error {
            RelayError::Publish(PublishError::Unroutable) => {
                connections.note_unbound();
                self.relay_dependency.down("no replica's queue is bound yet", error);
            }
            RelayError::Publish(failure) => {
                *connections = Connections::default();
                self.broker_dependency.down("not connected, or not confirming", failure);
                self.relay_dependency.down("waiting for the broker", error);
            }
            RelayError::Log(LogError::Gap { .. }) => {
                connections.log = None;
                self.relay_dependency.down("the log has a gap: see the log of this service", error);
            }
            RelayError::Log(failure) => {
                connections.log = None;
                if let (Some(primary), LogError::Open(failure)) = (&self.primary_dependency, failure) {
                    primary.down(failure.detail(), failure);
                }
                self.relay_dependency.down("waiting for the primary", error);
            }
        }
    }
}
