//! Reads over HTTP beside the same queries by pgbench on the same replica.

use std::time::Duration;

use anyhow::{Context, Result};
use command_service::queries::cursor::Cursor;
use jiff::Timestamp;
use stack::Role;
use system_tests::Pair;
use uuid::Uuid;

use crate::{
    Arguments,
    contest::{Contest, Goal},
    pgbench::{SCRIPTS_MAX, Scripts},
    register::{fill, level, sample},
    wrk::Load,
};

/// Connections of our load, and clients of pgbench.
const CONNECTIONS: usize = 64;
const CLIENTS: usize = 32;

/// Different places and slots that our load asks for.
const TARGETS: i64 = 10_000;

const COLUMNS: &str = "uuid, name, status, version, created_at, updated_at";

/// Measures every row of reads.
///
/// # Errors
/// A request fails, or both databases do not hold the same.
pub(crate) async fn run(pair: &Pair, arguments: &Arguments) -> Result<Vec<Contest>> {
    fill(&pair.client(), 0..arguments.slots, arguments.slots).await?;
    let content = level(pair).await?;
    println!("both databases hold {} slots, content {}", content.slots, content.hash);
    pair.replica.sql().await?.batch_execute("VACUUM ANALYZE parking_slots").await?;
    let targets = sample(&pair.replica, TARGETS).await?;
    let bench = Bench { pair, arguments, pages: page_script(&targets)?, targets };
    Ok(vec![
        bench.pages("page of 50, the first one", &Load::over(CONNECTIONS).get(FIRST_PAGE), 2.7).await?,
        bench.pages("page of 50, random places", &bench.random_pages(), 1.2).await?,
        bench.slots().await?,
        bench.summary().await?,
        bench.mix().await?,
        bench.tail("p99 of the first page", &Load::over(CONNECTIONS).get(FIRST_PAGE)).await?,
        bench.tail("p99 of random pages", &bench.random_pages()).await?,
    ])
}

const FIRST_PAGE: &str = "/parking-slots?limit=50";

struct Bench<'p> {
    pair: &'p Pair,
    arguments: &'p Arguments,
    targets: Vec<(Uuid, Timestamp)>,
    pages: String,
}

