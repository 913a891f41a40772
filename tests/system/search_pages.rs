//! Pages with a filter: which indexes they use, and that they hold what a plain filter finds.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use command_service::queries::{SEARCH_OPTIONS, SEARCHES, cursor::Cursor};
use jiff::{SignedDuration, Timestamp};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use shared::slot::SlotStatus;
use stack::Role;
use system_tests::{Client, Pair, assert_level, client::Page, with_pair};
use tokio_postgres::{Config, NoTls, types::ToSql};
use uuid::Uuid;

/// More slots than a search compares before it asks the index of trigrams.
const NEAR: usize = 4_000;

/// More hits than a search takes from that index.
const HALLS: usize = 17_000;

const SLOTS: usize = 3 * NEAR + HALLS;

/// How many searches are compared.
const CASES: usize = 200;

#[test]
fn every_search_reads_the_slots_by_an_index() -> Result<()> {
    with_pair(async |pair| {
        register(pair, &mut TestRunner::deterministic()).await?;
        let mut config = Config::from_str(&pair.replica.server.url(Role::EventConsumer, &pair.replica.name))?;
        let (owner, connection) = config.options(SEARCH_OPTIONS).connect(NoTls).await?;
        tokio::spawn(connection);
        let (order, status, trigrams) =
            ("parking_slots_creation_order", "parking_slots_status_order", "parking_slots_name_trigrams");
        let expected: [(&[&str], &str); 5] = [
            (&[status], "by status"),
            (&[order, trigrams], "by name"),
            (&[status, trigrams], "by both"),
            (&[order], "by a short name"),
            (&[status], "by a short name and status"),
        ];

        for (number, ((sql, parameters), (indexes, what))) in SEARCHES.iter().zip(expected).enumerate() {
            let first =
                if *parameters == 7 || number == 1 || number == 3 { "'%bay%'" } else { "'available'" };
            let rest = if *parameters == 7 { format!("{first}, 'available'") } else { first.to_owned() };
            owner.batch_execute(&format!("PREPARE search_{number} AS {sql}")).await.context(what)?;
            let explain = format!(
                "EXPLAIN EXECUTE search_{number} ('{{}}', '{{}}', '1970-01-01 UTC', '{}', 101, {rest})",
                Uuid::nil()
            );
            let plan: Vec<String> = owner
                .query(&explain, &[])
                .await?
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?;

            let plan = plan.join("\n");
            ensure!(!plan.contains("Seq Scan on parking_slots"), "{what}:\n{plan}");
            for index in [order, status, trigrams] {
                ensure!(plan.contains(index) == indexes.contains(&index), "{what}, {index}:\n{plan}");
            }
            // Hits of the index of trigrams are sorted; nothing else is.
            ensure!(plan.matches("Sort Key").count() == usize::from(indexes.contains(&trigrams)), "{plan}");
        }
        Ok(())
    })
}

#[test]
fn a_page_with_any_filter_from_any_place_is_that_of_a_plain_filter() -> Result<()> {
    with_pair(async |pair| {
        let mut random = TestRunner::deterministic();
        let slots = register(pair, &mut random).await?;
        let client = pair.client();
        let texts = prop_oneof![
            3 => select(vec!["needle", "NEEDLE", "nowhere", "hall", "Hall 1", "bay", "y 11", "11", "%", "1"])
                .prop_map(str::to_owned),
            4 => vec(letter(), 1..=4).prop_map(String::from_iter),
        ];
        let statuses = proptest::option::of(select(SlotStatus::ALL.to_vec()));
        let places = proptest::option::of(proptest::prelude::any::<Index>());
        let searches =
            (proptest::option::weighted(0.9, texts), statuses, places, select(vec![1, 7, 50, 1_000]));

        let mut found = 0;
        for _ in 0..CASES {
            let (text, status, place, limit) = value(&searches, &mut random)?;
            if text.is_none() && status.is_none() {
                continue;
            }
            let behind = place.map_or(0, |place| place.index(slots.len()) + 1);
            let matching = slots[behind..].iter().filter(|slot| {
                status.is_none_or(|status| slot.status == status)
                    && text.as_deref().is_none_or(|text| lower(&slot.name).contains(&lower(text)))
            });
            let mut expected: Vec<Uuid> = matching.take(limit + 1).map(|slot| slot.uuid).collect();
            let follows = expected.len() > limit;
            expected.truncate(limit);

            let cursor = behind.checked_sub(1).map(|last| slots[last].cursor().encode());
            let page = page(&client, text.as_deref(), status, cursor, limit).await?;

            let what = format!("{text:?}, {status:?}, behind {behind}, {limit} at most");
            let shown: Vec<Uuid> = page.items.iter().map(|slot| slot.uuid).collect();
            ensure!(shown == expected, "{what}: {} slots instead of {}", shown.len(), expected.len());
            ensure!(page.next_cursor.is_some() == follows, "{what}: {:?}", page.next_cursor);
            found += shown.len();
        }
        ensure!(found > CASES, "only {found} slots were found: that shows little");
        Ok(())
    })
}

