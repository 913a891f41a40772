//! Several command-services on one primary, with transactions that fail at random and connections that are ended at
//! random.

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use reqwest::Method;
use system_tests::{
    Client, Pair, RECOVERY, Shape, assert_level, eventually,
    level::assert_level_with,
    load::{Load, MIXED},
    random::{Random, seed},
    with_pair,
};

const CLIENTS: usize = 24;

/// Makes one transaction in `$1` fail as if it had met another, each time that it appends.
const FAIL_AT_RANDOM: &str = "
    CREATE FUNCTION fail_at_random() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF random() < 0.35 THEN
            RAISE EXCEPTION 'met another transaction' USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER fail_at_random AFTER INSERT ON parking_slot_events
        FOR EACH STATEMENT EXECUTE FUNCTION fail_at_random();";

fn three() -> Shape {
    Shape { command_services: 3, ..Shape::default() }
}

fn clients(pair: &Pair) -> Vec<Client> {
    pair.command_services.iter().map(|service| service.client()).collect()
}

#[test]
fn several_instances_share_one_log_without_gaps() -> Result<()> {
    three().run(async |pair| {
        let load = Load::start(&clients(pair), CLIENTS, MIXED, seed());

        load.progress(1500).await?;
        let history = load.finish().await?;

        ensure!(
            history.unknown() + history.refused(|status| status >= 500) == 0,
            "nothing failed, so nothing may be refused as a fault or left in doubt"
        );
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

#[test]
fn transactions_that_fail_at_random_leave_nothing() -> Result<()> {
    three().run(async |pair| {
        pair.primary.sql().await?.batch_execute(FAIL_AT_RANDOM).await?;
        let load = Load::start(&clients(pair), CLIENTS, MIXED, seed());

        load.progress(1000).await?;
        let history = load.finish().await?;

        ensure!(
            history.refused(|status| status == 503) > 0,
            "no command met two failures in a row, so nothing was tried"
        );
        assert_eq!(history.unknown(), 0, "a transaction that was rolled back leaves no doubt");
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

#[test]
fn connections_ended_at_random_under_load_lose_and_double_nothing() -> Result<()> {
    three().run(async |pair| {
        let seed = seed();
        let mut random = Random::new(seed);
        let load = Load::start(&clients(pair), CLIENTS, MIXED, seed);
        let mut ended = 0;

        for _ in 0..25 {
            load.progress(1 + random.below(60)).await?;
            let step = random.one_of(&["group commit", "group commit", "relay"]);
            ended += pair.primary.end_connections_of(step).await?;
        }
        load.progress(200).await?;
        let history = load.finish().await?;

        ensure!(ended >= 25, "only {ended} connections were there to be ended");
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

#[test]
fn instances_killed_in_turn_under_load_lose_nothing() -> Result<()> {
    three().run(async |pair| {
        let load = Load::start(&clients(pair), CLIENTS, MIXED, seed());

        for turn in 0..6 {
            load.progress(100).await?;
            let service = &pair.command_services[turn % 3];
            service.kill()?;
            // The others go on; if it was the one that relays, another takes over.
            load.progress(100).await?;
            service.start().await?;
        }
        let history = load.finish().await?;

        assert_level_with(pair, &history).await?;
        pair.ready().await
    })
}

#[test]
fn connections_of_the_projection_ended_at_random_lose_nothing() -> Result<()> {
    with_pair(async |pair| {
        let seed = seed();
        let mut random = Random::new(seed);
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed);

        for _ in 0..20 {
            load.progress(1 + random.below(60)).await?;
            eventually(RECOVERY, "a connection of the projection is ended", async || {
                let ended = pair.replica.end_connections_of("projection").await?;
                ensure!(ended > 0, "there is none");
                Ok(())
            })
            .await?;
        }
        let history = load.finish().await?;

        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

#[test]
fn a_command_that_the_primary_refuses_fails_alone() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.primary.refuse_culprits("parking_slot_events", "23514").await?;

        // Asked at once, so that they share batches.
        let asked = (0..200).map(|number| {
            let client = client.clone();
            let kind = if number % 20 == 7 { "culprit" } else { "innocent" };
            async move { client.create(&format!("{kind} {number}")).await.map(|reply| (kind, reply)) }
        });
        let answers = try_join_all(asked).await?;

        for (kind, reply) in answers {
            let expected = if kind == "culprit" { 500 } else { 201 };
            let reply = reply.expect(expected)?;
            let text = reply.body.to_string();
            ensure!(
                !text.contains("check_violation") && !text.contains("refused"),
                "the answer shows the inside: {text}"
            );
        }
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 190, "each innocent command has its event, and nobody else");
        Ok(())
    })
}

#[test]
fn a_change_that_the_primary_refuses_fails_alone_and_leaves_the_slot() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slots = super::outages::create(&client, 40).await?;
        pair.primary.refuse_culprits("parking_slot_events", "23514").await?;

        let asked = slots.iter().enumerate().map(|(number, slot)| {
            let client = client.clone();
            let kind = if number % 10 == 3 { "culprit" } else { "innocent" };
            let patch = serde_json::json!({ "name": format!("{kind} {number}") });
            async move { (kind, client.change(slot.uuid, patch).await) }
        });
        let answers = join_all(asked).await;

        for (kind, reply) in answers {
            reply?.expect(if kind == "culprit" { 500 } else { 200 })?;
        }
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 40 + 36);
        let unchanged = everything.primary.iter().filter(|slot| slot.version == 1).count();
        assert_eq!(unchanged, 4, "the slots of the refused changes are as they were");
        Ok(())
    })
}

#[test]
fn a_batch_with_a_slot_that_the_primary_refuses_leaves_nothing() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        pair.primary.refuse_culprits("parking_slot_events", "23514").await?;
        let batch = |last: &str| {
            let names = (0..99).map(|number| format!("innocent {number}")).chain([last.to_owned()]);
            serde_json::Value::from_iter(names.map(|name| serde_json::json!({ "name": name })))
        };
        let path = "/parking-slots/batch";

        // Asked at once: the batch that is refused may meet the others in one transaction.
        let (refused, taken, single) = futures_util::try_join!(
            client.call(Method::POST, path, Some(batch("culprit"))),
            client.call(Method::POST, path, Some(batch("innocent"))),
            client.create("innocent"),
        )?;

        refused.expect(500)?;
        taken.expect(201)?;
        single.expect(201)?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 101, "all or nothing");
        Ok(())
    })
}
