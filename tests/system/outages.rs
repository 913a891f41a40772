//! Dependencies that are down: what works meanwhile, what is refused and how soon, and that everything arrives afterwards.
//! Here the links are cut; in `stopped_servers` the servers themselves are stopped.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{Client, Pair, RECOVERY, Slot, answered_within, assert_level, eventually, with_pair};

/// How soon a dependency that refuses connections is a 503.
pub(crate) const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);

const SLOTS: usize = 20;

#[test]
fn events_wait_for_a_stopped_consumer_and_all_arrive() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let status = pair.event_consumer().stop().await?;
        ensure!(status.success(), "a consumer that was asked to stop ended with {status}");

        let created = create(&client, SLOTS).await?;
        assert!(client.list_all().await?.is_empty(), "nothing is applied without a consumer");
        pair.event_consumer().start().await?;

        assert_level(pair).await?;
        assert_eq!(client.list_all().await?, created, "20 of 20 arrive");
        Ok(())
    })
}

#[test]
fn everything_works_while_the_broker_is_down() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let before = create(&client, 3).await?;
        assert_level(pair).await?;
        pair.links.relay_broker.cut().await;
        pair.links.consumer_broker.cut().await;

        let created = create(&client, SLOTS).await?;
        let changed = client.change(created[0].uuid, json!({ "status": "reserved" })).await?;
        changed.slot(200)?;
        client.delete(created[1].uuid).await?.expect(204)?;

        assert_eq!(client.list_all().await?, before, "reads are answered");
        assert_eq!(outbox(pair).await?, 22, "the events wait in the log");
        assert_dependency(&client, "broker", "down").await?;
        pair.links.relay_broker.restore()?;
        pair.links.consumer_broker.restore()?;
        assert_level(pair).await?;
        assert_eq!(client.list_all().await?.len(), 22, "23 created, one deleted");
        pair.ready().await
    })
}

#[test]
fn everything_works_while_the_broker_says_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        create(&client, 1).await?;
        assert_level(pair).await?;
        pair.links.relay_broker.blackhole();
        pair.links.consumer_broker.blackhole();

        let created = create(&client, SLOTS).await?;

        assert_eq!(client.list_all().await?.len(), 1, "reads are answered");
        assert_eq!(outbox(pair).await?, i64::try_from(created.len())?);
        pair.links.relay_broker.restore()?;
        pair.links.consumer_broker.restore()?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn commands_work_and_reads_are_refused_while_the_replica_is_down() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let before = create(&client, 3).await?;
        assert_level(pair).await?;
        pair.links.command_replica.cut().await;
        pair.links.consumer_replica.cut().await;

        let created = create(&client, SLOTS).await?;
        client.delete(created[0].uuid).await?.expect(204)?;

        for path in ["", "/summary", &format!("/{}", before[0].uuid)] {
            let path = format!("/parking-slots{path}");
            let refused = answered_within(REFUSAL_DEADLINE, async || client.get_path(&path).await).await;
            let refused = refused.context(path.clone())?.expect(503)?;
            assert_eq!(refused.problem(), "replica-unavailable", "{path}");
            assert!(refused.header("retry-after").is_some(), "{path} says when to try again");
        }
        assert_dependency(&client, "replica", "down").await?;
        pair.links.command_replica.restore()?;
        pair.links.consumer_replica.restore()?;
        assert_level(pair).await?;
        let listed = eventually(RECOVERY, "the list answers", async || client.list_all().await).await?;
        assert_eq!(listed.len(), 22);
        pair.ready().await
    })
}

#[test]
fn reads_work_while_only_the_consumer_cannot_reach_the_replica() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let before = create(&client, 3).await?;
        assert_level(pair).await?;
        pair.links.consumer_replica.cut().await;

        create(&client, SLOTS).await?;

        assert_eq!(client.list_all().await?, before, "the list is answered, and old");
        let consumer = pair.event_consumer().client();
        eventually(RECOVERY, "the consumer says that it cannot work", async || {
            consumer.readyz().await?.expect(503)
        })
        .await?;
        pair.links.consumer_replica.restore()?;
        assert_level(pair).await?;
        assert_eq!(client.list_all().await?.len(), 23);
        Ok(())
    })
}

