use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use command_service::{
    commands::{Answer, Commands, Done, IdempotencyKey, Refusal, Submission, queue::CommandQueue},
    primary::connection::Primary,
    write_model::{committer::Committer, idempotency_keys::reservation_of, wake::CommitSignal},
};
use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use shared::{
    postgres::DatabaseUrl,
    process::dependency_state::Dependency,
    slot::{Command, CreateSlot, DeleteSlot, Precondition, Rejection, SlotName, SlotStatus},
};
use stack::Role;
use system_tests::{
    Pair, RECOVERY, Reply, Shape, answered_within, eventually, in_time,
    proxy::rules::{StrandCommit, SwallowCommitReply},
    with_pair,
};
use tracing::Span;
use uuid::Uuid;

use super::{change, check_once, check_replay, create, is_replayed, told};

/// How many send the same request at once.
const CALLERS: usize = 50;

/// What a command may take that waits for nobody.
const PROMPT: Duration = Duration::from_secs(1);

fn two_instances() -> Shape {
    Shape { command_services: 2, ..Shape::default() }
}

/// The same create from [`CALLERS`] callers, by turns to each instance.
async fn create_from_many(pair: &Pair, key: &str) -> Result<Vec<Reply>> {
    let clients: Vec<_> = pair.command_services.iter().map(|service| service.client()).collect();
    try_join_all((0..CALLERS).map(|number| {
        let client = clients[number % clients.len()].clone();
        async move { create(&client, "Slot", key).await?.expect(201) }
    }))
    .await
}

/// All are the same answer, and one of them is the first.
fn check_one_was_first(replies: &[Reply]) -> Result<()> {
    let firsts = replies.iter().filter(|reply| !is_replayed(reply)).count();
    ensure!(firsts == 1, "{firsts} of {} say that they were the first", replies.len());
    let differing = replies.iter().find(|reply| told(reply) != told(&replies[0]));
    ensure!(differing.is_none(), "{:?} and {:?}", told(&replies[0]), differing.map(told));
    Ok(())
}

/// How many keys are reserved, or waited for.
async fn reservations(pair: &Pair, granted: bool) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted = $1 AND objsubid = 2
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    Ok(pair.primary.sql().await?.query_one(sql, &[&granted]).await?.try_get(0)?)
}

#[test]
fn one_key_from_50_callers_over_two_instances_makes_one_slot_and_50_equal_answers() -> Result<()> {
    two_instances().run(async |pair| {
        for key in ["one", "two", "three"] {
            check_one_was_first(&create_from_many(pair, key).await?)?;
        }

        check_once(pair, 3, 3).await?;
        Ok(())
    })
}

#[test]
fn one_key_from_50_callers_makes_one_slot_when_the_replies_to_commits_are_lost() -> Result<()> {
    const KEYS: usize = 5;
    two_instances().run(async |pair| {
        for number in 0..KEYS {
            let rule = Arc::new(SwallowCommitReply::times(1));
            pair.links.command_primary.set_rule(Some(rule.clone()));
            check_one_was_first(&create_from_many(pair, &format!("key-{number}")).await?)?;
            assert_eq!(rule.swallowed(), 1, "the reply to a commit was lost");
        }

        check_once(pair, KEYS, KEYS as i64).await?;
        Ok(())
    })
}

#[test]
fn one_key_from_50_callers_makes_one_slot_when_the_commit_arrives_late() -> Result<()> {
    two_instances().run(async |pair| {
        let rule = Arc::new(StrandCommit::once());
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let creating = create_from_many(pair, "key");
        let releasing = async {
            rule.stranded().await;
            eventually(RECOVERY, "the second attempt waits for the key", async || {
                ensure!(reservations(pair, false).await? >= 1, "nobody waits for it");
                Ok(())
            })
            .await?;
            rule.release();
            Ok(())
        };
        let (replies, ()) = tokio::try_join!(creating, releasing)?;

        check_one_was_first(&replies)?;
        let everything = check_once(pair, 1, 1).await?;
        let first = replies.into_iter().next().context("no reply")?.slot(201)?;
        assert_eq!(everything.events[0].committed_at, first.updated_at, "the attempt that committed is told");
        Ok(())
    })
}

