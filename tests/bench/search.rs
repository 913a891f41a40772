//! Reads with a filter: what a page takes, whatever the share of hits; what the indexes weigh, and what they cost when
//! events are applied.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use command_service::queries::cursor::Cursor;
use jiff::Timestamp;
use serde_json::json;
use system_tests::{Client, Pair, client::Page, eventually};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{
    Arguments,
    contest::{Contest, Goal},
    figures::Times,
    latency::Latency,
    register::{fill, level, sample},
};

/// Places that the pages of a row begin at: from all over the register.
const PLACES: i64 = 300;

/// The most slots that are created while the consumer is stopped, for each side of each round.
const EVENTS_MAX: usize = 100_000;

/// How long they may take to be applied.
const APPLY_LIMIT: Duration = Duration::from_secs(300);

/// Searches that are sent and hung up at once.
const HUNG_UP: usize = 100;

const DROP: &str = "DROP INDEX parking_slots_status_order, parking_slots_name_trigrams";

/// Measures every row of searches.
///
/// # Errors
/// A request fails, or both databases do not hold the same.
pub(crate) async fn run(pair: &Pair, arguments: &Arguments) -> Result<(Contest, Vec<Latency>)> {
    let indexes = definitions(pair).await?;
    let (apply, created) = price(pair, arguments, &indexes).await?;
    fill(&pair.client(), created..arguments.slots, arguments.slots).await?;
    let content = level(pair).await?;
    println!("both databases hold {} slots, content {}", content.slots, content.hash);
    let sql = pair.replica.sql().await?;
    sql.batch_execute("VACUUM ANALYZE parking_slots").await?;
    for row in sql.query(SIZES, &[]).await? {
        println!("{:<30} {}", row.try_get::<_, &str>("name")?, row.try_get::<_, &str>("size")?);
    }
    let bench = Bench { client: pair.client(), places: sample(&pair.replica, PLACES).await? };
    let mut rows = Vec::new();
    rows.push(bench.row("status, no hit", "status=blocked", 0..=0, 5.0).await?);
    block(pair, content.slots / 100_000).await?;
    rows.push(bench.row("status, 0.001 % hits", "status=blocked", 0..=50, 5.0).await?);
    rows.push(bench.row("status, 1 % hits", "status=reserved", 0..=50, 5.0).await?);
    rows.push(bench.row("status, 50 % hits", "status=available", 0..=50, 5.0).await?);
    rows.push(bench.row("name, no hit", "name=nothing", 0..=0, 20.0).await?);
    rows.push(bench.row("name, 1 hit", &format!("name=bay+{:08}", created + 1), 0..=1, 20.0).await?);
    rows.push(bench.row("name, 1,000 hits", "name=needle", 0..=50, 20.0).await?);
    rows.push(bench.row("name, 50 % hits", "name=even", 0..=50, 20.0).await?);
    rows.push(
        bench.row("name and status, 1,000 and 1 %", "name=needle&status=reserved", 0..=50, 20.0).await?,
    );
    rows.push(bench.row("name and status, 50 % and 1 %", "name=odd&status=reserved", 0..=50, 20.0).await?);
    rows.push(bench.row("name and status, none of both", "name=even&status=reserved", 0..=0, 20.0).await?);
    rows.push(hang_up(pair).await?);
    Ok((apply, rows))
}

/// Name and size of the table and its indexes.
const SIZES: &str = "
    SELECT relname::text AS name, pg_size_pretty(pg_relation_size(oid)) AS size FROM pg_class
    WHERE oid = 'parking_slots'::regclass
       OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'parking_slots'::regclass)
    ORDER BY relname";

