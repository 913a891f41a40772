//! Everything is seen, also where the chunks of the walk end.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use system_tests::{Client, assert_level, scale, with_pair};
use uuid::Uuid;

use super::{assert_right, verify};

/// More than two chunks of the walk, at the smallest scale.
fn slots_count() -> usize {
    2_300 * scale()
}

/// More than one look takes, all between two slots.
const INVENTED: usize = 4_500;

async fn create_many(client: &Client) -> Result<Vec<Uuid>> {
    let mut uuids = Vec::new();
    let names: Vec<usize> = (0..slots_count()).collect();
    for part in names.chunks(1_000) {
        let body: Vec<_> = part.iter().map(|number| json!({ "name": format!("Slot {number}") })).collect();
        let reply =
            client.call(Method::POST, "/parking-slots/batch", Some(json!(body))).await?.expect(201)?;
        let items = reply.body["items"].as_array().cloned().unwrap_or_default();
        uuids.extend(items.iter().filter_map(|item| item["uuid"].as_str()?.parse::<Uuid>().ok()));
    }
    assert_eq!(uuids.len(), slots_count());
    uuids.sort();
    Ok(uuids)
}

/// Uuids right behind this one.
fn behind(uuid: Uuid, count: usize) -> Vec<Uuid> {
    (1..=count as u128).map(|number| Uuid::from_u128(uuid.as_u128() + number)).collect()
}

#[test]
fn every_slot_is_compared_once_and_whatever_somebody_made_up_between_them() -> Result<()> {
    with_pair(async |pair| {
        let slots = create_many(&pair.client()).await?;
        assert_level(pair).await?;
        let sound = assert_right(pair).await?;
        // From the youngest on, chunks end at 1,000 and 2,000.
        let count = slots.len();
        let mut missing: Vec<Uuid> = [1, 999, 1_000, 1_001, 1_999, 2_000, 2_001, count]
            .iter()
            .map(|from_the_end| slots[count - from_the_end])
            .collect();
        let invented = behind(slots[1_000], INVENTED);
        let buried = behind(slots[500], INVENTED);
        let replica = pair.replica.sql().await?;
        replica.execute("DELETE FROM parking_slots WHERE uuid = ANY($1)", &[&missing]).await?;
        let invent = "INSERT INTO parking_slots SELECT uuid, 1, now(), now(), 'available', 'Invented'
                      FROM unnest($1::uuid[]) AS uuid";
        replica.execute(invent, &[&invented]).await?;
        let bury =
            "INSERT INTO parking_slot_tombstones SELECT uuid, 1, now() FROM unnest($1::uuid[]) AS uuid";
        replica.execute(bury, &[&buried]).await?;

        let found = verify(pair, &[]).await?;
        let healed = verify(pair, &["--repair"]).await?;

        missing.sort();
        let named = |kind: &str, uuids: &[Uuid]| -> Vec<_> {
            uuids.iter().map(|uuid| (kind.to_owned(), Some(*uuid))).collect()
        };
        let expected =
            [named("invented", &invented), named("missing", &missing), named("tombstone", &buried)].concat();
        assert!(found.kinds() == expected, "{} of {}", found.differences.len(), expected.len());
        assert!(healed.kinds() == expected, "{} of {}", healed.differences.len(), expected.len());
        assert_eq!((found.status, healed.status), (Some(1), Some(0)));
        assert_eq!(sound.total["slots"], json!(count));
        assert_eq!(found.total["slots"], json!(count + 2 * INVENTED));
        assert_right(pair).await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn rows_made_up_in_the_write_model_are_all_named() -> Result<()> {
    with_pair(async |pair| {
        let slots = create_many(&pair.client()).await?;
        assert_level(pair).await?;
        pair.command_service().stop().await?;
        let invented = behind(slots[1_200], INVENTED);
        let invent = "INSERT INTO parking_slots SELECT uuid, 1, 1, now(), now(), 'available', 'Invented'
                      FROM unnest($1::uuid[]) AS uuid";
        pair.primary.sql().await?.execute(invent, &[&invented]).await?;

        let found = verify(pair, &[]).await?;

        let expected: Vec<_> = invented.iter().map(|uuid| ("write model".to_owned(), Some(*uuid))).collect();
        assert!(found.kinds() == expected, "{} of {}", found.differences.len(), expected.len());
        assert_eq!(found.total["slots"], json!(slots.len() + INVENTED));
        Ok(())
    })
}
