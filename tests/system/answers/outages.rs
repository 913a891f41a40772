//! Problems while a dependency is down or says nothing: in their right form, with a time to try again, and without a word
//! about the inside.

use anyhow::{Context, Result, ensure};
use system_tests::{Call, Pair, RECOVERY, Reply, assert_level, eventually, proxy::Proxy, with_pair};
use uuid::Uuid;

use super::{
    BATCH, SLOTS, batch, create, get, patch,
    problem::{Inside, check_page, check_problem, check_retry_after},
};
use crate::outages::assert_dependency;

/// Every command, in a form that would be carried out.
fn commands(slot: Uuid) -> [Call; 4] {
    [
        create("{\"name\":\"Refused\"}"),
        batch("[{\"name\":\"Refused\"},{\"name\":\"Refused\"}]"),
        patch(slot, "{\"name\":\"Refused\"}"),
        Call::new("DELETE", format!("{SLOTS}/{slot}")),
    ]
}

/// Every read.
fn reads(slot: Uuid) -> [Call; 4] {
    [
        get(SLOTS),
        get(format!("{SLOTS}?name=slot")),
        get("/parking-slots/summary"),
        get(format!("{SLOTS}/{slot}")),
    ]
}

/// All of these at once, each refused as one of `problems`.
async fn check_refused(pair: &Pair, calls: &[Call], problems: &[&str]) -> Result<Vec<Reply>> {
    let (address, inside) = (pair.command_service().address(), Inside::of(pair));
    let replies = futures_util::future::try_join_all(calls.iter().map(|call| call.send(&address))).await?;
    for (call, reply) in calls.iter().zip(&replies) {
        check_problem(reply, &inside).with_context(|| call.line())?;
        check_page(&address, reply).await?;
        ensure!(problems.contains(&reply.problem()), "{} is refused as {}", call.line(), reply.text);
    }
    Ok(replies)
}

/// What `/readyz` of either service says shows nothing of the inside; when it is 503 it says when to ask again.
async fn check_readiness(pair: &Pair, useful: bool) -> Result<()> {
    let inside = Inside::of(pair);
    for service in pair.services() {
        let ready = get("/readyz").send(&service.address()).await?;
        inside.check(&without_part_names(&ready.text))?;
        if ready.status == 503 {
            check_retry_after(&ready).with_context(|| service.name().to_owned())?;
        }
    }
    let ready = get("/readyz").send(&pair.command_service().address()).await?;
    ensure!((ready.status == 200) == useful, "/readyz is {}: {}", ready.status, ready.text);
    Ok(())
}

/// The parts' own names are no secret.
fn without_part_names(text: &str) -> String {
    ["run event-consumer migrate", "run command-service migrate"]
        .iter()
        .fold(text.to_owned(), |text, name| text.replace(name, ""))
}

#[test]
fn commands_are_refused_in_form_while_the_primary_is_down_or_says_nothing() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        assert_level(pair).await?;
        pair.links.command_primary.cut().await;
        assert_dependency(&pair.client(), "primary", "down").await?;
        check_refused(pair, &commands(slot), &["primary-unavailable"]).await?;
        check_readiness(pair, true).await?;

        pair.links.command_primary.restore()?;
        pair.ready().await?;
        pair.links.command_primary.blackhole();
        let silent = ["primary-unavailable", "overloaded", "outcome-unknown"];
        let first = check_refused(pair, &commands(slot), &silent).await?;
        let second = check_refused(pair, &commands(slot), &silent).await?;

        let definite = first.iter().chain(&second).all(|reply| reply.problem() != "outcome-unknown");
        pair.links.command_primary.restore()?;
        pair.ready().await?;
        let everything = assert_level(pair).await?;
        ensure!(!definite || everything.events.len() == 1, "a refused command has happened");
        check_readiness(pair, true).await
    })
}

#[test]
fn reads_are_refused_in_form_while_the_replica_is_down() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        assert_level(pair).await?;
        pair.links.command_replica.cut().await;
        pair.links.consumer_replica.cut().await;

        assert_dependency(&pair.client(), "replica", "down").await?;
        check_refused(pair, &reads(slot), &["replica-unavailable"]).await?;
        let not_modified = get(format!("{SLOTS}/{slot}")).header("If-None-Match", "*");
        check_refused(pair, &[not_modified], &["replica-unavailable"]).await?;
        check_readiness(pair, true).await?;

        pair.links.command_primary.cut().await;
        assert_dependency(&pair.client(), "primary", "down").await?;
        check_refused(pair, &commands(slot), &["primary-unavailable"]).await?;
        check_readiness(pair, false).await?;
        for link in [&pair.links.command_primary, &pair.links.command_replica, &pair.links.consumer_replica] {
            link.restore()?;
        }
        pair.ready().await?;
        assert_eq!(assert_level(pair).await?.events.len(), 1, "refused is refused");
        Ok(())
    })
}

#[test]
fn faults_of_the_request_are_named_whatever_is_down() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let away: [&Proxy; 5] = [
            &pair.links.command_primary,
            &pair.links.command_replica,
            &pair.links.relay_broker,
            &pair.links.consumer_broker,
            &pair.links.consumer_replica,
        ];
        for link in away {
            link.cut().await;
        }
        for part in ["primary", "replica", "broker"] {
            assert_dependency(&pair.client(), part, "down").await?;
        }

        check_refused(pair, &[create("{"), batch("[1"), patch(slot, "")], &["malformed-json"]).await?;
        check_refused(pair, &[create("{}"), batch("[]")], &["invalid-value"]).await?;
        check_refused(
            pair,
            &[get(format!("{SLOTS}?limit=0")), get(format!("{SLOTS}/1"))],
            &["invalid-parameter"],
        )
        .await?;
        check_refused(pair, &[get("/nowhere")], &["not-found"]).await?;
        check_refused(pair, &[Call::new("PUT", BATCH)], &["method-not-allowed"]).await?;
        check_readiness(pair, false).await?;
        for path in ["/health", "/livez"] {
            get(path).send(&pair.command_service().address()).await?.expect(200)?;
        }
        Ok(())
    })
}

#[test]
fn readiness_shows_nothing_of_the_inside_while_the_broker_is_down_or_says_nothing() -> Result<()> {
    with_pair(async |pair| {
        pair.links.relay_broker.cut().await;
        pair.links.consumer_broker.cut().await;
        assert_dependency(&pair.client(), "broker", "down").await?;
        let consumer = pair.event_consumer().client();
        eventually(RECOVERY, "the consumer says so too", async || consumer.readyz().await?.expect(503))
            .await?;
        check_readiness(pair, true).await?;

        pair.links.relay_broker.restore()?;
        pair.links.consumer_broker.restore()?;
        pair.ready().await?;
        // Known when no heartbeat has come for long enough.
        pair.links.relay_broker.blackhole();

        assert_dependency(&pair.client(), "broker", "down").await?;
        check_readiness(pair, true).await
    })
}
