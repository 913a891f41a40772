//! The exact look by itself: whatever part of a log a replica has applied, in whatever order, is right; and any damage to
//! it is found, and healed to the letter.

use anyhow::{Context, Result};
use command_service::verify::{comparison::Comparison as Sides, difference::SlotDifference};
use event_consumer::{
    batch::{Batch, ReceivedRepair},
    projection::apply_batch,
};
use lapin::BasicProperties;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_assert, prop_assert_eq, sample,
};
use shared::{
    messages::{
        event::LoggedEvent,
        repair::{REPAIR_MAX_SLOTS, Repair},
    },
    postgres::DatabaseUrl,
};
use system_tests::{
    database::Database,
    level::{
        EventRow, ReplicaRow, Tombstone,
        rows::{replica_slots, summary, tombstones},
    },
    servers::servers,
};
use uuid::Uuid;

use crate::projection::{EPOCH, Stand, Step, fail, log_of, rows_of};

const CASES: u32 = 150;

/// Slots of which the log may tell; one more is never told of.
const SLOTS: u8 = 5;

/// A log, the order in which a replica gets it, how much of it, and what is then damaged.
type Case = (Vec<LoggedEvent>, Vec<usize>, usize, u8, usize);

/// Each leaves a row or a tombstone that is another, or none, if it does anything at all.
const DAMAGES: [&str; 6] = [
    "UPDATE parking_slots SET name = name || '!' WHERE uuid = $1",
    "UPDATE parking_slots SET version = version + 3 WHERE uuid = $1",
    "DELETE FROM parking_slots WHERE uuid = $1",
    "INSERT INTO parking_slots VALUES ($1, 2, now(), now(), 'blocked', 'Invented') ON CONFLICT DO NOTHING",
    "INSERT INTO parking_slot_tombstones VALUES ($1, 9, now()) ON CONFLICT (uuid) DO UPDATE SET version = 9",
    "DELETE FROM parking_slot_tombstones WHERE uuid = $1",
];

fn case() -> impl Strategy<Value = Case> {
    let step = sample::select(vec![Step::Create, Step::Rename, Step::Occupy, Step::Delete]);
    let log = vec((0..SLOTS, step), 1..40).prop_map(|steps| log_of(&steps));
    log.prop_flat_map(|log| {
        let order = Just((0..log.len()).collect::<Vec<_>>()).prop_shuffle();
        let applied = 0..=log.len();
        (Just(log), order, applied, 0..=SLOTS, any::<sample::Index>()).prop_map(
            |(log, order, applied, slot, damage)| (log, order, applied, slot, damage.index(DAMAGES.len())),
        )
    })
}

/// A primary that has the log, and a replica that has some of it.
struct Comparison {
    stand: Stand,
    primary: Database,
    comparison: Sides,
}

impl Comparison {
    fn new() -> Result<Self> {
        let (stand, servers) = (Stand::new()?, servers()?);
        let server = servers.primary().clone();
        let primary = Database::new(server.clone(), servers.new_primary_database(&server)?);
        let comparison = stand.runtime.block_on(async {
            let sql = primary.sql().await?;
            sql.execute("UPDATE epoch SET epoch = $1", &[&EPOCH]).await?;
            sql.batch_execute("ALTER TABLE parking_slot_events DISABLE TRIGGER ALL").await?;
            let url = server.url(stack::Role::CommandService, &primary.name);
            let url = DatabaseUrl::parse(&url).context("no URL")?;
            Ok::<_, anyhow::Error>(Sides::open(&url, &stand.reader_url()?).await?.0)
        })?;
        Ok(Self { stand, primary, comparison })
    }

