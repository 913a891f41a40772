//! The same outages as in `outages`, with the servers themselves stopped, killed and paused.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{Pair, RECOVERY, Shape, assert_level, blocking, eventually};

use crate::outages::{assert_commands_refused, create};

/// A broker takes some seconds to start, on a busy machine more.
const BROKER_RECOVERY: Duration = Duration::from_secs(60);

#[test]
fn everything_works_while_the_broker_is_stopped_or_killed() -> Result<()> {
    let own = Shape { own_broker: true, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        create(&client, 3).await?;
        assert_level(pair).await?;

        let broker = pair.broker.broker.clone();
        blocking(move || broker.stop()).await?;
        let while_stopped = create(&client, 20).await?;
        client.change(while_stopped[0].uuid, json!({ "status": "blocked" })).await?.slot(200)?;
        assert_eq!(client.list_all().await?.len(), 3, "reads are answered");
        let broker = pair.broker.broker.clone();
        blocking(move || broker.start()).await?;
        eventually(BROKER_RECOVERY, "all arrive", async || assert_count(pair, 23).await).await?;

        let broker = pair.broker.broker.clone();
        blocking(move || broker.crash()).await?;
        create(&client, 20).await?;
        let broker = pair.broker.broker.clone();
        blocking(move || broker.start()).await?;
        eventually(BROKER_RECOVERY, "all arrive", async || assert_count(pair, 43).await).await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 44, "43 creates and a change");
        pair.ready().await
    })
}

#[test]
fn commands_work_while_the_replica_is_stopped_or_killed() -> Result<()> {
    let own = Shape { own_replica: true, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        create(&client, 3).await?;
        assert_level(pair).await?;

        for stop in [stack::Postgres::stop, stack::Postgres::crash] {
            let server = pair.replica.server.clone();
            blocking(move || stop(&server)).await?;
            create(&client, 20).await?;
            let refused = client.list("").await?.expect(503)?;
            assert_eq!(refused.problem(), "replica-unavailable");
            let server = pair.replica.server.clone();
            blocking(move || server.start()).await?;
            assert_level(pair).await?;
        }

        let listed = eventually(RECOVERY, "the list answers", async || client.list_all().await).await?;
        assert_eq!(listed.len(), 43);
        pair.ready().await
    })
}

#[test]
fn reads_work_while_the_primary_is_stopped_or_killed() -> Result<()> {
    let own = Shape { own_primary: true, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        let before = create(&client, 3).await?;
        assert_level(pair).await?;

        for (stop, restarts) in [(stack::Postgres::stop as fn(&_) -> _, 1), (stack::Postgres::crash, 2)] {
            let server = pair.primary.server.clone();
            blocking(move || stop(&server)).await?;
            assert_commands_refused(&client, &before[0], restarts).await?;
            ensure!(client.list_all().await?.len() >= 3, "the list answers");
            let server = pair.primary.server.clone();
            blocking(move || server.start()).await?;
            eventually(RECOVERY, "creates are taken again", async || client.created("After").await).await?;
        }

        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 5, "the refused commands left nothing");
        pair.ready().await
    })
}

#[test]
fn a_primary_that_is_killed_under_load_loses_nothing_that_was_acknowledged() -> Result<()> {
    use system_tests::{
        level::assert_level_with,
        load::{Load, MIXED},
        random::seed,
    };
    let own = Shape { own_primary: true, command_services: 2, ..Shape::default() };
    own.run(async |pair| {
        let clients: Vec<_> = pair.command_services.iter().map(|service| service.client()).collect();
        let load = Load::start(&clients, 16, MIXED, seed());

        for _ in 0..3 {
            load.progress(150).await?;
            let server = pair.primary.server.clone();
            blocking(move || {
                server.crash()?;
                server.start()
            })
            .await?;
        }
        load.progress(150).await?;
        let history = load.finish().await?;

        ensure!(
            history.unknown() + history.refused(|status| status == 503) > 0,
            "no command met a crash, so nothing was tried"
        );
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

#[test]
fn a_paused_primary_gives_no_wrong_answer() -> Result<()> {
    let own = Shape { own_primary: true, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        create(&client, 1).await?;
        assert_level(pair).await?;

        let server = pair.primary.server.clone();
        blocking(move || server.pause()).await?;
        let reply = client.create("Paused").await?.expect(503)?;
        let listed = client.list_all().await?;
        let server = pair.primary.server.clone();
        blocking(move || server.resume()).await?;

        ensure!(reply.took < Duration::from_secs(11), "it took {:?}", reply.took);
        assert_eq!(listed.len(), 1, "the list answers");
        eventually(RECOVERY, "creates are taken again", async || client.created("After").await).await?;
        let everything = assert_level(pair).await?;
        let happened = everything.events.iter().any(|event| event.name.as_deref() == Some("Paused"));
        ensure!(
            !happened || reply.problem() == "outcome-unknown",
            "it happened, and the answer was {:?}",
            reply.problem()
        );
        Ok(())
    })
}

async fn assert_count(pair: &Pair, expected: usize) -> Result<()> {
    let listed = pair.client().list_all().await?.len();
    ensure!(listed == expected, "{listed} of {expected} are listed");
    Ok(())
}
