//! What is no reason for a new epoch: ordinary restarts, crashes, lost connections, and lies.

use anyhow::{Result, ensure};
use serde_json::json;
use stack::Postgres;
use system_tests::{Pair, Shape, assert_level, blocking, eventually};

use super::{created, created_soon, epoch, new_epochs};

async fn assert_same(pair: &Pair, before: uuid::Uuid, receipt: &str) -> Result<()> {
    assert_eq!(epoch(pair).await?, before);
    assert_eq!(new_epochs(pair)?, 0);
    eventually(system_tests::RECOVERY, "an old receipt still holds", async || {
        pair.client().list(&format!("?receipt={receipt}")).await?.expect(200)
    })
    .await?;
    Ok(())
}

#[test]
fn restarts_crashes_and_lost_connections_leave_the_epoch_as_it_is() -> Result<()> {
    let own = Shape { own_primary: true, own_replica: true, command_services: 2, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        let (_, receipt, _) = created(&client, "First").await?;
        let before = epoch(pair).await?;

        for stop in [Postgres::stop, Postgres::crash] {
            for server in [&pair.primary.server, &pair.replica.server] {
                let server = server.clone();
                blocking(move || {
                    stop(&server)?;
                    server.start()
                })
                .await?;
                created_soon(&client, "After a server's restart").await?;
            }
        }
        for link in [&pair.links.command_primary, &pair.links.command_replica, &pair.links.consumer_replica] {
            link.reset().await?;
            created_soon(&client, "After a lost connection").await?;
        }
        for service in pair.services() {
            service.kill()?;
            service.start().await?;
            created_soon(&client, "After a service's crash").await?;
        }

        assert_level(pair).await?;
        assert_same(pair, before, &receipt).await
    })
}

#[test]
fn who_says_that_the_replica_is_far_ahead_is_not_believed() -> Result<()> {
    system_tests::with_pair(async |pair| {
        let client = pair.client();
        let (_, receipt, _) = created(&client, "First").await?;
        assert_level(pair).await?;
        let before = epoch(pair).await?;
        let push = json!({
            "applied_through": 999_999, "as_of_micros": null, "epoch": before, "last_dead_letter": null,
        });
        let replica = pair.replica.sql().await?;

        for link in [&pair.links.command_primary, &pair.links.command_replica] {
            replica.execute("SELECT pg_notify('replication_status', $1)", &[&push.to_string()]).await?;
            link.reset().await?;
            created_soon(&client, "After a lie").await?;
            let strong = client.list("?consistency=strong&wait_ms=10000").await?.expect(200)?;
            ensure!(strong.header("freshness-result") == Some("satisfied"), "{:?}", strong.headers);
        }

        assert_level(pair).await?;
        assert_same(pair, before, &receipt).await
    })
}

#[test]
fn events_beyond_a_hole_are_no_reason_however_far_ahead_they_are() -> Result<()> {
    system_tests::with_pair(async |pair| {
        let client = pair.client();
        let (_, receipt, _) = created(&client, "First").await?;
        assert_level(pair).await?;
        let before = epoch(pair).await?;
        // As an event would that somebody has forged.
        let forged = "UPDATE replication_status SET applied = applied + '{[500,501)}'::int8multirange";
        pair.replica.sql().await?.batch_execute(forged).await?;

        pair.command_service().kill()?;
        pair.command_service().start().await?;
        created_soon(&client, "After").await?;

        assert_same(pair, before, &receipt).await
    })
}
