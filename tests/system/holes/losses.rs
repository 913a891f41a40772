//! Queues, bindings and whole brokers lost under load.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lapin::{
    options::{
        ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use shared::{
    broker::topology::{REPLAY_QUEUE, declare_replay_queue},
    messages::event::EventType,
};
use system_tests::{
    Pair, RECOVERY, eventually,
    level::assert_level_with,
    load::{Load, MIXED},
    random::seed,
    with_pair,
};

use super::{QUEUE, truth::until_complete, while_messages_wait};

const CLIENTS: usize = 8;
const EXCHANGE: &str = "parking.events";

/// A load goes on before, during and after `lose`; then the pair must be level, and every service ready.
async fn level_after(pair: &Pair, lose: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
    load.progress(50).await?;
    lose().await?;
    let lost_at = Instant::now();
    load.progress(100).await?;
    let history = load.finish().await?;
    ensure!(
        history.unknown() + history.refused(|status| status >= 500) == 0,
        "the loss is no concern of a command"
    );
    assert_level_with(pair, &history).await?;
    println!("level {:?} after the loss", lost_at.elapsed());
    pair.ready().await
}

/// With these options only an empty queue without consumers would be spared.
const WHATEVER_IS_IN_IT: QueueDeleteOptions =
    QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };

/// How a replica's queue loses what waits in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    Purged,
    Deleted,
    /// And made again at once by somebody else, who does not bind it.
    Recreated,
    /// With everything else that the broker knew.
    Wiped,
}

impl Loss {
    pub(super) const ALL: [Self; 4] = [Self::Purged, Self::Deleted, Self::Recreated, Self::Wiped];

    /// Loses them; at least one message waits.
    pub(super) async fn happen(self, pair: &Pair) -> Result<()> {
        let (_connection, channel) = pair.broker.channel().await?;
        while_messages_wait(pair, &channel, async || {
            let lost = match self {
                Self::Wiped => return pair.broker.wipe().await,
                Self::Purged => {
                    channel.queue_purge(QUEUE.into(), QueuePurgeOptions { nowait: false }).await?
                }
                Self::Deleted | Self::Recreated => {
                    channel.queue_delete(QUEUE.into(), WHATEVER_IS_IN_IT).await?
                }
            };
            ensure!(lost > 0, "nothing was lost");
            if matches!(self, Self::Recreated) {
                channel.queue_declare(QUEUE.into(), DURABLE, arguments_of_the_queue()).await?;
            }
            Ok(())
        })
        .await
    }
}

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

fn arguments_of_the_queue() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000_000));
    arguments
}

#[test]
fn a_queue_purged_under_load_is_made_up_for() -> Result<()> {
    with_pair(async |pair| level_after(pair, async || Loss::Purged.happen(pair).await).await)
}

#[test]
fn a_queue_deleted_under_load_is_made_again_and_made_up_for() -> Result<()> {
    with_pair(async |pair| level_after(pair, async || Loss::Deleted.happen(pair).await).await)
}

#[test]
fn a_queue_deleted_and_recreated_without_bindings_is_bound_again_and_made_up_for() -> Result<()> {
    with_pair(async |pair| level_after(pair, async || Loss::Recreated.happen(pair).await).await)
}

#[test]
fn a_queue_unbound_under_load_is_bound_again_and_made_up_for() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        // Somebody else listens, so that the broker takes what the replica's queue does not get.
        let own = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: true,
            nowait: false,
        };
        let other = channel.queue_declare("".into(), own, FieldTable::default()).await?.name().clone();
        let options = QueueBindOptions { nowait: false };
        channel
            .queue_bind(other.clone(), EXCHANGE.into(), "#".into(), options, FieldTable::default())
            .await?;

        level_after(pair, async || {
            for kind in EventType::ALL {
                let key = kind.as_str().into();
                channel.queue_unbind(QUEUE.into(), EXCHANGE.into(), key, FieldTable::default()).await?;
            }
            Ok(())
        })
        .await
    })
}

#[test]
fn a_pair_whose_only_queue_was_unbound_says_so_and_binds_it_again() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;

        level_after(pair, async || {
            for kind in EventType::ALL {
                let key = kind.as_str().into();
                channel.queue_unbind(QUEUE.into(), EXCHANGE.into(), key, FieldTable::default()).await?;
            }
            let client = pair.client();
            eventually(RECOVERY, "the relay says that nobody is bound", async || {
                let relay = client.readyz().await?.body["dependencies"]["relay"].clone();
                ensure!(relay["detail"] == "no replica's queue is bound yet", "it says {relay}");
                Ok(())
            })
            .await
        })
        .await
    })
}

#[test]
fn an_exchange_deleted_under_load_is_made_again_with_all_its_bindings() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;

        level_after(pair, async || {
            let options = ExchangeDeleteOptions { if_unused: false, nowait: false };
            Ok(channel.exchange_delete(EXCHANGE.into(), options).await?)
        })
        .await?;

        // Watermarks go through it too: without them, `as_of` would stand still from now on.
        let as_of = async || -> Result<jiff::Timestamp> {
            let sql = pair.replica.sql().await?;
            Ok(sql.query_one("SELECT as_of FROM replication_status", &[]).await?.try_get(0)?)
        };
        let before = as_of().await?;
        eventually(RECOVERY, "watermarks arrive", async || {
            ensure!(as_of().await? > before, "as of {before}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_broker_whose_data_is_wiped_under_load_is_made_up_for() -> Result<()> {
    with_pair(async |pair| level_after(pair, async || Loss::Wiped.happen(pair).await).await)
}

#[test]
fn a_queue_of_requests_deleted_under_load_is_made_again_also_when_somebody_else_makes_it_at_once()
-> Result<()> {
    for recreated in [false, true] {
        with_pair(async |pair| {
            let (_connection, channel) = pair.broker.channel().await?;
            let made_up_for = level_after(pair, async || {
                // Whoever asks and whoever answers have known the old one.
                Loss::Purged.happen(pair).await?;
                until_complete(pair).await?;
                channel.queue_delete(REPLAY_QUEUE.into(), WHATEVER_IS_IN_IT).await?;
                if recreated {
                    declare_replay_queue(&channel).await?;
                }
                Loss::Purged.happen(pair).await
            });
            made_up_for.await.with_context(|| format!("recreated: {recreated}"))
        })?;
    }
    Ok(())
}
