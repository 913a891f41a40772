//! How far a replica is: what both databases and the broker say about it.

use std::time::Duration;

use serde::Deserialize;
use stack::http::{self, Answer};

use super::{Part, Stack};

/// The management API answers within milliseconds unless the broker is in trouble.
const BROKER_LIMIT: Duration = Duration::from_secs(2);

/// What one server says, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side<T> {
    /// It does not run, or does not answer.
    Down,
    /// Its tables are not there yet.
    NotMigrated,
    /// What it says.
    Here(T),
}

/// The write side: its log, and how much of it the relay has still to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) last_position: u64,
    /// Events that the broker has not confirmed.
    pub(crate) at_relay: u64,
    /// Age of the first event that the replica has not applied.
    pub(crate) behind_ms: u64,
}

/// The read side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) applied_through: u64,
    pub(crate) as_of: Option<String>,
    pub(crate) dead_letters: u64,
}

/// All of it, asked within a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The name of the replica.
    pub(crate) replica: String,
    pub(crate) written: Side<Written>,
    pub(crate) applied: Side<Applied>,
    /// Messages in the replica's queue, those included that the consumer holds unacknowledged. The broker counts
    /// them every five seconds.
    pub(crate) at_broker: Side<u64>,
    pub(crate) consumer_runs: bool,
}

impl Stack {
    /// Asks the replica before the primary: what it has applied is then never more than what was written.
    pub(crate) fn progress(&self, replica: Part) -> Progress {
        let name = replica.replica_name().unwrap_or_default();
        let applied = self.ask(replica, APPLIED, read_applied);
        let through = if let Side::Here(applied) = &applied { applied.applied_through } else { 0 };
        let written = self.ask(Part::Primary, &WRITTEN.replace("$1", &through.to_string()), read_written);
        let consumer_runs = replica.migrated_by().is_some_and(|consumer| self.is_running(consumer));
        Progress { written, applied, at_broker: self.messages_in_queue(&name), consumer_runs, replica: name }
    }

    fn ask<T>(&self, part: Part, sql: &str, read: impl Fn(&[&str]) -> Option<T>) -> Side<T> {
        let Ok(server) = self.postgres(part) else {
            return Side::Down;
        };
        if !server.is_ready() {
            return Side::Down;
        }
        let (role, database) = Self::owner(part);
        match server.execute_as(role, database, sql) {
            Ok(text) if text.is_empty() => Side::NotMigrated,
            Ok(text) => read(&text.split('|').collect::<Vec<_>>()).map_or(Side::Down, Side::Here),
            Err(_) => Side::Down,
        }
    }

    fn messages_in_queue(&self, replica: &str) -> Side<u64> {
        let Some(broker) = self.rabbitmq().ok().filter(|broker| broker.is_running()) else {
            return Side::Down;
        };
        let url = format!(
            "{}api/queues/%2f/parking.replica.{replica}?columns=messages_ready,messages_unacknowledged",
            broker.management_url()
        );
        match http::get(&url, BROKER_LIMIT) {
            Some(Answer { status: 200, body, .. }) => read_queue(&body).map_or(Side::Down, Side::Here),
            // The consumer has never been there.
            Some(Answer { status: 404, .. }) => Side::Here(0),
            _ => Side::Down,
        }
    }
}

/// No row where the tables are not there yet. This is asked first, since a failing query would stand in the log.
const APPLIED: &str = "\
SET statement_timeout = '5s';
SELECT to_regclass('replication_status') IS NOT NULL AND to_regclass('dead_letters') IS NOT NULL AS migrated \\gset
\\if :migrated
SELECT coalesce(applied_through, 0),
       to_char(as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
       (SELECT count(*) FROM dead_letters)
FROM replication_status;
\\endif
";

/// `$1` is the last position that the replica has applied.
const WRITTEN: &str = "\
SET statement_timeout = '5s';
SELECT to_regclass('parking_slot_events') IS NOT NULL AND to_regclass('outbox') IS NOT NULL AS migrated \\gset
\\if :migrated
SELECT coalesce((SELECT max(position) FROM parking_slot_events), 0),
       (SELECT count(*) FROM outbox),
       coalesce((SELECT greatest(0, ceil(1000 * extract(epoch FROM clock_timestamp() - committed_at)))::int8
                 FROM parking_slot_events WHERE position > $1 ORDER BY position LIMIT 1), 0);
\\endif
";

fn read_applied(row: &[&str]) -> Option<Applied> {
    let [applied_through, as_of, dead_letters] = row else {
        return None;
    };
    Some(Applied {
        applied_through: applied_through.parse().ok()?,
        as_of: (!as_of.is_empty()).then(|| (*as_of).to_owned()),
        dead_letters: dead_letters.parse().ok()?,
    })
}

fn read_written(row: &[&str]) -> Option<Written> {
    let [last_position, at_relay, behind_ms] = row else {
        return None;
    };
    Some(Written {
        last_position: last_position.parse().ok()?,
        at_relay: at_relay.parse().ok()?,
        behind_ms: behind_ms.parse().ok()?,
    })
}

/// A queue that was declared a moment ago has no counts yet.
#[derive(Deserialize)]
struct Queue {
    #[serde(default)]
    messages_ready: u64,
    #[serde(default)]
    messages_unacknowledged: u64,
}

fn read_queue(body: &str) -> Option<u64> {
    let queue: Queue = serde_json::from_str(body).ok()?;
    Some(queue.messages_ready + queue.messages_unacknowledged)
}
