//! A bridge from the virtual host in which command-service works to the one in which event-consumer does. What crosses
//! it comes late, out of order and more than once, but is never lost: messages are taken apart into their events, each
//! with a delay of its own, and put together anew from those that are due.
//!
//! | module | holds |
//! |---|---|
//! | [`disorder`] | how bad it gets |
//! | `parcels` | what is on its way |

pub mod disorder;
mod parcels;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, future::try_join_all};
use jiff::Timestamp;
use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use shared::broker::topology::{EVENTS_EXCHANGE, declare_events_exchange};
use tokio::{sync::watch, task::JoinHandle, time::sleep_until};
use tokio_util::sync::CancellationToken;

pub use self::disorder::Disorder;
use self::parcels::{Message, OnTheWay};
use crate::{
    broker::VirtualHost,
    pair::Pair,
    wait::{RECOVERY, eventually},
};

/// The bridge's own queue in the virtual host where it begins.
const QUEUE: &str = "test.bridge";

/// How long what no queue took waits for its next attempt.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What has crossed a bridge.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    /// The positions that went onto it.
    pub received: BTreeSet<i64>,
    /// The positions that have left it, each at least once.
    pub delivered: BTreeSet<i64>,
    /// Events that left it after one of a higher position.
    pub inversions: usize,
    /// Events that left it once more.
    pub duplicates: usize,
    /// Messages of events that left it.
    pub messages: usize,
    /// Watermarks that left it.
    pub watermarks: usize,
    /// Watermarks that overtook an event which had gone onto the bridge before them.
    pub overtaking: usize,
}

/// The last event that has gone onto a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its position; 0 before the first.
    pub position: i64,
    /// Its commit time.
    pub committed_at: Option<Timestamp>,
}

/// Which events are kept on the bridge until they are released.
type Held = Arc<dyn Fn(i64) -> bool + Send + Sync>;

/// A bridge in operation. Dropping it ends it with whatever is on it.
#[derive(Debug)]
pub struct Bridge {
    crossings: Arc<Mutex<Crossings>>,
    seen: watch::Receiver<Seen>,
    held: watch::Sender<Option<HeldBack>>,
    stop: CancellationToken,
    carrying: JoinHandle<Result<()>>,
}

#[derive(Clone)]
struct HeldBack(Held);

impl std::fmt::Debug for HeldBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeldBack")
    }
}

impl Bridge {
    /// Opens a bridge between the two virtual hosts of a pair that is bridged, and then starts the pair's services.
    ///
    /// # Errors
    /// The pair is not bridged, the broker does not answer, or a service does not start.
    pub async fn open_before(pair: &Pair, disorder: Disorder, seed: u64) -> Result<Self> {
        let far = pair.far_broker.as_ref().context("no bridge is in the shape")?;
        let bridge = Self::open(&pair.broker, far, disorder, seed).await?;
        // The consumer first: without its queue nothing can leave the bridge.
        for service in pair.event_consumers.iter().chain(&pair.command_services) {
            service.start().await?;
        }
        pair.ready().await?;
        Ok(bridge)
    }

    /// Opens a bridge.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn open(from: &VirtualHost, to: &VirtualHost, disorder: Disorder, seed: u64) -> Result<Self> {
        let (near, far) = (connect(from).await?, connect(to).await?);
        let consumer = subscribe(&near.1).await?;
        let (seen_sender, seen) = watch::channel(Seen::default());
        let (held, held_receiver) = watch::channel(None);
        let (crossings, stop) = (Arc::<Mutex<Crossings>>::default(), CancellationToken::new());
        let carrier = Carrier {
            consumer,
            far: far.1,
            on_the_way: OnTheWay::new(disorder, seed),
            crossings: Arc::clone(&crossings),
            seen: seen_sender,
            held: held_receiver,
            _connections: [near.0, far.0],
        };
        let carrying = tokio::spawn(carrier.carry(stop.clone()));
        Ok(Self { crossings, seen, held, stop, carrying })
    }

    /// From now on keeps events at positions for which this holds, until [`Bridge::release`].
    pub fn hold(&self, positions: impl Fn(i64) -> bool + Send + Sync + 'static) {
        self.held.send_replace(Some(HeldBack(Arc::new(positions))));
    }

    /// Lets go of what is held.
    pub fn release(&self) {
        self.held.send_replace(None);
    }

    /// The last event that has gone onto the bridge, to be watched.
    #[must_use]
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// What has crossed it so far.
    #[must_use]
    pub fn crossings(&self) -> Crossings {
        self.crossings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every event up to `last` has crossed, and closes the bridge.
    ///
    /// # Errors
    /// One was lost, or the broker failed.
    pub async fn close_after(mut self, last: i64) -> Result<Crossings> {
        self.release();
        let expected: BTreeSet<i64> = (1..=last).collect();
        eventually(RECOVERY, "every event has crossed the bridge", async || {
            let crossings = self.crossings();
            ensure!(
                crossings.delivered == expected,
                "{} of {last} positions have gone onto the bridge, and {} have left it",
                crossings.received.len(),
                crossings.delivered.len()
            );
            Ok(())
        })
        .await?;
        let crossings = self.crossings();
        self.stop.cancel();
        (&mut self.carrying).await.context("the bridge panicked")??;
        Ok(crossings)
    }
}

