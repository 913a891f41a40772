//! Paging while slots are created, changed and deleted, and the replica gets the events in another order, some of
//! them twice.

mod walk;
mod verdict;
mod filters;

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{
    Client, Pair, Shape, Slot, assert_level,
    client::Page,
    detour::Detour,
    load::{Load, Mix},
    random::{Random, seed},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    verdict::{Checks, Lives, compare},
    walk::{Given, Query, Walk, place_of},
};

/// Slots of either kind that are there from the beginning: those that nobody touches, and between them those that
/// are changed and deleted.
const SEEDED: usize = 300;

/// More deletes than usual, so that the list stays short enough to be walked through often.
const MIX: Mix = Mix { creates: 40, changes: 25, deletes: 30, no_changes: 5 };

const CLIENTS: usize = 4;
const CONSUMER_KILLS: usize = 3;
const COMMANDS_BETWEEN_KILLS: usize = 400;

/// One of this many touched slots is deleted, the others are changed.
const DELETED_ONE_IN: usize = 6;

/// Cursors from the run that are used again in the end.
const CURSORS_KEPT: usize = 40;

/// What the readers ask for, all at the same time.
const READERS: [Query; 7] = [
    Query { limit: 100, status: None, name: None },
    Query { limit: 100, status: None, name: None },
    Query { limit: 7, status: None, name: None },
    Query { limit: 1, status: None, name: Some("steady 1") },
    Query { limit: 7, status: Some("occupied"), name: None },
    // The load's slots pass until their first change.
    Query { limit: 7, status: None, name: Some("CREATED") },
    Query { limit: 3, status: Some("available"), name: Some("eD") },
];

#[test]
fn every_slot_that_is_there_throughout_is_seen_once_and_none_appears_behind_a_cursor() -> Result<()> {
    Shape { command_services: 2, ..Shape::default() }.run(async |pair| {
        let instances: Vec<Client> = pair.command_services.iter().map(|service| service.client()).collect();
        let weeds = plant(pair).await?;
        let seed = seed();
        let detour = Detour::open(&pair.broker, seed).await?;

        let stop = CancellationToken::new();
        let readers = READERS.map(|query| Walk::again_and_again(pair, &instances, query, &stop));
        let (walks, (), ()) = tokio::try_join!(
            try_join_all(readers),
            weed(&instances, &weeds, seed, &stop),
            disturb(pair, &instances, &detour, seed, &stop),
        )?;
        let walks: Vec<Walk> = walks.into_iter().flatten().collect();
        let detoured = detour.close().await?;

        let everything = assert_level(pair).await?;
        let (overtaken, repeated) = (&detoured.overtaken, &detoured.repeated);
        let (overtaken, repeated) = (overtaken.load(Ordering::Relaxed), repeated.load(Ordering::Relaxed));
        ensure!(overtaken > 0 && repeated > 0, "{overtaken} messages overtook others, {repeated} came twice");
        let lives = Lives::of(&everything.events);
        let mut checks = Checks::default();
        for walk in &walks {
            lives.check(walk, &mut checks).with_context(|| format!("with {:?}", walk.query))?;
        }
        compare(&walks, &mut checks)?;
        println!(
            "{} walks, {overtaken} messages overtook others, {repeated} came twice; {checks:?}",
            walks.len()
        );
        let Checks { shown, there_throughout, created_meanwhile, seen_again } = checks;
        let least = shown.min(there_throughout).min(created_meanwhile).min(seen_again);
        ensure!(least > 0, "something was never checked: {checks:?}");
        check_cursors(pair, &instances, &walks, &lives, seed).await
    })
}

/// Creates the first slots, and waits until they are visible; returns those that may be touched.
async fn plant(pair: &Pair) -> Result<Vec<Uuid>> {
    let statuses = ["available", "reserved", "occupied", "blocked"];
    let slots = (0..2 * SEEDED).map(|number| {
        let kind = if number % 2 == 0 { "Steady" } else { "Weed" };
        json!({ "name": format!("{kind} {}", number / 2), "status": statuses[number / 2 % 4] })
    });
    let body = Value::Array(slots.collect());
    let reply = pair.client().call(Method::POST, "/parking-slots/batch", Some(body)).await?.expect(201)?;
    let slots: Vec<Slot> = serde_json::from_value(reply.body["items"].clone())?;
    assert_level(pair).await?;
    Ok(slots.iter().filter(|slot| slot.name.starts_with("Weed")).map(|slot| slot.uuid).collect())
}

