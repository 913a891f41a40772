//! How far the replica is, read from both databases, in one sentence.

use super::{Part, Stack};

/// The replica that this stack has.
const REPLICA_NAME: &str = "main";

/// What one database says, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side<T> {
    /// Not running, or not answering.
    Away,
    /// Its tables are not there yet.
    NotMigrated,
    /// What it says.
    Here(T),
}

/// The write side: its log, and what of it is still to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) last_position: u64,
    pub(crate) waiting: u64,
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

/// Both sides at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) written: Side<Written>,
    pub(crate) applied: Side<Applied>,
}

impl Stack {
    /// Asks the replica first: what it has applied is then never more than what the primary says it wrote.
    pub(crate) fn progress(&self) -> Progress {
        let applied = self.ask(Part::Replica, APPLIED, |row| {
            let [through, as_of, dead_letters] = row else {
                return None;
            };
            let as_of = (!as_of.is_empty()).then(|| (*as_of).to_owned());
            Some(Applied {
                applied_through: through.parse().ok()?,
                as_of,
                dead_letters: dead_letters.parse().ok()?,
            })
        });
        let through = if let Side::Here(applied) = &applied { applied.applied_through } else { 0 };
        let written = self.ask(Part::Primary, &WRITTEN.replace("$1", &through.to_string()), |row| {
            let [last_position, waiting, behind_ms] = row else {
                return None;
            };
            let waiting = waiting.parse().ok()?;
            Some(Written {
                last_position: last_position.parse().ok()?,
                waiting,
                behind_ms: behind_ms.parse().ok()?,
            })
        });
        Progress { written, applied }
    }

    fn ask<T>(&self, part: Part, sql: &str, read: impl Fn(&[&str]) -> Option<T>) -> Side<T> {
        let Ok(server) = self.postgres(part) else {
            return Side::Away;
        };
        if !server.is_ready() {
            return Side::Away;
        }
        let (role, database) = Self::owner(part);
        match server.execute_as(role, database, sql) {
            Ok(text) if text.is_empty() => Side::NotMigrated,
            Ok(text) => read(&text.split('|').collect::<Vec<_>>()).map_or(Side::Away, Side::Here),
            Err(_) => Side::Away,
        }
    }
}

/// No row where the tables are not there yet: asked beforehand, since a failing query would stand in the log.
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

impl Progress {
    /// The sentence with which `status` ends.
    pub(crate) fn sentence(&self) -> String {
        let replica = match (&self.applied, &self.written) {
            (Side::Away, _) => format!("replica {REPLICA_NAME}: down"),
            (Side::NotMigrated, _) => format!("replica {REPLICA_NAME}: not migrated"),
            (Side::Here(applied), Side::Here(written)) => format!(
                "replica {REPLICA_NAME}: {} of {}, {} ms behind",
                grouped(applied.applied_through),
                grouped(written.last_position),
                grouped(written.behind_ms)
            ),
            (Side::Here(applied), _) => {
                format!("replica {REPLICA_NAME}: {} applied", grouped(applied.applied_through))
            }
        };
        let waiting = match &self.written {
            Side::Away => "primary: down".to_owned(),
            Side::NotMigrated => "primary: not migrated".to_owned(),
            Side::Here(written) if written.waiting == 0 => "nothing waiting".to_owned(),
            Side::Here(written) => format!("{} waiting", grouped(written.waiting)),
        };
        let dead_letters = match &self.applied {
            Side::Here(Applied { dead_letters: 0, .. }) => "no dead letters".to_owned(),
            Side::Here(Applied { dead_letters: 1, .. }) => "1 dead letter".to_owned(),
            Side::Here(applied) => format!("{} dead letters", grouped(applied.dead_letters)),
            _ => "dead letters unknown".to_owned(),
        };
        format!("{replica}; {waiting}; {dead_letters}")
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(last_position: u64, waiting: u64, behind_ms: u64) -> Side<Written> {
        Side::Here(Written { last_position, waiting, behind_ms })
    }

    fn applied(applied_through: u64, dead_letters: u64) -> Side<Applied> {
        Side::Here(Applied { applied_through, as_of: None, dead_letters })
    }

    #[test]
    fn the_sentence_says_how_far_the_replica_is() {
        for (written, applied, sentence) in [
            (
                written(1042, 0, 3),
                applied(1042, 0),
                "replica main: 1,042 of 1,042, 3 ms behind; nothing waiting; no dead letters",
            ),
            (
                written(1_234_567, 1000, 12_345),
                applied(999, 1),
                "replica main: 999 of 1,234,567, 12,345 ms behind; 1,000 waiting; 1 dead letter",
            ),
            (Side::Away, applied(7, 2), "replica main: 7 applied; primary: down; 2 dead letters"),
            (written(7, 0, 0), Side::Away, "replica main: down; nothing waiting; dead letters unknown"),
            (
                Side::NotMigrated,
                Side::NotMigrated,
                "replica main: not migrated; primary: not migrated; dead letters unknown",
            ),
        ] {
            assert_eq!(Progress { written, applied }.sentence(), sentence);
        }
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        let written: Vec<String> = [0, 999, 1000, 1_000_000].into_iter().map(grouped).collect();

        assert_eq!(written, ["0", "999", "1,000", "1,000,000"]);
    }
}
