//! A detour on the way to the replica's queue: messages leave it in another order than they came, and some twice.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use shared::{broker::topology::EVENTS_EXCHANGE, messages::event::EventType, replica_name::ReplicaName};
use tokio::task::JoinHandle;

use crate::{
    broker::{Message, VirtualHost, publish},
    random::Random,
};

const QUEUE: &str = "test.detour";

/// Messages that wait in the detour; which of them goes on next is chosen at random.
const HELD: usize = 5;

/// One of this many messages goes on twice.
const REPEATED_ONE_IN: usize = 4;

/// Ends the detour when it comes out of the queue: everything before it has come out then.
const END: &str = "end";

/// A detour. While it is open, what the relay publishes reaches the replica's queue only through it.
#[derive(Debug)]
pub struct Detour {
    _connection: Connection,
    channel: Channel,
    carrying: JoinHandle<Result<()>>,
    counters: Arc<Counters>,
}

/// What the detour has done.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that went on before one that had come earlier.
    pub overtaken: AtomicU64,
    /// Messages that went on twice.
    pub repeated: AtomicU64,
}

impl Detour {
    /// Opens a detour; the consumer must have declared its queue.
    ///
    /// # Errors
    /// The broker is down.
    pub async fn open(host: &VirtualHost, seed: u64) -> Result<Self> {
        let (connection, channel) = host.channel().await?;
        let exclusive = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: false,
            nowait: false,
        };
        channel.queue_declare(QUEUE.into(), exclusive, FieldTable::default()).await?;
        bind(&channel, QUEUE).await?;
        let options = BasicConsumeOptions { no_local: false, no_ack: true, exclusive: true, nowait: false };
        let consumer =
            channel.basic_consume(QUEUE.into(), QUEUE.into(), options, FieldTable::default()).await?;
        let counters = Arc::new(Counters::default());
        let carrier = Carrier {
            channel: channel.clone(),
            random: Random::new(seed),
            held: Vec::new(),
            counters: Arc::clone(&counters),
        };
        let detour = Self {
            _connection: connection,
            channel,
            carrying: tokio::spawn(carrier.carry(consumer)),
            counters,
        };
        detour.divert().await?;
        Ok(detour)
    }

    /// Takes the direct way away. To be called again when a consumer has been started, which opens it.
    ///
    /// # Errors
    /// The broker is down.
    pub async fn divert(&self) -> Result<()> {
        let queue = ReplicaName::main().queue();
        for kind in EventType::ALL {
            self.channel
                .queue_unbind(
                    queue.as_str().into(),
                    EVENTS_EXCHANGE.into(),
                    kind.as_str().into(),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    /// Opens the direct way again and lets go on what is still held. Nothing is lost.
    ///
    /// # Errors
    /// The broker is down, or was down meanwhile.
    pub async fn close(self) -> Result<Arc<Counters>> {
        bind(&self.channel, &ReplicaName::main().queue()).await?;
        for kind in EventType::ALL {
            self.channel
                .queue_unbind(
                    QUEUE.into(),
                    EVENTS_EXCHANGE.into(),
                    kind.as_str().into(),
                    FieldTable::default(),
                )
                .await?;
        }
        let end = BasicProperties::default().with_type(END.into());
        let end = Message { body: Vec::new(), properties: end };
        publish(&self.channel, "", QUEUE, &end).await?;
        self.carrying.await.context("the detour panicked")??;
        Ok(self.counters)
    }
}

struct Carrier {
    channel: Channel,
    random: Random,
    held: Vec<Delivery>,
    counters: Arc<Counters>,
}

impl Carrier {
    async fn carry(mut self, mut consumer: Consumer) -> Result<()> {
        loop {
            let delivery = consumer.next().await.context("the detour's queue is gone")??;
            if delivery.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == END) {
                break;
            }
            self.held.push(delivery);
            if self.held.len() > HELD {
                self.send_one().await?;
            }
        }
        while !self.held.is_empty() {
            self.send_one().await?;
        }
        Ok(())
    }

    async fn send_one(&mut self) -> Result<()> {
        let chosen = self.random.below(self.held.len());
        if chosen > 0 {
            self.counters.overtaken.fetch_add(1, Ordering::Relaxed);
        }
        // What goes on twice stays for the second time, which may be much later.
        let repeated = self.random.below(REPEATED_ONE_IN) == 0;
        let (body, properties) = if repeated {
            self.counters.repeated.fetch_add(1, Ordering::Relaxed);
            let delivery = &self.held[chosen];
            (delivery.data.clone(), delivery.properties.clone())
        } else {
            let delivery = self.held.remove(chosen);
            (delivery.data, delivery.properties)
        };
        publish(&self.channel, "", &ReplicaName::main().queue(), &Message { body, properties }).await
    }
}

async fn bind(channel: &Channel, queue: &str) -> Result<()> {
    for kind in EventType::ALL {
        let (exchange, key) = (EVENTS_EXCHANGE.into(), kind.as_str().into());
        let options = QueueBindOptions { nowait: false };
        channel.queue_bind(queue.into(), exchange, key, options, FieldTable::default()).await?;
    }
    Ok(())
}