/// A slot as the test knows it.
struct Known {
    uuid: Uuid,
    created_at: Timestamp,
    status: SlotStatus,
    name: String,
}

impl Known {
    fn cursor(&self) -> Cursor {
        Cursor { created_at: self.created_at, uuid: self.uuid }
    }
}

/// Fills the replica: odd names and plain ones, some needles everywhere, and halls only at the end. Returns the slots
/// in creation order; three have the same time.
async fn register(pair: &Pair, random: &mut TestRunner) -> Result<Vec<Known>> {
    pair.client().created("Slot 1").await?;
    assert_level(pair).await?;
    let odd = vec(letter(), 1..=9).prop_map(String::from_iter);
    let kinds = (odd, select(SlotStatus::ALL.to_vec()), proptest::prelude::any::<u128>());
    let base = Timestamp::from_second(1_700_000_000)?;
    let mut slots = Vec::with_capacity(SLOTS);
    for number in 0..SLOTS {
        let (odd, status, uuid) = value(&kinds, random)?;
        let name = match number {
            _ if number % 997 == 5 => format!("Needle {number}"),
            _ if number % 11 == 3 => odd,
            _ if number >= SLOTS - HALLS => format!("Hall {number}"),
            _ => format!("Bay {number}"),
        };
        let created_at = base + SignedDuration::from_micros(i64::try_from(number / 3)?);
        slots.push(Known { uuid: Uuid::from_u128(uuid), created_at, status, name });
    }
    slots.sort_by_key(Known::cursor);
    let insert = "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
                  SELECT slot.uuid, 1, at, at, status, name
                  FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS slot (uuid, at, status, name)";
    let sql = pair.replica.sql().await?;
    sql.batch_execute("DELETE FROM parking_slots").await?;
    let uuids: Vec<Uuid> = slots.iter().map(|slot| slot.uuid).collect();
    let times: Vec<Timestamp> = slots.iter().map(|slot| slot.created_at).collect();
    let statuses: Vec<&str> = slots.iter().map(|slot| slot.status.as_str()).collect();
    let names: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let columns: [&(dyn ToSql + Sync); 4] = [&uuids, &times, &statuses, &names];
    sql.execute(insert, &columns).await?;
    sql.batch_execute("VACUUM ANALYZE parking_slots").await?;
    Ok(slots)
}

/// Letters with a meaning in patterns, and such of several alphabets. Small and capital ones are pairs of one each.
fn letter() -> impl Strategy<Value = char> {
    prop_oneof![
        6 => select("aAbBéÉßσΣяЯ1".chars().collect::<Vec<_>>()),
        3 => select(r"%_\- '*".chars().collect::<Vec<_>>()),
        1 => Just('🚗'),
    ]
}

/// Small letters, one for one.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn value<S: Strategy>(strategy: &S, random: &mut TestRunner) -> Result<S::Value> {
    let tree = strategy.new_tree(random).map_err(|reason| anyhow::anyhow!("no value: {reason}"))?;
    Ok(tree.current())
}

async fn page(
    client: &Client,
    text: Option<&str>,
    status: Option<SlotStatus>,
    cursor: Option<String>,
    limit: usize,
) -> Result<Page> {
    let mut query = format!("?limit={limit}");
    if let Some(text) = text {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        query.push_str(&format!("&name={encoded}"));
    }
    if let Some(status) = status {
        query.push_str(&format!("&status={}", status.as_str()));
    }
    if let Some(cursor) = cursor {
        query.push_str(&format!("&cursor={cursor}"));
    }
    Ok(serde_json::from_value(client.list(&query).await?.expect(200)?.body)?)
}
