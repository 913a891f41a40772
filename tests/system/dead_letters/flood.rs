//! Much poison of every kind among many good events.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use lapin::Channel;
use reqwest::Method;
use serde_json::json;
use shared::{
    messages::event::LoggedEvent,
    position::Position,
    slot::{Slot, SlotEvent, SlotName, SlotStatus, Version},
};
use system_tests::{Pair, RECOVERY, assert_level, eventually, level::rows, with_pair};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    BATCH,
    by_hand::{letters_are, run},
    letters,
    poison::DAMAGES,
    publish_as_stranger,
};

/// So many good events, a hundredth of them in one request.
const GOOD: usize = 10_000;
const REQUESTS: usize = 100;

/// A position that the log of this test does not reach.
const BEYOND: i64 = 1_000_000;

/// Longer than that nothing stands still; a hole would for as long before it is asked for.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What an event of another log would look like.
pub(super) fn event(number: usize) -> Result<String> {
    let slot = Slot {
        uuid: Uuid::now_v7(),
        name: SlotName::parse("Slot")?,
        status: SlotStatus::Available,
        version: Version::new(1).context("not a version")?,
    };
    let event = LoggedEvent {
        position: Position::new(BEYOND + i64::try_from(number)?).context("not a position")?,
        id: Uuid::now_v7(),
        epoch: Uuid::now_v7(),
        committed_at: Timestamp::UNIX_EPOCH,
        created_at: Timestamp::UNIX_EPOCH,
        traceparent: None,
        event: SlotEvent::Created(slot),
    };
    let mut json = Vec::new();
    event.encode_into(&mut json);
    Ok(String::from_utf8(json)?)
}

/// One message of each kind, no two of them alike.
async fn publish_poison(channel: &Channel, number: usize) -> Result<usize> {
    let event = event(number)?;
    for (damage, _) in DAMAGES {
        publish_as_stranger(channel, BATCH, format!("[{}]", damage(&event)).as_bytes()).await?;
    }
    let (text, no_array) = (format!("not JSON: {number}"), format!("{{\"number\":{number}}}"));
    let no_text = [b"\xff\xfe", text.as_bytes()].concat();
    let others: [(&str, &[u8]); 4] = [
        (BATCH, text.as_bytes()),
        (BATCH, no_array.as_bytes()),
        (BATCH, &no_text),
        ("text/plain", event.as_bytes()),
    ];
    for (content_type, body) in others {
        publish_as_stranger(channel, content_type, body).await?;
    }
    Ok(DAMAGES.len() + others.len())
}

/// Creates slots, the first of which the replica will refuse, in one request.
async fn create(pair: &Pair, request: usize) -> Result<()> {
    let good = (1..=GOOD / REQUESTS).map(|number| json!({ "name": format!("Good {request}.{number}") }));
    let slots: Vec<_> =
        std::iter::once(json!({ "name": format!("culprit {request}") })).chain(good).collect();
    let reply = pair.client().call(Method::POST, "/parking-slots/batch", Some(json!(slots))).await?;
    reply.expect(201)?;
    Ok(())
}

async fn applied_through(pair: &Pair) -> Result<i64> {
    Ok(rows::replication_status(pair.replica.sql().await?.as_ref()).await?.applied_through)
}

/// Looks, until it is told to stop, how long the replica ever stood still while something was to be applied.
async fn longest_pause(pair: &Pair, stop: &CancellationToken) -> Result<Duration> {
    let (mut applied, mut since, mut longest) = (0, Instant::now(), Duration::ZERO);
    let mut every = tokio::time::interval(Duration::from_millis(10));
    while !stop.is_cancelled() {
        every.tick().await;
        let now = applied_through(pair).await?;
        longest = longest.max(since.elapsed());
        if now > applied {
            (applied, since) = (now, Instant::now());
        }
    }
    Ok(longest)
}

#[test]
fn poison_of_every_kind_among_10000_good_events_holds_none_of_them_up() -> Result<()> {
    with_pair(async |pair| {
        let (_connection, channel) = pair.broker.channel().await?;
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let (stop, settled) = (CancellationToken::new(), i64::try_from(GOOD + REQUESTS)?);

        let flooding = async {
            let mut poison = 0;
            for number in 0..REQUESTS {
                create(pair, number).await?;
                poison += publish_poison(&channel, number).await?;
            }
            let arrived = eventually(RECOVERY, "every event is settled", async || {
                let applied = applied_through(pair).await?;
                ensure!(applied == settled, "{applied} of {settled}");
                Ok(())
            });
            arrived.await?;
            stop.cancel();
            anyhow::Ok(poison)
        };
        let (poison, longest) = tokio::try_join!(flooding, longest_pause(pair, &stop))?;

        println!(
            "{GOOD} good events, {REQUESTS} refused, {poison} poisonous messages; longest pause {longest:?}"
        );
        ensure!(longest < PAUSE_MAX, "nothing was applied for {longest:?}");
        letters_are(pair, i64::try_from(poison + REQUESTS)?).await?;
        assert_eq!(
            of_kind(pair, "position IS NULL").await?,
            i64::try_from(poison)?,
            "what cannot be read settles nothing"
        );
        assert_eq!(
            of_kind(pair, "reason = '23514: refused' AND position IS NOT NULL").await?,
            REQUESTS as i64
        );
        assert_eq!(of_kind(pair, "reason = ''").await?, 0, "each says why");
        settle_by_hand(pair).await
    })
}

async fn of_kind(pair: &Pair, condition: &str) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM dead_letters WHERE {condition}");
    Ok(pair.replica.sql().await?.query_one(&sql, &[]).await?.try_get(0)?)
}

/// After the fix what was refused is applied; what never was an event is discarded.
async fn settle_by_hand(pair: &Pair) -> Result<()> {
    pair.replica.accept_culprits().await?;

    run(pair, &["retry", "--all"]).await?.expect(1)?;

    assert_eq!(of_kind(pair, "position IS NOT NULL").await?, 0, "what was refused is applied");
    let sql = pair.replica.sql().await?;
    let rest = sql.query("SELECT id::text FROM dead_letters WHERE retries = 1", &[]).await?;
    let ids: Vec<&str> = rest.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    run(pair, &[&["discard"], &ids[..]].concat()).await?.expect(0)?;
    assert_eq!(letters(pair).await?, 0);
    assert_eq!(assert_level(pair).await?.replica.len(), GOOD + REQUESTS);
    Ok(())
}