impl Bench<'_> {
    fn time(&self) -> Duration {
        Duration::from_secs(self.arguments.seconds)
    }

    fn random_pages(&self) -> Load {
        let places =
            self.targets.iter().map(|(uuid, created_at)| Cursor { created_at: *created_at, uuid: *uuid });
        Load::over(CONNECTIONS).gets(places.map(|place| format!("{FIRST_PAGE}&cursor={}", place.encode())))
    }

    async fn ours(&self, load: &Load) -> Result<f64> {
        Ok(load.run(self.pair, self.time()).await?.per_sec)
    }

    async fn theirs(&self, scripts: &Scripts) -> Result<f64> {
        scripts.run(&self.pair.replica, Role::CommandServiceReader, self.time()).await
    }

    async fn pages(&self, name: &str, load: &Load, goal: f64) -> Result<Contest> {
        let scripts = Scripts::over(CLIENTS).and(self.pages.as_str(), 1);
        let what = (name, "pgbench, a page from random places", "/s");
        let (ours, theirs) = (async || self.ours(load).await, async || self.theirs(&scripts).await);
        Contest::run(what, Goal::AtLeast(goal), self.arguments.rounds, ours, theirs).await
    }

    async fn slots(&self) -> Result<Contest> {
        let paths = self.targets.iter().map(|(uuid, _)| format!("/parking-slots/{uuid}"));
        let load = Load::over(CONNECTIONS).gets(paths);
        let scripts = self.slot_scripts(Scripts::over(CLIENTS), "parking_slots", 1);
        let what = ("one slot", "pgbench, SELECT by key", "/s");
        let (ours, theirs) = (async || self.ours(&load).await, async || self.theirs(&scripts).await);
        Contest::run(what, Goal::AtLeast(1.0), self.arguments.rounds, ours, theirs).await
    }

    fn slot_scripts(&self, scripts: Scripts, table: &str, weight: usize) -> Scripts {
        self.targets.iter().take(SCRIPTS_MAX - 10).fold(scripts, |scripts, (uuid, _)| {
            scripts.and(format!("SELECT {COLUMNS} FROM {table} WHERE uuid = '{uuid}';\n"), weight)
        })
    }

    /// The goal is 60,000 a second where `/health` reaches 124,000.
    async fn summary(&self) -> Result<Contest> {
        let summary = Load::over(CONNECTIONS).get("/parking-slots/summary");
        let health = Load::over(CONNECTIONS).get("/health");
        let what = ("summary", "/health of the same process", "/s");
        let (ours, theirs) = (async || self.ours(&summary).await, async || self.ours(&health).await);
        Contest::run(what, Goal::AtLeast(60.0 / 124.0), self.arguments.rounds, ours, theirs).await
    }

    /// Of 100 requests, 40 are pages, 40 single slots, 15 the summary and 5 creates. The peer does the same on one
    /// database, without a log, a replica or receipts.
    async fn mix(&self) -> Result<Contest> {
        let slots = self.targets.iter().take(40).map(|(uuid, _)| format!("/parking-slots/{uuid}"));
        let pages = self.targets.iter().take(40).map(|(uuid, created_at)| {
            let place = Cursor { created_at: *created_at, uuid: *uuid };
            format!("{FIRST_PAGE}&cursor={}", place.encode())
        });
        let summaries = std::iter::repeat_n("/parking-slots/summary".to_owned(), 15);
        let mut load = Load::over(CONNECTIONS).gets(slots).gets(pages).gets(summaries);
        for _ in 0..5 {
            load = load.command("POST", "/parking-slots", r#"{"name":"Bay of the mix"}"#);
        }
        self.pair.replica.sql().await?.batch_execute(PEER).await?;
        let scripts = self
            .slot_scripts(Scripts::over(CLIENTS), "bench.slots", 4)
            .and(self.pages.replace("parking_slots", "bench.slots"), 360)
            .and("SELECT status, slots FROM parking_slot_summary;\n", 135)
            .and(INSERT, 45);
        let theirs = async || scripts.run(&self.pair.replica, Role::Superuser, self.time()).await;
        let what = ("95 % reads, 5 % creates", "pgbench, the same mix on one database", "/s");
        let ours = async || self.ours(&load).await;
        let contest = Contest::run(what, Goal::AtLeast(2.0), self.arguments.rounds, ours, theirs).await?;
        self.pair.replica.sql().await?.batch_execute("DROP SCHEMA bench CASCADE").await?;
        level(self.pair).await?;
        Ok(contest)
    }

    async fn tail(&self, name: &str, load: &Load) -> Result<Contest> {
        let last = std::cell::Cell::new(f64::NAN);
        let ours = async || {
            let answers = load.run(self.pair, self.time()).await?;
            last.set(answers.p50);
            Ok(answers.p99)
        };
        let theirs = async || Ok(last.get());
        let what = (name, "its p50", "ms");
        Contest::run(what, Goal::AtMost(5.0), self.arguments.rounds, ours, theirs).await
    }
}

/// The tables that the peer of the mix writes, beside the replica's.
const PEER: &str = "
    CREATE SCHEMA bench;
    CREATE TABLE bench.slots (LIKE parking_slots INCLUDING ALL);
    ALTER TABLE bench.slots DROP COLUMN document;
    INSERT INTO bench.slots SELECT uuid, version, created_at, updated_at, status, name FROM parking_slots;
    CREATE TABLE bench.outbox (position bigserial PRIMARY KEY, slot uuid NOT NULL, name text NOT NULL, at timestamptz NOT NULL);
    ANALYZE bench.slots";

const INSERT: &str = "\
WITH slot AS (INSERT INTO bench.slots (uuid, version, created_at, updated_at, status, name) \
VALUES (gen_random_uuid(), 1, clock_timestamp(), clock_timestamp(), 'available', 'Bay of the mix') \
RETURNING uuid, name, created_at) \
INSERT INTO bench.outbox (slot, name, at) SELECT uuid, name, created_at FROM slot;\n";

/// The page as our own list asks for it, from a random moment in the life of the register.
fn page_script(targets: &[(Uuid, Timestamp)]) -> Result<String> {
    let moments = targets.iter().map(|(_, created_at)| created_at.as_microsecond());
    let (first, last) = (moments.clone().min().context("no slots")?, moments.max().context("no slots")?);
    Ok(format!(
        "\\set micros random({first}, {last})\n\
         SELECT {COLUMNS} FROM parking_slots \
         WHERE (created_at, uuid) > (timestamptz 'epoch' + :micros * interval '1 microsecond', \
         '00000000-0000-0000-0000-000000000000'::uuid) ORDER BY created_at, uuid LIMIT 50;\n"
    ))
}
