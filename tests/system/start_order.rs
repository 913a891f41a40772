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
