//! A replica more: it asks for the whole log, and is level while writes go on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use stack::Role;
use system_tests::{
    Pair, RECOVERY, blocking,
    database::Database,
    eventually,
    level::{Everything, rows},
    load::{Load, MIXED},
    program::Run,
    random::seed,
    scale,
    servers::servers,
    service::Service,
    with_pair,
};

/// More slots than one request asks for.
const BATCHES: usize = 12;
const BATCH_SLOTS: usize = 1_000;

/// How often its consumer is killed before it is level.
const KILLS: usize = 3;

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

async fn slots(replica: &Database) -> Result<usize> {
    let sql = replica.sql().await?;
    let slots: i64 = sql.query_one("SELECT count(*) FROM parking_slots", &[]).await?.try_get(0)?;
    Ok(usize::try_from(slots)?)
}

async fn applied_through(replica: &Database) -> Result<i64> {
    Ok(rows::replication_status(replica.sql().await?.as_ref()).await?.applied_through)
}

/// A register that is older than the second replica; how many slots it has.
async fn fill(pair: &Pair) -> Result<usize> {
    let batches = BATCHES * scale();
    for batch in 0..batches {
        let slots: Vec<_> =
            (0..BATCH_SLOTS).map(|number| json!({ "name": format!("Old {batch}.{number}") })).collect();
        let reply = pair.client().call(Method::POST, "/parking-slots/batch", Some(json!(slots))).await?;
        reply.expect(201)?;
    }
    Ok(batches * BATCH_SLOTS)
}

/// Kills the consumer whenever one more part of the log has arrived, and starts it again at once.
async fn kill_again_and_again(consumer: &Service, replica: &Database, old: usize) -> Result<()> {
    for kill in 1..=KILLS {
        eventually(deadline(), "a part of the log has arrived", async || {
            let slots = slots(replica).await?;
            ensure!(slots > kill * old / (KILLS + 2), "{slots} slots");
            Ok(())
        })
        .await?;
        consumer.kill()?;
        ensure!(slots(replica).await? < old, "it was killed too late to be killed within");
        consumer.start().await?;
    }
    Ok(())
}

/// How long a replica of this size may take.
fn deadline() -> Duration {
    RECOVERY * u32::try_from(scale()).unwrap_or(u32::MAX)
}

/// As its operator would find out.
async fn assert_verified(pair: &Pair, replica: &Database) -> Result<()> {
    let url = replica.url_through(Role::CommandServiceReader, replica.server.port());
    let verify = Run::command_service(pair, &["verify", "--replica", "second"])?;
    let verified = verify.with("REPLICA_DATABASE_URL", Some(&url)).end().await?.expect(0)?;
    print!("{}", verified.text()?);
    Ok(())
}

#[test]
fn a_second_replica_is_filled_while_writes_go_on_and_its_consumer_is_killed() -> Result<()> {
    with_pair(async |pair| {
        let old = fill(pair).await?;
        let (replica, consumer) = second_replica(pair).await?;
        let load = Load::start(&[pair.client()], 4, MIXED, seed());
        load.progress(20).await?;

        let begun = Instant::now();
        consumer.start().await?;
        kill_again_and_again(&consumer, &replica, old).await?;
        eventually(deadline(), "what is old has arrived", async || {
            let (slots, applied) = (slots(&replica).await?, applied_through(&replica).await?);
            ensure!(applied >= i64::try_from(old)?, "{slots} slots, applied through {applied}");
            Ok(())
        })
        .await
        .with_context(|| consumer.log_tail())?;
        println!("{old} old events beside a load, {KILLS} kills: {:?}", begun.elapsed());
        load.progress(50).await?;
        let history = load.finish().await?;

        eventually(deadline(), "the second replica is level", async || {
            Everything::read(&pair.primary, &replica).await?.check()
        })
        .await
        .with_context(|| consumer.log_tail())?;
        assert_verified(pair, &replica).await?;
        let mut everything = Everything::read(&pair.primary, &pair.replica).await?;
        // The batches were created beside the load.
        everything.events.retain(|event| !event.name.as_deref().is_some_and(|name| name.starts_with("Old ")));
        history.check(&everything.events)?;
        system_tests::assert_level(pair).await?;
        pair.ready().await
    })
}