#[test]
fn reads_work_and_commands_are_refused_within_a_second_while_the_primary_is_down() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let before = create(&client, 3).await?;
        assert_level(pair).await?;
        pair.links.command_primary.cut().await;
        // A command that is sent before the service has noticed may be on its way, for all it knows.
        assert_dependency(&client, "primary", "down").await?;

        for attempt in 0..10 {
            assert_commands_refused(&client, &before[0], attempt).await?;
        }

        assert_eq!(client.list_all().await?, before, "the list answers");
        client.readyz().await?.expect(200)?;
        pair.links.command_primary.restore()?;
        let after =
            eventually(RECOVERY, "creates are taken again", async || client.created("After").await).await?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 4, "the refused commands left nothing");
        assert_eq!(everything.events[3].slot_uuid, after.uuid);
        Ok(())
    })
}

#[test]
fn commands_are_answered_in_time_while_the_primary_says_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let before = create(&client, 1).await?;
        assert_level(pair).await?;
        pair.links.command_primary.blackhole();

        // The first is taken and sent: whether it arrives cannot be known.
        let first = client.create("Sent").await?;
        let second = client.create("Not sent").await?;

        assert_eq!(first.status, 503, "{}", first.body);
        assert_eq!(second.status, 503, "{}", second.body);
        ensure!(first.took < Duration::from_secs(11), "it took {:?}", first.took);
        ensure!(second.took < Duration::from_secs(11), "it took {:?}", second.took);
        assert_eq!(client.list_all().await?, before, "the list answers");
        pair.links.command_primary.restore()?;
        eventually(RECOVERY, "creates are taken again", async || client.created("After").await).await?;
        let everything = assert_level(pair).await?;
        let names: Vec<_> = everything.events.iter().filter_map(|event| event.name.as_deref()).collect();
        for (reply, name) in [(&first, "Sent"), (&second, "Not sent")] {
            ensure!(
                reply.problem() == "outcome-unknown" || !names.contains(&name),
                "{name:?} was refused as {:?}, which means that nothing happened, and it is in the log",
                reply.problem()
            );
        }
        Ok(())
    })
}

#[test]
fn connections_reset_again_and_again_lose_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let links = &pair.links;
        let mut created = Vec::new();

        for _ in 0..5 {
            for link in [&links.relay_broker, &links.consumer_broker, &links.consumer_replica] {
                created.extend(create(&client, 5).await?);
                link.reset().await?;
            }
        }

        assert_level(pair).await?;
        assert_eq!(client.list_all().await?, created);
        for link in [&links.relay_broker, &links.consumer_broker, &links.consumer_replica] {
            assert!(link.connections() > 1, "each of these links was opened again");
        }
        Ok(())
    })
}

/// Creates slots one after the other.
pub(crate) async fn create(client: &Client, count: usize) -> Result<Vec<Slot>> {
    let mut created = Vec::new();
    for number in 0..count {
        created.push(client.created(&format!("Slot {number}")).await?);
    }
    Ok(created)
}

/// Every kind of command is refused, soon, as nothing that has happened.
pub(crate) async fn assert_commands_refused(client: &Client, slot: &Slot, attempt: usize) -> Result<()> {
    let create = answered_within(REFUSAL_DEADLINE, async || client.create("Refused").await).await;
    let change = async || client.change(slot.uuid, json!({ "name": "Refused" })).await;
    let change = answered_within(REFUSAL_DEADLINE, change).await;
    let delete = answered_within(REFUSAL_DEADLINE, async || client.delete(slot.uuid).await).await;
    for (reply, command) in [(create, "create"), (change, "change"), (delete, "delete")] {
        let reply = reply.with_context(|| format!("{command} {attempt}"))?.expect(503)?;
        assert_eq!(reply.problem(), "primary-unavailable", "{command} {attempt}");
        assert!(reply.header("retry-after").is_some(), "{command} says when to try again");
    }
    Ok(())
}

/// Waits until `/readyz` says this of a dependency.
pub(crate) async fn assert_dependency(client: &Client, part: &str, state: &str) -> Result<()> {
    eventually(RECOVERY, &format!("{part} is {state}"), async || {
        let body = client.readyz().await?.body;
        ensure!(body["dependencies"][part]["state"] == state, "it says {body}");
        Ok(())
    })
    .await
}

async fn outbox(pair: &Pair) -> Result<i64> {
    let row = pair.primary.sql().await?.query_one("SELECT count(*) FROM outbox", &[]).await?;
    Ok(row.try_get(0)?)
}
