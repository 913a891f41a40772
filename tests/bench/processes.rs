//! What processes and servers have used.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use system_tests::{Pair, database::Database, service::Service};
use tokio::time::sleep;

/// Clock ticks a second in `/proc`: fixed at 100 on Linux, whatever the kernel's own clock.
const TICKS_PER_SEC: f64 = 100.0;

/// User and system time of a service's process so far, in seconds.
fn cpu_secs(service: &Service) -> Result<f64> {
    let pid = service.pid().with_context(|| format!("{} does not run", service.name()))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in brackets, may hold blanks; utime and stime are the 12th and 13th fields behind it.
    let fields: Vec<&str> =
        stat.rsplit_once(") ").context("not a line of stat")?.1.split_ascii_whitespace().collect();
    let ticks =
        |field: usize| -> Result<f64> { Ok(fields.get(field).context("a short line of stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SEC)
}

/// How often the server has flushed its write-ahead log to disk.
async fn flushes(database: &Database) -> Result<i64> {
    Ok(database.sql().await?.query_one("SELECT wal_sync FROM pg_stat_wal", &[]).await?.try_get(0)?)
}

/// How many connections a service has to a database.
pub(crate) async fn connections(database: &Database) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
    Ok(database.sql().await?.query_one(sql, &[]).await?.try_get(0)?)
}

/// What a stretch of time cost, per second of it.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) command_service_cores: f64,
    pub(crate) event_consumer_cores: Option<f64>,
    pub(crate) primary_flushes: f64,
    pub(crate) replica_flushes: f64,
}

/// Measures what a stretch of time costs. A consumer that does not run costs nothing.
pub(crate) async fn cost_of(pair: &Pair, stretch: Duration) -> Result<Cost> {
    let consumer = Some(pair.event_consumer()).filter(|consumer| consumer.pid().is_some());
    let read = async || -> Result<(f64, Option<f64>, i64, i64)> {
        Ok((
            cpu_secs(pair.command_service())?,
            consumer.map(cpu_secs).transpose()?,
            flushes(&pair.primary).await?,
            flushes(&pair.replica).await?,
        ))
    };
    let before = read().await?;
    sleep(stretch).await;
    let after = read().await?;
    let secs = stretch.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few flushes")]
    let per_sec = |before: i64, after: i64| (after - before) as f64 / secs;
    Ok(Cost {
        command_service_cores: (after.0 - before.0) / secs,
        event_consumer_cores: after.1.zip(before.1).map(|(after, before)| (after - before) / secs),
        primary_flushes: per_sec(before.2, after.2),
        replica_flushes: per_sec(before.3, after.3),
    })
}
