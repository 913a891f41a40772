//! What a rebuild heals, and what it keeps.

use anyhow::Result;
use system_tests::{assert_level, with_pair};

use super::{assert_nothing_left, fill, rebuild, rebuilt, slots};

#[test]
fn damage_by_hand_is_healed_by_a_rebuild() -> Result<()> {
    with_pair(async |pair| {
        let kept = fill(pair).await?;
        assert_level(pair).await?;
        let (edited, deleted) = (kept[0].slots[1].uuid, kept[0].slots[2].uuid);
        let sql = pair.replica.sql().await?;
        sql.execute("UPDATE parking_slots SET name = 'Edited', version = 9 WHERE uuid = $1", &[&edited])
            .await?;
        sql.execute("DELETE FROM parking_slots WHERE uuid = $1", &[&deleted]).await?;
        sql.batch_execute(
            "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
             VALUES (gen_random_uuid(), 1, now(), now(), 'available', 'Invented');
             INSERT INTO parking_slot_tombstones VALUES (gen_random_uuid(), 1, now());
             UPDATE parking_slot_summary SET slots = slots - 7",
        )
        .await?;

        let done = rebuilt(rebuild(pair)?.end().await?)?;

        assert_eq!(done["slots"], slots());
        assert_eq!(done["replica"], "main");
        assert_level(pair).await?;
        assert_nothing_left(pair).await?;
        pair.client().created("Later").await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}
