//! A second consumer of the same replica takes over the search for missing positions.

use anyhow::{Context, Result, ensure};
use lapin::options::QueueDeleteOptions;
use system_tests::{Pair, RECOVERY, Shape, assert_level, eventually};

use super::QUEUE;
use crate::outages::create;

/// The session that seeks: of one that waits for its turn no lock is granted.
const SEEKERS: &str = "
    SELECT activity.pid FROM pg_stat_activity AS activity JOIN pg_locks AS lock ON lock.pid = activity.pid
    WHERE activity.datname = current_database() AND activity.application_name = 'holes'
      AND lock.locktype = 'advisory' AND lock.granted";

#[test]
fn a_paused_consumer_leaves_the_search_for_missing_positions_to_its_standby() -> Result<()> {
    let two = Shape { event_consumers: 2, started: false, ..Shape::default() };
    two.run(async |pair| {
        pair.command_service().start().await?;
        let [paused, standby] = pair.event_consumers.as_slice() else { panic!("there are two") };
        paused.start().await?;
        let held_by_paused = seeker(pair).await?;
        // The first one that consumes the queue gets its messages, until it is gone.
        eventually(RECOVERY, "it consumes", async || paused.client().readyz().await?.expect(200)).await?;
        standby.start().await?;
        pair.ready().await?;
        let client = pair.client();
        create(&client, 3).await?;
        assert_level(pair).await?;

        paused.pause()?;
        create(&client, 20).await?;
        eventually(RECOVERY, "all are published", async || {
            let sql = pair.primary.sql().await?;
            let waiting: i64 = sql.query_one("SELECT count(*) FROM outbox", &[]).await?.try_get(0)?;
            ensure!(waiting == 0, "{waiting} wait");
            Ok(())
        })
        .await?;
        assert_eq!(
            client.list_all().await?.len(),
            3,
            "the paused consumer has them, and nobody applies them"
        );
        // With the queue goes what the paused consumer has been sent. The standby makes a new one and consumes it.
        let (_connection, channel) = pair.broker.channel().await?;
        let whatever_is_in_it = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
        channel.queue_delete(QUEUE.into(), whatever_is_in_it).await?;

        assert_level(pair).await?;
        let held_by_standby = seeker(pair).await?;
        paused.resume()?;
        ensure!(held_by_standby != held_by_paused, "the paused consumer still has the lock");
        create(&client, 3).await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}

/// The server's process of the session that has the lock of the replica's seeker.
async fn seeker(pair: &Pair) -> Result<i32> {
    eventually(RECOVERY, "a consumer seeks", async || {
        let sql = pair.replica.sql().await?;
        let row = sql.query_opt(SEEKERS, &[]).await?.context("no session has the lock")?;
        Ok(row.try_get("pid")?)
    })
    .await
}
