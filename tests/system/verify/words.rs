//! What people read.

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{assert_level, program::Run, with_pair};

use crate::{dead_letters::by_hand::letters_are, outages::create};

#[test]
fn every_difference_is_told_in_one_line_that_cannot_steer_the_terminal() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let slots = create(&client, 4).await?;
        let [changed, deleted, broken, edited] = &slots[..] else { anyhow::bail!("four were created") };
        client.change(changed.uuid, json!({ "status": "reserved" })).await?.slot(200)?;
        client.delete(deleted.uuid).await?.expect(204)?;
        let deleted_at = assert_level(pair).await?.tombstones[0].deleted_at;
        pair.replica.refuse_culprits("parking_slots", "23514").await?;
        let culprit = client.created("culprit").await?;
        letters_are(pair, 1).await?;
        pair.command_service().stop().await?;
        let (primary, replica) = (pair.primary.sql().await?, pair.replica.sql().await?);
        let edit = "UPDATE parking_slots SET name = E'\\u001b[2J\\n' WHERE uuid = $1";
        replica.execute(edit, &[&edited.uuid]).await?;
        replica.execute("UPDATE parking_slot_tombstones SET deleted_at = '2020-01-01 UTC'", &[]).await?;
        primary
            .execute("UPDATE parking_slots SET status = 'blocked' WHERE uuid = $1", &[&broken.uuid])
            .await?;
        primary.batch_execute("ALTER TABLE parking_slot_events DISABLE TRIGGER ALL").await?;
        let early = "UPDATE parking_slot_events SET committed_at = committed_at - interval '1 hour'
                     WHERE slot_uuid = $1 AND version = 1";
        ensure!(primary.execute(early, &[&deleted.uuid]).await? == 1, "nothing is broken");

        let told = Run::command_service(pair, &["verify"])?.end().await?.expect(1)?;

        let expected = [
            "log: position 2 was not committed after the one before it".to_owned(),
            format!(
                "write model: {} has version 1, blocked, \"Slot 2\" of position 3, and the log says version 1, \
                 available, \"Slot 2\" of position 3",
                broken.uuid
            ),
            format!(
                "dead-lettered: {} has nothing, and should have version 1, available, \"culprit\"; position 7 is dead \
                 letter 1: event-consumer dead-letters retry 1",
                culprit.uuid
            ),
            format!(
                "differs: {} has version 1, available, \"\\u{{1b}}[2J\\n\", and should have version 1, available, \
                 \"Slot 3\"",
                edited.uuid
            ),
            format!(
                "tombstone: {} has a tombstone of version 2, deleted at 2020-01-01T00:00:00.000000Z, and should have \
                 a tombstone of version 2, deleted at {deleted_at:.6}",
                deleted.uuid
            ),
            "5 slots compared, at positions 7 to 7: 5 differences\n".to_owned(),
        ];
        assert_eq!(told.text()?, expected.join("\n"));
        assert_eq!(told.errors, "command-service: it is not right; verify --repair heals what it can\n");
        Ok(())
    })
}
