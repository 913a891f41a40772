//! A commit whose answer was lost, and then the primary it was sent to: what is answered is true of the primary that is
//! there now.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{
    Client, Pair, RECOVERY, Reply, Shape, Slot, assert_level,
    backup::FileCopy,
    level::{fold, rows},
    proxy::{
        frames::Frame,
        rules::{Fate, Rule},
    },
};
use tokio_util::sync::CancellationToken;

use super::{created, created_soon, epoch};

/// Swallows the answer to the next COMMIT, and whatever comes after it on any connection.
#[derive(Debug, Default)]
struct LoseFromCommit {
    lost: AtomicBool,
    reached: CancellationToken,
}

impl Rule for LoseFromCommit {
    fn judge(&self, frame: &Frame<'_>) -> Fate {
        if frame.is_completion_of("COMMIT") {
            self.lost.store(true, Ordering::Release);
            self.reached.cancel();
        }
        if self.lost.load(Ordering::Acquire) { Fate::SwallowAndReset } else { Fate::Pass }
    }
}

/// Gives `command`, which is committed, its answer lost and the primary put back to where its only slot was at its first
/// version, while the slot is at its third version. What is answered, and the log, slot by slot.
async fn put_back_under(
    pair: &Pair,
    command: impl AsyncFnOnce(Client, Slot) -> Result<Reply> + 'static,
) -> Result<(Reply, Vec<(i64, Option<String>)>)> {
    let client = pair.client();
    let (slot, ..) = created(&client, "First").await?;
    assert_level(pair).await?;
    let copy = FileCopy::take(&pair.primary.server).await?;
    created_soon(&client, "Lost").await?;
    for name in ["Second", "Third"] {
        client.change(slot.uuid, json!({ "name": name })).await?.slot(200)?;
    }
    let before = epoch(pair).await?;
    let rule = Arc::new(LoseFromCommit::default());
    pair.links.command_primary.set_rule(Some(rule.clone()));

    let put_back = async {
        tokio::time::timeout(RECOVERY, rule.reached.cancelled()).await.context("nothing was committed")?;
        copy.put_back().await?;
        copy.start().await?;
        pair.links.command_primary.set_rule(None);
        Ok::<_, anyhow::Error>(())
    };
    let (reply, put_back) = tokio::join!(command(client, slot), put_back);

    put_back?;
    ensure!(epoch(pair).await? != before, "the epoch is the one it was");
    let sql = pair.primary.sql().await?;
    let events = rows::events(&sql).await?;
    let (slots, _) = fold(&events).context("the log is not sound")?;
    assert_eq!(rows::primary_slots(&sql).await?, slots, "the slots are what the log makes of them");
    Ok((reply?, events.into_iter().map(|event| (event.version, event.name)).collect()))
}

/// Longer than usual: as long as a client waits.
fn patient() -> Shape {
    let patience = vec![("PARKING__HTTP__COMMAND_DEADLINE_MS", "11000")];
    Shape { own_primary: true, command_settings: patience, ..Shape::default() }
}

#[test]
fn a_change_that_was_lost_with_the_primary_is_decided_anew_on_the_slot_as_it_is_there() -> Result<()> {
    patient().run(async |pair| {
        let change =
            async |client: Client, slot: Slot| client.change(slot.uuid, json!({ "name": "Anew" })).await;

        let (reply, log) = put_back_under(pair, change).await?;

        assert_eq!(reply.slot(200)?.version, 2, "the version behind the one that was put back");
        assert_eq!(log, [(1, Some("First".to_owned())), (2, Some("Anew".to_owned()))]);
        Ok(())
    })
}

#[test]
fn a_create_that_was_lost_with_the_primary_is_made_on_the_one_that_is_there() -> Result<()> {
    patient().run(async |pair| {
        let create = async |client: Client, _| client.create("Anew").await;

        let (reply, log) = put_back_under(pair, create).await?;

        assert_eq!(reply.slot(201)?.name, "Anew");
        assert_eq!(log, [(1, Some("First".to_owned())), (1, Some("Anew".to_owned()))]);
        Ok(())
    })
}

#[test]
fn a_key_kept_with_a_version_that_was_lost_is_kept_with_what_the_request_led_to_in_the_end() -> Result<()> {
    patient().run(async |pair| {
        // It changes nothing where the slot is at its third version.
        let change = async |client: Client, slot: Slot| {
            let path = format!("/parking-slots/{}", slot.uuid);
            client.call_with_key(Method::PATCH, &path, Some(json!({ "name": "Third" })), "key").await
        };

        let (reply, log) = put_back_under(pair, change).await?;

        let slot = reply.slot(200)?;
        assert_eq!(slot.version, 2);
        assert_eq!(log, [(1, Some("First".to_owned())), (2, Some("Third".to_owned()))]);
        created(&pair.client(), "At the position of the lost version").await?;
        let again = change(pair.client(), slot.clone()).await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.slot(200)?, slot);
        Ok(())
    })
}