    /// Makes this the log.
    async fn write(&self, log: &[LoggedEvent]) -> Result<()> {
        let sql = self.primary.sql().await?;
        sql.batch_execute("DELETE FROM parking_slot_events").await?;
        let insert = "INSERT INTO parking_slot_events (position, version, committed_at, created_at, id, slot_uuid, type,
                                                       status, name, changed)
                      VALUES ($1, $2::bigint, $3, $4, $5, $6, $7::text, $8::text, $9::text, $10)";
        for row in rows_of(log) {
            let EventRow {
                position,
                version,
                committed_at,
                created_at,
                id,
                slot_uuid,
                kind,
                status,
                name,
                changed,
            } = row;
            sql.execute(
                insert,
                &[
                    &position,
                    &version,
                    &committed_at,
                    &created_at,
                    &id,
                    &slot_uuid,
                    &kind,
                    &status,
                    &name,
                    &changed,
                ],
            )
            .await?;
        }
        Ok(())
    }

    async fn exactly(&self) -> Result<Vec<SlotDifference>> {
        let slots: Vec<Uuid> = (0..=SLOTS).map(uuid_of).collect();
        Ok(self.comparison.exactly(&slots).await?)
    }

    async fn content(&self) -> Result<(Vec<ReplicaRow>, Vec<Tombstone>, Vec<(String, i64)>)> {
        let sql = self.stand.replica.sql().await?;
        let summary = summary(&sql).await?.into_iter().collect();
        Ok((replica_slots(&sql).await?, tombstones(&sql).await?, summary))
    }

    /// Sends what the differences ask for through the consumer's own step.
    async fn repair(&self, differences: &[SlotDifference]) -> Result<()> {
        let slots = differences.iter().filter_map(SlotDifference::repair).collect();
        let properties = BasicProperties::default();
        for body in Repair::of_slots(EPOCH, slots).encode(REPAIR_MAX_SLOTS) {
            let repair = Repair::decode(&body)?;
            let repairs = vec![ReceivedRepair { repair, body: &body, properties: &properties }];
            let batch = Batch { repairs, ..Batch::default() };
            apply_batch(&mut *self.stand.session.lock().await, &batch).await?;
        }
        Ok(())
    }
}

/// As `log_of` numbers them.
fn uuid_of(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

#[test]
fn whatever_is_applied_in_whatever_order_is_right_and_any_damage_to_it_is_found_and_healed() -> Result<()> {
    let comparison = Comparison::new()?;
    let stand = &comparison.stand;
    stand.for_each(CASES, &case(), async |(log, order, applied, slot, damage)| {
        comparison.write(&log).await.map_err(fail)?;
        let sent: Vec<LoggedEvent> = order.iter().map(|place| log[*place].clone()).collect();
        for batch in sent[..applied].chunks(3) {
            stand.apply(batch).await.map_err(fail)?;
        }
        let before = comparison.content().await.map_err(fail)?;

        let undamaged = comparison.exactly().await.map_err(fail)?;
        let sql = stand.replica.sql().await.map_err(fail)?;
        sql.execute(DAMAGES[damage], &[&uuid_of(slot)]).await.map_err(|error| fail(error.into()))?;
        let is_damaged = comparison.content().await.map_err(fail)? != before;
        let damaged = comparison.exactly().await.map_err(fail)?;
        comparison.repair(&damaged).await.map_err(fail)?;
        let repaired = comparison.exactly().await.map_err(fail)?;
        let after = comparison.content().await.map_err(fail)?;

        prop_assert!(undamaged.is_empty(), "a false alarm: {undamaged:#?}");
        let found: Vec<Uuid> = damaged.iter().map(|difference| difference.uuid).collect();
        prop_assert_eq!(found, if is_damaged { vec![uuid_of(slot)] } else { Vec::new() });
        prop_assert!(repaired.is_empty(), "not healed: {repaired:#?}");
        prop_assert_eq!(after, before);
        for batch in sent[applied..].chunks(3) {
            stand.apply(batch).await.map_err(fail)?;
        }
        let complete = comparison.exactly().await.map_err(fail)?;
        prop_assert!(complete.is_empty(), "a false alarm at the end: {complete:#?}");
        Ok(())
    })
}
