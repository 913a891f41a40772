//! Ambiguous commits: `outcome-unknown` is answered where the outcome is unknown, and nowhere else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use command_service::{
    commands::{Commands, Submission},
    primary::connection::Primary,
    write_model::{commit::commit_batch, roundtrip::Failure, session::PrimarySession, wake::Wake},
};
use shared::{
    postgres::DatabaseUrl,
    slot::{Command, CreateSlot, SlotName, SlotStatus},
};
use stack::Role;
use system_tests::{Pair, RECOVERY, Reply, Shape, assert_level, blocking, eventually, with_pair};
use tracing::Span;
use uuid::Uuid;

use crate::{commit::waiting_for_commit_lock, outages::create};

/// How long the primary may say nothing before a connection is given up.
const SILENCE_MAX: Duration = Duration::from_millis(3_500);

/// Far below the deadline of a command, at which an unknown outcome is answered.
const SOON: Duration = Duration::from_secs(6);

fn ask_to_create(name: &str) -> Result<Submission> {
    let name = SlotName::parse(name)?;
    let create = CreateSlot { uuid: Uuid::now_v7(), name, status: SlotStatus::Available };
    Ok(Submission {
        request: Commands::One(Command::Create(create)),
        key: None,
        traceparent: None,
        span: Span::none(),
    })
}

/// The primary as a process knows it that has just been started.
fn primary_of(pair: &Pair) -> Result<Primary> {
    let primary = pair.primary.server.url(Role::CommandService, &pair.primary.name);
    let replica = pair.replica.server.url(Role::CommandServiceReader, &pair.replica.name);
    let parse = |url: &str| DatabaseUrl::parse(url).context("not a URL");
    Ok(Primary::new(parse(&primary)?, Some(parse(&replica)?)))
}

#[test]
fn what_cannot_have_been_sent_is_known_not_to_have_happened() -> Result<()> {
    with_pair(async |pair| {
        let session = PrimarySession::open(&primary_of(pair)?).await?;
        pair.primary.end_connections_of("group commit").await?;
        session.lost().await;

        let failure = commit_batch(&session, &[&ask_to_create("Not sent")?], Wake::Nobody).await;

        ensure!(matches!(failure, Err(Failure::Interrupted)), "{failure:?}");
        Ok(())
    })
}

#[test]
fn a_command_that_waits_for_its_turn_when_the_primary_is_stopped_has_not_happened() -> Result<()> {
    let own = Shape { own_primary: true, ..Shape::default() };
    own.run(async |pair| {
        create(&pair.client(), 1).await?;
        assert_level(pair).await?;
        let mut events = 1;
        // The server may end the session that holds the lock a moment before it ends the one that waits for it.
        let refused =
            eventually(4 * RECOVERY, "a command waits until the server has ended its session", async || {
                let answered = create_while_the_primary_is_stopped(pair).await?;
                events += usize::from(answered.status == 201);
                answered.expect(503)
            })
            .await?;

        assert_eq!(refused.problem(), "primary-unavailable");
        ensure!(refused.took < SOON, "it took {:?}", refused.took);
        assert_eq!(assert_level(pair).await?.events.len(), events, "it has not happened");
        Ok(())
    })
}

/// Stops the primary while a create waits for the commit lock, and starts it again.
async fn create_while_the_primary_is_stopped(pair: &Pair) -> Result<Reply> {
    pair.ready().await?;
    let _hold = pair.primary.hold_commit_lock().await?;
    let client = pair.client();
    let waiting = tokio::spawn(async move { client.create("Waiting").await });
    eventually(RECOVERY, "a commit waits", async || {
        ensure!(waiting_for_commit_lock(pair).await? == 1, "none does");
        Ok(())
    })
    .await?;
    let server = pair.primary.server.clone();
    blocking(move || server.stop()).await?;
    let answered = waiting.await??;
    let server = pair.primary.server.clone();
    blocking(move || server.start()).await?;
    Ok(answered)
}

#[test]
fn a_primary_that_is_slow_but_answers_is_waited_for() -> Result<()> {
    with_pair(async |pair| {
        // Each statement is within its bound, and all of them together are not within that of one.
        pair.primary.slow_down_the_log(2.2).await?;

        let created = pair.client().create("Slow").await?;

        ensure!(created.took > SILENCE_MAX, "it took only {:?}", created.took);
        created.slot(201)?;
        assert_eq!(assert_level(pair).await?.events.len(), 1);
        Ok(())
    })
}