/// Changes and deletes slots all over the list. An instance may be down; then the next one is asked.
async fn weed(instances: &[Client], weeds: &[Uuid], seed: u64, stop: &CancellationToken) -> Result<()> {
    let mut random = Random::new(seed);
    for (number, instance) in instances.iter().cycle().enumerate() {
        if stop.is_cancelled() {
            break;
        }
        let uuid = *random.one_of(weeds);
        let status = *random.one_of(&["available", "occupied", "blocked"]);
        let _ = if random.below(DELETED_ONE_IN) == 0 {
            instance.delete(uuid).await
        } else {
            instance.change(uuid, json!({ "name": format!("Weed, weeded {number}"), "status": status })).await
        };
    }
    Ok(())
}

/// Puts a load on both instances, kills the consumer and an instance under it, and ends the run.
async fn disturb(
    pair: &Pair,
    instances: &[Client],
    detour: &Detour,
    seed: u64,
    stop: &CancellationToken,
) -> Result<()> {
    let load = Load::start(instances, CLIENTS, MIX, seed);
    for _ in 0..CONSUMER_KILLS {
        load.progress(COMMANDS_BETWEEN_KILLS).await?;
        pair.event_consumer().kill()?;
        pair.event_consumer().start().await?;
        detour.divert().await?;
    }
    load.progress(COMMANDS_BETWEEN_KILLS).await?;
    pair.command_services[1].kill()?;
    pair.command_services[1].start().await?;
    load.progress(COMMANDS_BETWEEN_KILLS).await?;
    load.finish().await?;
    stop.cancel();
    Ok(())
}

/// Cursors that were given out during the run, some at slots that are deleted by now, go on where they stood: with
/// any filter, on any instance, after both were started again.
async fn check_cursors(
    pair: &Pair,
    instances: &[Client],
    walks: &[Walk],
    lives: &Lives<'_>,
    seed: u64,
) -> Result<()> {
    for service in &pair.command_services {
        service.kill()?;
        service.start().await?;
    }
    let all = pair.client().list_all().await?;
    let given: Vec<&Given> = walks.iter().flat_map(|walk| &walk.given).collect();
    let (gone, kept): (Vec<&Given>, Vec<&Given>) =
        given.into_iter().partition(|given| lives.has_ended(given.place.1));
    ensure!(
        !gone.is_empty() && !kept.is_empty(),
        "{} cursors at deleted slots, {} at others",
        gone.len(),
        kept.len()
    );
    let mut random = Random::new(seed);

    for number in 0..CURSORS_KEPT {
        let given = *random.one_of(if number % 2 == 0 { &gone } else { &kept });
        let query = Query { limit: 1000, ..*random.one_of(&READERS) };
        let instance = random.one_of(instances);

        let found = rest(instance, query, &given.cursor).await?;

        let stands_behind =
            |slot: &&Slot| place_of(slot) > given.place && query.matches(&slot.name, &slot.status);
        let expected: Vec<Slot> = all.iter().filter(stands_behind).cloned().collect();
        ensure!(
            found == expected,
            "behind {given:?} with {query:?}: {} slots, not {}",
            found.len(),
            expected.len()
        );
    }
    Ok(())
}

/// Everything behind a cursor.
async fn rest(instance: &Client, query: Query, cursor: &str) -> Result<Vec<Slot>> {
    let mut slots = Vec::new();
    let mut cursor = Some(cursor.to_owned());
    while let Some(from) = cursor {
        let reply = instance.list(&query.text(Some(&from))).await?.expect(200)?;
        let page: Page = serde_json::from_value(reply.body)?;
        slots.extend(page.items);
        cursor = page.next_cursor;
    }
    Ok(slots)
}
