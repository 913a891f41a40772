//! Every kind of damage, alone and together: found exactly, and healed.

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{Pair, assert_level, with_pair};
use uuid::Uuid;

use super::{assert_right, fill, verify};

/// A damage to the slot of this number, and what it is called.
type Damage = (usize, &'static str, &'static str, &'static str);

/// In what `fill` makes, 0 and 5 are deleted, and the even ones are at version 2. No two damages are of one slot.
///
/// An update of a document alone damages nothing, since the trigger makes it true again.
const DAMAGES: [Damage; 13] = [
    (
        1,
        "UPDATE parking_slots SET name = 'By hand' WHERE uuid = $1",
        "differs",
        "the row of the walk-through",
    ),
    (2, "UPDATE parking_slots SET version = 1000 WHERE uuid = $1", "differs", "events would not heal it"),
    (
        3,
        "UPDATE parking_slots SET updated_at = 'infinity' WHERE uuid = $1",
        "differs",
        "a time that no log has",
    ),
    (
        4,
        "UPDATE parking_slots SET created_at = created_at - interval '1 us' WHERE uuid = $1",
        "differs",
        "a microsecond",
    ),
    (6, "DELETE FROM parking_slots WHERE uuid = $1", "missing", "a deleted row"),
    (
        7,
        "INSERT INTO parking_slot_tombstones VALUES ($1, 99, clock_timestamp())",
        "tombstone",
        "a tombstone for a slot that lives",
    ),
    (
        8,
        "WITH gone AS (DELETE FROM parking_slots WHERE uuid = $1)
         INSERT INTO parking_slot_tombstones VALUES ($1, 2, '-infinity')",
        "tombstone",
        "buried alive",
    ),
    (0, "DELETE FROM parking_slot_tombstones WHERE uuid = $1", "tombstone", "a lost tombstone"),
    (
        5,
        "INSERT INTO parking_slots VALUES ($1, 3, clock_timestamp(), clock_timestamp(), 'blocked', E'\\u0007')",
        "invented",
        "a deleted slot brought back",
    ),
    (
        9,
        "WITH gone AS (DELETE FROM parking_slots WHERE uuid = $1
                       RETURNING uuid, version, created_at, updated_at, status, name)
         INSERT INTO parking_slots SELECT gone.*, '{}' FROM gone",
        "differs",
        "a document that says something else than its row",
    ),
    (
        10,
        "INSERT INTO parking_slots VALUES ($1, 1, clock_timestamp(), clock_timestamp(), 'blocked', 'Invented')",
        "invented",
        "the lowest uuid of all",
    ),
    (
        11,
        "INSERT INTO parking_slots VALUES ($1, 1, clock_timestamp(), clock_timestamp(), 'blocked', 'Invented')",
        "invented",
        "the highest uuid of all",
    ),
    (
        12,
        "INSERT INTO parking_slot_tombstones VALUES ($1, 0, clock_timestamp())",
        "tombstone",
        "a tombstone of what never was",
    ),
];

/// The slots of a filled register, and three that never were.
async fn slots(pair: &Pair) -> Result<Vec<Uuid>> {
    let mut slots = fill(&pair.client()).await?;
    slots.extend([Uuid::nil(), Uuid::max(), Uuid::now_v7()]);
    assert_right(pair).await?;
    Ok(slots)
}

async fn damage(pair: &Pair, slots: &[Uuid], (number, sql, ..): Damage) -> Result<()> {
    ensure!(
        pair.replica.sql().await?.execute(sql, &[&slots[number]]).await? == 1,
        "nothing is damaged: {sql}"
    );
    Ok(())
}

#[test]
fn each_damage_alone_is_found_exactly_and_healed() -> Result<()> {
    with_pair(async |pair| {
        let slots = slots(pair).await?;
        for one in DAMAGES {
            damage(pair, &slots, one).await?;
            let (number, _, kind, reason) = one;

            let found = verify(pair, &[]).await?;
            let healed = verify(pair, &["--repair"]).await?;

            let expected = [(kind.to_owned(), Some(slots[number]))];
            assert_eq!((found.status, found.kinds().as_slice()), (Some(1), &expected[..]), "{reason}");
            assert_eq!(
                (healed.status, healed.kinds().as_slice()),
                (Some(0), &expected[..]),
                "{reason}: {healed:#?}"
            );
            assert_eq!(healed.differences[0]["healed"], json!(true), "{reason}");
            assert_eq!(healed.total["healed"], json!(1), "{reason}");
            assert_right(pair).await?;
            assert_level(pair).await?;
        }
        Ok(())
    })
}

#[test]
fn all_damages_together_are_found_exactly_and_healed() -> Result<()> {
    with_pair(async |pair| {
        let slots = slots(pair).await?;
        for one in DAMAGES {
            damage(pair, &slots, one).await?;
        }
        let sql = pair.replica.sql().await?;
        sql.batch_execute("UPDATE parking_slot_summary SET slots = slots + 7 WHERE status = 'reserved'")
            .await?;

        let found = verify(pair, &[]).await?;
        let healed = verify(pair, &["--repair"]).await?;

        let mut expected: Vec<_> =
            DAMAGES.iter().map(|(number, _, kind, _)| ((*kind).to_owned(), Some(slots[*number]))).collect();
        expected.push(("summary".to_owned(), None));
        expected.sort();
        assert_eq!((found.status, found.kinds()), (Some(1), expected.clone()));
        assert_eq!((healed.status, healed.kinds()), (Some(0), expected), "{healed:#?}");
        assert_right(pair).await?;
        assert_level(pair).await?;
        Ok(())
    })
}