/// How to make the indexes of searches.
async fn definitions(pair: &Pair) -> Result<String> {
    let sql = "SELECT string_agg(indexdef, ';') FROM pg_indexes
               WHERE indexname IN ('parking_slots_status_order', 'parking_slots_name_trigrams')";
    Ok(pair.replica.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}

/// Events applied a second with the indexes and without; and how many slots there are then.
async fn price(pair: &Pair, arguments: &Arguments, indexes: &str) -> Result<(Contest, usize)> {
    let events = (arguments.slots / (4 * arguments.rounds as usize)).min(EVENTS_MAX);
    let created = std::cell::Cell::new(0);
    let apply = async |prepare: &str| -> Result<f64> {
        pair.replica.sql().await?.batch_execute(prepare).await?;
        pair.event_consumer().stop().await?;
        let (from, to) = (created.get(), created.get() + events);
        fill(&pair.client(), from..to, arguments.slots).await?;
        created.set(to);
        // Everything waits in the queue of the replica then.
        let outbox = "SELECT count(*) = 0 FROM outbox";
        eventually(APPLY_LIMIT, "all events are published", async || {
            let row = pair.primary.sql().await?.query_one(outbox, &[]).await?;
            ensure!(row.try_get::<_, bool>(0)?, "not yet");
            Ok(())
        })
        .await?;
        pair.event_consumer().start().await?;
        let began = Instant::now();
        let applied = "SELECT applied_through FROM replication_status";
        eventually(APPLY_LIMIT, "all events are applied", async || {
            let through: i64 = pair.replica.sql().await?.query_one(applied, &[]).await?.try_get(0)?;
            ensure!(usize::try_from(through)? >= to, "{through} of {to}");
            Ok(())
        })
        .await?;
        #[expect(clippy::cast_precision_loss, reason = "a round number")]
        Ok(events as f64 / began.elapsed().as_secs_f64())
    };
    let with_indexes = async || {
        let missing = indexes.replace("INDEX ", "INDEX IF NOT EXISTS ");
        apply(&missing).await
    };
    let without = async || apply(DROP).await;
    let what = ("events applied with both indexes", "without them", "/s");
    let contest = Contest::run(what, Goal::AtLeast(0.5), arguments.rounds, with_indexes, without).await?;
    pair.replica.sql().await?.batch_execute(indexes).await?;
    Ok((contest, created.get()))
}

/// Gives some slots a status that no other has.
async fn block(pair: &Pair, slots: i64) -> Result<()> {
    let client = pair.client();
    for (uuid, _) in sample(&pair.primary, slots.max(1)).await? {
        client.change(uuid, json!({ "status": "blocked" })).await?.expect(200)?;
    }
    level(pair).await?;
    Ok(())
}

struct Bench {
    client: Client,
    places: Vec<(Uuid, Timestamp)>,
}

impl Bench {
    /// Asks for a page of 50 behind each place, one after the other.
    async fn row(
        &self,
        name: &str,
        filter: &str,
        expected: std::ops::RangeInclusive<usize>,
        goal: f64,
    ) -> Result<Latency> {
        let mut times = Times::default();
        let mut found = 0;
        for (uuid, created_at) in &self.places {
            let place = Cursor { created_at: *created_at, uuid: *uuid }.encode();
            let began = Instant::now();
            let reply = self.client.list(&format!("?limit=50&{filter}&cursor={place}")).await?.expect(200)?;
            times.push(began.elapsed());
            let page: Page = serde_json::from_value(reply.body)?;
            ensure!(expected.contains(&page.items.len()), "{name}: {} slots", page.items.len());
            found += page.items.len();
        }
        ensure!(*expected.end() == 0 || found > 0, "{name}: no slot was found at any place");
        Ok(Latency::of(name, &mut times, goal))
    }
}

/// Sends slow searches, hangs them all up, and reads a page at once. Fails if a statement of theirs still runs a second
/// after that.
async fn hang_up(pair: &Pair) -> Result<Latency> {
    // Two letters that no name has: every slot is compared.
    let letters = "fghijkmpqr";
    let pairs = letters.chars().flat_map(|first| letters.chars().map(move |last| [first, last]));
    let searches = pairs.take(HUNG_UP).map(|pair_of_letters| {
        let (client, query) = (pair.client(), format!("?name={}", String::from_iter(pair_of_letters)));
        tokio::spawn(async move { timeout(Duration::from_millis(100), client.list(&query)).await })
    });
    for search in searches.collect::<Vec<_>>() {
        // Refused, answered, or hung up.
        let _ = search.await?;
    }
    let mut times = Times::default();
    let client = pair.client();
    let began = Instant::now();
    client.list("?limit=50").await?.expect(200)?;
    times.push(began.elapsed());
    sleep(Duration::from_secs(1).saturating_sub(began.elapsed())).await;
    let running = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'search' AND state = 'active'";
    let running: i64 = pair.replica.sql().await?.query_one(running, &[]).await?.try_get(0)?;
    println!("{HUNG_UP} searches hung up: {running} of their statements run a second later");
    Ok(Latency::of(&format!("plain page after {HUNG_UP} searches hung up"), &mut times, 100.0))
}
