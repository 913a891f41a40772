//! Services and parts come up in any order.

use anyhow::{Result, ensure};
use system_tests::{Pair, RECOVERY, Shape, assert_level, eventually};

use crate::outages::{assert_commands_refused, create};

fn not_started() -> Shape {
    Shape { started: false, ..Shape::default() }
}

async fn start_all(pair: &Pair) -> Result<()> {
    for service in pair.services() {
        service.start().await?;
    }
    Ok(())
}

#[test]
fn services_that_start_with_everything_away_wait_for_each_part() -> Result<()> {
    not_started().run(async |pair| {
        let links = &pair.links;
        let all = [
            &links.command_primary,
            &links.command_replica,
            &links.relay_broker,
            &links.consumer_broker,
            &links.consumer_replica,
        ];
        for link in all {
            link.cut().await;
        }

        start_all(pair).await?;

        let client = pair.client();
        client.get_path("/livez").await?.expect(200)?;
        client.readyz().await?.expect(503)?;
        client.list("").await?.expect(503)?;
        client.create("Refused").await?.expect(503)?;
        links.command_primary.restore()?;
        let slot = eventually(RECOVERY, "creates are taken", async || client.created("First").await).await?;
        client.list("").await?.expect(503)?;
        links.command_replica.restore()?;
        let listed = eventually(RECOVERY, "the list answers", async || client.list_all().await).await?;
        assert!(listed.is_empty(), "nothing can have arrived yet");
        links.relay_broker.restore()?;
        links.consumer_replica.restore()?;
        links.consumer_broker.restore()?;
        pair.ready().await?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 1, "the refused create left nothing");
        assert_eq!(client.list_all().await?, [slot]);
        Ok(())
    })
}

#[test]
fn a_consumer_that_starts_first_gets_what_comes_later() -> Result<()> {
    not_started().run(async |pair| {
        pair.event_consumer().start().await?;
        let consumer = pair.event_consumer().client();
        eventually(RECOVERY, "the consumer is ready alone", async || consumer.readyz().await?.expect(200))
            .await?;

        pair.command_service().start().await?;
        pair.ready().await?;
        create(&pair.client(), 5).await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.replica.len(), 5);
        Ok(())
    })
}

#[test]
fn a_command_service_that_starts_first_keeps_its_events_for_the_consumer() -> Result<()> {
    not_started().run(async |pair| {
        pair.command_service().start().await?;
        let client = pair.client();
        eventually(RECOVERY, "creates are taken", async || client.created("First").await).await?;
        create(&client, 5).await?;

        // No queue is bound yet: what the broker confirmed now would be gone.
        pair.event_consumer().start().await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.replica.len(), 6, "nothing was published into the void");
        pair.ready().await
    })
}

#[test]
fn a_database_that_is_migrated_after_the_services_start_is_taken_up() -> Result<()> {
    not_started().run(async |pair| {
        let (primary, replica) = (pair.primary.sql().await?, pair.replica.sql().await?);
        // As before the migration: nothing of ours is visible.
        primary.batch_execute("ALTER SCHEMA public RENAME TO later; CREATE SCHEMA public").await?;
        replica.batch_execute("ALTER SCHEMA public RENAME TO later; CREATE SCHEMA public").await?;

        start_all(pair).await?;
        let client = pair.client();
        let refused = client.create("Refused").await?.expect(503)?;
        client.list("").await?.expect(503)?;
        primary.batch_execute("DROP SCHEMA public; ALTER SCHEMA later RENAME TO public").await?;
        replica.batch_execute("DROP SCHEMA public; ALTER SCHEMA later RENAME TO public").await?;

        assert_eq!(refused.problem(), "primary-unavailable");
        pair.ready().await?;
        create(&client, 3).await?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 3);
        Ok(())
    })
}

#[test]
fn services_restart_while_every_dependency_is_down() -> Result<()> {
    Shape::default().run(async |pair| {
        let client = pair.client();
        let slots = create(&client, 3).await?;
        assert_level(pair).await?;
        for link in [&pair.links.command_primary, &pair.links.relay_broker, &pair.links.consumer_replica] {
            link.cut().await;
        }

        for service in pair.services() {
            let status = service.stop().await?;
            ensure!(status.success(), "{} ended with {status}", service.name());
        }
        start_all(pair).await?;
        assert_commands_refused(&client, &slots[0], 0).await?;
        for link in [&pair.links.command_primary, &pair.links.relay_broker, &pair.links.consumer_replica] {
            link.restore()?;
        }

        pair.ready().await?;
        create(&client, 3).await?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 6);
        Ok(())
    })
}

#[test]
fn while_no_queue_is_bound_the_log_of_command_service_stays_small() -> Result<()> {
    not_started().run(async |pair| {
        pair.command_service().start().await?;
        let client = pair.client();
        let slots = serde_json::json!(vec![serde_json::json!({ "name": "A name of a slot" }); 1000]);
        for _ in 0..3 {
            client
                .call(reqwest::Method::POST, "/parking-slots/batch", Some(slots.clone()))
                .await?
                .expect(201)?;
        }
        let host = format!("vhosts/{}", pair.broker.name);
        eventually(RECOVERY, "the broker has returned messages again and again", async || {
            let returned = pair.broker.get(&host).await?["message_stats"]["return_unroutable"].as_u64();
            ensure!(returned.is_some_and(|returned| returned >= 8), "{returned:?} are returned");
            Ok(())
        })
        .await?;

        let log = pair.command_service().log()?;
        let longest = log.lines().map(str::len).max().unwrap_or_default();
        ensure!(log.len() < 64 * 1024 && longest < 16 * 1024, "{} bytes, a line of {longest}", log.len());
        assert_eq!(
            log.matches("no replica's queue is bound\"").count(),
            1,
            "it says what it waits for: {log}"
        );
        pair.event_consumer().start().await?;
        pair.ready().await?;
        assert_level(pair).await?;
        Ok(())
    })
}