async fn connect(host: &VirtualHost) -> Result<(Connection, Channel)> {
    let url = host.broker.amqp_url(&host.name);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    declare_events_exchange(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
    Ok((connection, channel))
}

async fn subscribe(channel: &Channel) -> Result<Consumer> {
    let options = QueueDeclareOptions {
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
    };
    channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await?;
    let everything = QueueBindOptions { nowait: false };
    channel
        .queue_bind(QUEUE.into(), EVENTS_EXCHANGE.into(), "#".into(), everything, FieldTable::default())
        .await?;
    // What was sent ahead lives as long as the test does.
    let options = BasicConsumeOptions { no_local: false, no_ack: true, exclusive: true, nowait: false };
    Ok(channel.basic_consume(QUEUE.into(), "bridge".into(), options, FieldTable::default()).await?)
}

struct Carrier {
    consumer: Consumer,
    far: Channel,
    on_the_way: OnTheWay,
    crossings: Arc<Mutex<Crossings>>,
    seen: watch::Sender<Seen>,
    held: watch::Receiver<Option<HeldBack>>,
    // A channel is closed with its connection.
    _connections: [Connection; 2],
}

impl Carrier {
    async fn carry(mut self, stop: CancellationToken) -> Result<()> {
        loop {
            let next_due = self.on_the_way.next_due();
            let due = async {
                match next_due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                delivery = self.consumer.next() => {
                    self.take(&delivery.context("the broker ended the bridge's subscription")??)?;
                }
                changed = self.held.changed() => match changed {
                    Ok(()) => self.hold_again(),
                    Err(_) => return Ok(()),
                },
                () = due => self.deliver().await?,
            }
        }
    }

    fn take(&mut self, delivery: &Delivery) -> Result<()> {
        let held = self.held.borrow().clone();
        let taken = self.on_the_way.take(delivery, held.as_ref().map(|held| &*held.0))?;
        self.count(|crossings| crossings.received.extend(taken.iter().map(|seen| seen.position)));
        if let Some(last) = taken.into_iter().max_by_key(|seen| seen.position) {
            self.seen.send_if_modified(|seen| {
                let is_further = last.position > seen.position;
                if is_further {
                    *seen = last;
                }
                is_further
            });
        }
        Ok(())
    }

    fn hold_again(&mut self) {
        let held = self.held.borrow_and_update().clone();
        self.on_the_way.hold_again(held.as_ref().map(|held| &*held.0));
    }

    fn count(&self, change: impl FnOnce(&mut Crossings)) {
        change(&mut self.crossings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Publishes what is due. What no queue took, since its consumer has not made it yet, is due again soon.
    async fn deliver(&mut self) -> Result<()> {
        let messages = self.on_the_way.due();
        let sent = try_join_all(messages.iter().map(|message| self.publish(message))).await?;
        for (message, confirm) in messages.into_iter().zip(sent) {
            let taken = match confirm.await? {
                Confirmation::Ack(None) => true,
                Confirmation::Ack(Some(_)) => false,
                refused => anyhow::bail!("the broker refused a message on the bridge: {refused:?}"),
            };
            if taken || message.is_watermark() {
                let mut crossings = self.crossings.lock().unwrap_or_else(PoisonError::into_inner);
                self.on_the_way.left(&message, &mut crossings);
            } else {
                self.on_the_way.try_again(message);
            }
        }
        Ok(())
    }

    async fn publish(&self, message: &Message) -> lapin::Result<lapin::PublisherConfirm> {
        // A watermark for a consumer that is down is of no use to anybody.
        let options = BasicPublishOptions { mandatory: !message.is_watermark(), immediate: false };
        let (key, body) = (message.routing_key.as_str(), message.body());
        self.far.basic_publish(EVENTS_EXCHANGE.into(), key.into(), options, &body, message.properties()).await
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.cancel();
        self.carrying.abort();
    }
}