#[test]
fn one_key_from_50_callers_makes_one_slot_when_the_commit_never_arrives() -> Result<()> {
    two_instances().run(async |pair| {
        let rule = Arc::new(StrandCommit::once());
        pair.links.command_primary.set_rule(Some(rule.clone()));

        // The first attempt stays open until the primary ends a transaction whose client says nothing. Then either
        // instance may be the one that carries the request out.
        let replies = create_from_many(pair, "key").await?;

        let firsts = replies.iter().filter(|reply| !is_replayed(reply)).count();
        ensure!(firsts <= 1, "{firsts} say that they were the first");
        assert!(replies.iter().all(|reply| told(reply) == told(&replies[0])));
        check_once(pair, 1, 1).await?;
        Ok(())
    })
}

#[test]
fn a_change_and_a_delete_with_a_key_happen_once_when_replies_to_commits_are_lost() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slot = client.created("Slot").await?;
        let path = format!("/parking-slots/{}", slot.uuid);
        let delete = async || client.call_with_key(reqwest::Method::DELETE, &path, None, "delete").await;
        let rule = Arc::new(SwallowCommitReply::times(3));
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let unchanged = change(&client, slot.uuid, json!({}), "nothing").await?.expect(200)?;
        let changed =
            change(&client, slot.uuid, json!({ "name": "Changed" }), "change").await?.expect(200)?;
        let deleted = delete().await?.expect(204)?;

        assert_eq!(rule.swallowed(), 3, "each reply to a commit was lost");
        assert_eq!(unchanged.slot(200)?, slot);
        check_replay(&changed, &change(&client, slot.uuid, json!({ "name": "Changed" }), "change").await?)?;
        check_replay(&deleted, &delete().await?)?;
        check_once(pair, 3, 3).await?;
        Ok(())
    })
}

#[test]
fn requests_with_one_key_in_one_batch_are_carried_out_once() -> Result<()> {
    with_pair(async |pair| {
        let url = pair.primary.server.url(Role::CommandService, &pair.primary.name);
        let primary = DatabaseUrl::parse(&url).context("not a URL")?;
        let url = pair.replica.server.url(Role::CommandServiceReader, &pair.replica.name);
        let primary = Primary::new(primary, Some(DatabaseUrl::parse(&url).context("not a URL")?));
        let (commands, submissions) = CommandQueue::channel(100, Duration::from_secs(10));
        let committer =
            Committer::new(primary, Dependency::new("primary"), submissions, CommitSignal::default());
        let missing = Commands::One(Command::Delete(DeleteSlot {
            uuid: Uuid::now_v7(),
            precondition: Precondition::Exists,
        }));
        let asks = [
            ask("one", 1, new_slot("A")?),
            ask("one", 1, new_slot("A")?),
            ask("one", 2, new_slot("B")?),
            ask("two", 3, missing),
            ask("two", 4, new_slot("C")?),
            ask("two", 4, new_slot("C")?),
        ];

        // All wait before the committer takes the first, so they are one batch. With the answers the entrance is
        // dropped, and the committer ends.
        let answers = async move { join_all(asks.map(|ask| commands.execute(ask))).await };
        let (answers, ()) = tokio::join!(biased; answers, committer.run());

        let (one, two) = (done(&answers[0].answer)?, done(&answers[4].answer)?);
        assert!(!one.replayed && !two.replayed);
        assert_eq!(done(&answers[1].answer)?, Done { replayed: true, ..one.clone() });
        assert_eq!(answers[2].answer, Err(Refusal::KeyReused));
        assert_eq!(answers[3].answer, Err(Refusal::Rejected(Rejection::NotFound)), "it keeps no key");
        assert_eq!(done(&answers[5].answer)?, Done { replayed: true, ..two.clone() });
        assert_ne!(one.outcome, two.outcome);
        let everything = check_once(pair, 2, 2).await?;
        let first = everything.events[0].committed_at;
        assert_eq!(
            everything.events[1].committed_at.duration_since(first),
            jiff::SignedDuration::from_micros(1),
            "it was one batch"
        );
        Ok(())
    })
}

