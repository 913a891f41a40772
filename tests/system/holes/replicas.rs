//! A replica more: it asks for the whole log, and is level while writes go on.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use stack::Role;
use system_tests::{
    Pair, RECOVERY, blocking,
    database::Database,
    eventually,
    level::Everything,
    load::{Load, MIXED},
    random::seed,
    servers::servers,
    service::Service,
    with_pair,
};

/// More than one request asks for.
const BATCHES: i64 = 12;
const BATCH_SLOTS: i64 = 1_000;

/// An event-consumer with a replica of its own, beside the pair's.
async fn second_replica(pair: &Pair) -> Result<(Database, Service)> {
    let (server, name) = blocking(|| {
        let server = servers()?.replica().clone();
        let name = servers()?.new_replica_database(&server)?;
        Ok((server, name))
    })
    .await?;
    let database = Database::new(server.clone(), name);
    let mut environment = pair.consumer_environment();
    environment.retain(|(setting, _)| setting != "REPLICA_DATABASE_URL");
    let url = database.url_through(Role::EventConsumer, server.port());
    environment.push(("REPLICA_DATABASE_URL".to_owned(), url));
    environment.push(("PARKING__REPLICA__NAME".to_owned(), "second".to_owned()));
    let (program, directory) =
        (servers()?.binaries.event_consumer.clone(), servers()?.new_directory("event_consumer")?);
    Ok((database, Service::new("event-consumer of the second".to_owned(), program, environment, directory)))
}

async fn slots(replica: &Database) -> Result<i64> {
    let sql = replica.sql().await?;
    Ok(sql.query_one("SELECT count(*) FROM parking_slots", &[]).await?.try_get(0)?)
}

#[test]
fn a_second_replica_is_filled_while_writes_go_on_and_its_consumer_is_killed() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        for batch in 0..BATCHES {
            let slots: Vec<_> =
                (0..BATCH_SLOTS).map(|number| json!({ "name": format!("Old {batch}.{number}") })).collect();
            client.call(Method::POST, "/parking-slots/batch", Some(json!(slots))).await?.expect(201)?;
        }
        let (replica, consumer) = second_replica(pair).await?;
        let load = Load::start(&[pair.client()], 4, MIXED, seed());
        load.progress(20).await?;

        consumer.start().await?;
        eventually(RECOVERY, "a part of the log has arrived", async || {
            let slots = slots(&replica).await?;
            ensure!(slots > 2 * BATCH_SLOTS, "{slots} slots");
            Ok(())
        })
        .await?;
        consumer.kill()?;
        let at_the_kill = slots(&replica).await?;
        consumer.start().await?;
        load.progress(50).await?;
        let history = load.finish().await?;

        ensure!(at_the_kill < BATCHES * BATCH_SLOTS, "it was killed too late to be killed within");
        eventually(RECOVERY, "the second replica is level", async || {
            Everything::read(&pair.primary, &replica).await?.check()
        })
        .await
        .with_context(|| consumer.log_tail())?;
        let mut everything = Everything::read(&pair.primary, &pair.replica).await?;
        // The batches were created beside the load.
        everything.events.retain(|event| !event.name.as_deref().is_some_and(|name| name.starts_with("Old ")));
        history.check(&everything.events)?;
        system_tests::assert_level(pair).await?;
        pair.ready().await
    })
}