fn done(answer: &Answer) -> Result<Done> {
    answer.clone().context("it was refused")
}

fn new_slot(name: &str) -> Result<Commands> {
    let name = SlotName::parse(name)?;
    let create = CreateSlot { uuid: Uuid::now_v7(), name, status: SlotStatus::Available };
    Ok(Commands::One(Command::Create(create)))
}

fn ask(name: &str, fingerprint: u8, request: Commands) -> Submission {
    let key = IdempotencyKey { name: name.to_owned(), fingerprint: [fingerprint; 32] };
    Submission { request, key: Some(key), traceparent: None, span: Span::none() }
}

#[test]
fn a_key_that_another_transaction_has_claimed_stalls_only_its_own_requests() -> Result<()> {
    const OTHERS: usize = 20;
    with_pair(async |pair| {
        let client = pair.client();
        let mut reservations = 0_usize;
        let mut slowest = async || {
            reservations += 1;
            slowest_beside_a_claim(pair, &format!("key-{reservations}"), OTHERS).await
        };
        in_time(PROMPT, async || Ok(((), slowest().await?))).await?;

        let created = create(&client, "Slot", "key-1").await?.expect(201)?;
        assert!(!is_replayed(&created), "the refused one left nothing");
        check_once(pair, 2 * reservations * OTHERS + 1, i64::try_from(reservations * OTHERS + 1)?).await?;
        Ok(())
    })
}

/// Of the creates with other keys and with none, while one with this key is refused since somebody else has reserved it.
async fn slowest_beside_a_claim(pair: &Pair, key: &str, others: usize) -> Result<Duration> {
    let client = pair.client();
    let mut other = pair.primary.connect_as(Role::Superuser).await?;
    let reservation = other.transaction().await?;
    let (class, object) = reservation_of(key);
    reservation.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&class, &object]).await?;
    let waiting = tokio::spawn({
        let (client, key) = (client.clone(), key.to_owned());
        async move { create(&client, "Slot", &key).await }
    });

    let mut slowest = Duration::ZERO;
    for number in 0..others {
        let keyed = create(&client, "Free", &format!("{key}-{number}")).await?.expect(201)?;
        let without = client.create("Free").await?.expect(201)?;
        slowest = slowest.max(keyed.took).max(without.took);
    }
    let refused = waiting.await??.expect(409)?;
    assert_eq!(refused.problem(), "idempotency-key-in-use");
    crate::answers::problem::check_retry_after(&refused)?;
    reservation.rollback().await?;
    Ok(slowest)
}

#[test]
fn a_request_is_refused_while_the_first_one_with_its_key_waits_for_its_slot() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let held = client.created("Held").await?;
        let hold = pair.primary.hold_slot(held.uuid).await?;
        let send = async || change(&client, held.uuid, json!({ "name": "Changed" }), "key").await;

        // Whichever of the two comes second is the one that is refused.
        let (first, second) = (std::pin::pin!(send()), std::pin::pin!(send()));
        let (refused, first) = match futures_util::future::select(first, second).await {
            futures_util::future::Either::Left((refused, rest)) => {
                hold.release().await?;
                (refused?, rest.await?)
            }
            futures_util::future::Either::Right((refused, rest)) => {
                hold.release().await?;
                (refused?, rest.await?)
            }
        };
        let again = send().await?;

        assert_eq!(refused.expect(409)?.problem(), "idempotency-key-in-use");
        assert!(!is_replayed(&first));
        check_replay(&first.expect(200)?, &again)?;
        check_once(pair, 2, 1).await?;
        Ok(())
    })
}

#[test]
fn nothing_is_made_while_the_commit_lock_is_held_and_one_slot_afterwards() -> Result<()> {
    two_instances().run(async |pair| {
        let [one, other] = &pair.command_services[..] else { anyhow::bail!("there are not two") };
        let hold = pair.primary.hold_commit_lock().await?;

        let (one, other) = (one.client(), other.client());
        let refused = tokio::try_join!(create(&one, "Slot", "key"), create(&other, "Slot", "key"))?;
        hold.release().await?;
        let created = create(&one, "Slot", "key").await?.expect(201)?;
        let again = create(&other, "Slot", "key").await?;

        // Who has the key waits for the lock, the other one for the key; they may change places meanwhile.
        for refused in [refused.0, refused.1] {
            let problem = refused.problem().to_owned();
            ensure!(["overloaded", "idempotency-key-in-use"].contains(&problem.as_str()), "it is {problem}");
            crate::answers::problem::check_retry_after(&refused)?;
        }
        assert!(!is_replayed(&created));
        check_replay(&created, &again)?;
        check_once(pair, 1, 1).await?;
        Ok(())
    })
}

#[test]
fn a_key_that_appears_without_a_claim_is_met_by_its_constraint() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Slot 1").await?;
        let mut other = pair.primary.connect_as(Role::Superuser).await?;
        let writing = other.transaction().await?;
        let keep = "INSERT INTO idempotency_keys (key, first_position, last_position, kept_at, fingerprint)
                    VALUES ('key', 1, 1, now(), decode(repeat('00', 32), 'hex'))";
        writing.batch_execute(keep).await?;

        let creating = create(&client, "Slot 2", "key");
        let committing = async {
            eventually(RECOVERY, "the create waits for the other transaction", async || {
                let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'group commit'
                           AND datname = current_database() AND wait_event_type = 'Lock'";
                let waiting: i64 = pair.primary.sql().await?.query_one(sql, &[]).await?.try_get(0)?;
                ensure!(waiting == 1, "it does not");
                Ok(())
            })
            .await?;
            Ok(writing.commit().await?)
        };
        let (refused, ()) = tokio::try_join!(creating, committing)?;

        assert_eq!(refused.expect(422)?.problem(), "idempotency-key-reused");
        check_once(pair, 1, 1).await?;
        Ok(())
    })
}

#[test]
fn keys_beyond_those_that_a_batch_claims_wait_for_the_next_one() -> Result<()> {
    use command_service::write_model::idempotency_keys::RESERVATIONS_MAX;

    with_pair(async |pair| {
        let client = pair.client();
        let held = client.created("Held").await?;
        let hold = pair.primary.hold_slot(held.uuid).await?;
        let waiting = (0..RESERVATIONS_MAX).map(|number| {
            let client = client.clone();
            let patch = json!({ "name": format!("Held {number}") });
            async move { change(&client, held.uuid, patch, &format!("held-{number}")).await }
        });

        let waiting = tokio::spawn(try_join_all(waiting.collect::<Vec<_>>()));
        eventually(
            RECOVERY,
            "every place for a reservation is taken by what waits for the slot",
            async || {
                let reserved = reservations(pair, true).await?;
                ensure!(reserved == i64::try_from(RESERVATIONS_MAX)?, "{reserved} are");
                Ok(())
            },
        )
        .await?;
        let mut free = 0;
        let create_free = async || {
            free += 1;
            client.create("Free").await?.expect(201)
        };
        answered_within(PROMPT, create_free).await.context("a create without a key")?;
        let one_more = tokio::spawn({
            let client = client.clone();
            async move { create(&client, "One more", "more").await }
        });
        hold.release().await?;
        let one_more = one_more.await??;
        let changed = waiting.await??;

        one_more.expect(201)?;
        assert!(changed.iter().all(|reply| reply.status == 200 && !is_replayed(reply)));
        check_once(pair, 2 + free + RESERVATIONS_MAX, i64::try_from(RESERVATIONS_MAX)? + 1).await?;
        Ok(())
    })
}
