//! Idempotency keys: reserved while a batch runs, kept with what the batch commits.
//!
//! A reservation is an advisory lock, because the batch can try one without waiting. The batch skips a key that another
//! transaction has reserved, and goes on with the rest. Inserting the key first would wait for that transaction.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use shared::{
    position::Position,
    slot::{Command, Slot, Version},
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    commands::{Commands, IdempotencyKey, Outcome, Submission},
    register::{receipt::WriteReceipt, record::SlotRecord},
};

/// The most keys that one batch reserves. The bound keeps a few processes from filling the primary's lock table.
/// Commands with further keys wait for the next batch.
pub const RESERVATIONS_MAX: usize = 512;

/// Reserves the keys that no running transaction has reserved.
pub(super) const RESERVE_FREE_KEYS: &str = "
    SELECT number, pg_try_advisory_xact_lock(class, object) AS reserved
    FROM unnest($1::integer[], $2::integer[]) WITH ORDINALITY AS reservation (class, object, number)";

/// Reserves the keys; waits for transactions that have reserved them.
pub(super) const RESERVE_KEYS: &str = "
    SELECT pg_advisory_xact_lock(class, object) FROM unnest($1::integer[], $2::integer[]) AS reservation (class, object)";

/// What is kept of these keys, with the events of each key whose fingerprint matches. The statement runs after the
/// reservation, on its own. Inside the reservation, its snapshot could predate the commit of the previous reserver.
///
/// It joins row by row, with limits that are never reached. Otherwise a plan made while the tables were empty could
/// scan them whole once they are full.
pub(super) const KEPT_KEYS: &str = include_str!("sql/kept_keys.sql");

/// Keeps keys with the positions of their outcomes: a position from before the batch, or numbers of events within it.
/// The batch has $6 events and is the end of the log.
pub(super) const KEEP_KEYS: &str = "
    INSERT INTO idempotency_keys (key, fingerprint, first_position, last_position, kept_at)
    SELECT kept.key, kept.fingerprint, coalesce(kept.standing, log.before_batch + kept.first),
           coalesce(kept.standing, log.before_batch + kept.last), clock_timestamp()
    FROM (SELECT max(position) - $6::bigint AS before_batch FROM parking_slot_events) AS log,
         unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[])
         AS kept (key, fingerprint, standing, first, last)";

/// Violated when another batch kept the same key without reserving it.
pub(super) const KEYS_CONSTRAINT: &str = "idempotency_keys_pkey";

/// The advisory lock that reserves a key: 64 bits in the space of paired numbers, which no other lock uses.
#[must_use]
pub fn reservation_of(key: &str) -> (i32, i32) {
    let hash: [u8; 32] = Sha256::digest(key).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    (i32::from_be_bytes([a, b, c, d]), i32::from_be_bytes([e, f, g, h]))
}

/// Reservations as columns. Those that wait are sorted, so that every transaction takes them in the same order.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    pub(super) classes: Vec<i32>,
    pub(super) objects: Vec<i32>,
}

impl Reservations {
    pub(super) fn of(keys: &[DraftKey]) -> Self {
        let mut reservations: Vec<(i32, i32)> =
            keys.iter().map(|kept| reservation_of(&kept.key.name)).collect();
        reservations.sort_unstable();
        let (classes, objects) = reservations.into_iter().unzip();
        Self { classes, objects }
    }
}

/// The keys that a batch of commands carries: each once, at most [`RESERVATIONS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    keys: Vec<&'a str>,
    pub(super) reservations: Reservations,
    /// Each key, once for each fingerprint that came with it.
    pub(super) names: Vec<&'a str>,
    pub(super) fingerprints: Vec<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(submissions: &[&'a Submission]) -> Self {
        let mut wanted = Self::default();
        let mut keys = HashSet::new();
        let mut pairs = HashSet::new();
        for key in submissions.iter().filter_map(|submission| submission.key.as_ref()) {
            let name = key.name.as_str();
            if !keys.contains(name) {
                if keys.len() == RESERVATIONS_MAX {
                    continue;
                }
                keys.insert(name);
                wanted.keys.push(name);
                let (class, object) = reservation_of(name);
                wanted.reservations.classes.push(class);
                wanted.reservations.objects.push(object);
            }
            if pairs.insert(key) {
                wanted.names.push(name);
                wanted.fingerprints.push(&key.fingerprint);
            }
        }
        wanted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reads the primary's answers to the reservation and to [`KEPT_KEYS`].
    pub(super) fn found(&self, reserved: &[Row], kept: &[Row]) -> Result<Keys, tokio_postgres::Error> {
        let mut found = HashMap::new();
        for row in reserved {
            let number = usize::try_from(row.try_get::<_, i64>("number")?).unwrap_or_default();
            let standing = if row.try_get("reserved")? { KeyState::Free } else { KeyState::InUse };
            if let Some(key) = number.checked_sub(1).and_then(|index| self.keys.get(index)) {
                found.insert((*key).to_owned(), standing);
            }
        }
        // A kept outcome is final, even if another transaction has reserved the key: that one finds it kept too.
        for row in kept {
            let standing = found.entry(row.try_get("key")?).or_insert(KeyState::InUse);
            if !matches!(standing, KeyState::Kept(_)) {
                *standing = KeyState::Kept(Kept::read(row)?);
            }
            if let (KeyState::Kept(kept), Some(event)) = (standing, KeptEvent::read(row)?) {
                kept.events.push(event);
            }
        }
        Ok(Keys(found))
    }
}

/// The states of a batch's keys. The batch did not try an absent key.
#[derive(Debug, Default)]
pub struct Keys(HashMap<String, KeyState>);

impl Keys {
    pub(super) fn standing(&self, key: &IdempotencyKey) -> Option<&KeyState> {
        self.0.get(&key.name)
    }
}

/// The state of a key.
#[derive(Debug)]
pub(super) enum KeyState {
    /// A request with this key was carried out.
    Kept(Kept),
    /// Another transaction has reserved it.
    InUse,
    /// This batch has reserved it, and nothing is kept of it.
    Free,
}

/// What is kept of a key.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) fingerprint: Vec<u8>,
    receipt: WriteReceipt,
    events: Vec<KeptEvent>,
}

#[derive(Debug)]
enum KeptEvent {
    Slot(SlotRecord),
    Deleted(Version),
}

impl Kept {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let (first, last) = (row.try_get("first_position")?, row.try_get("last_position")?);
        let receipt = WriteReceipt { epoch: row.try_get("epoch")?, first, last };
        Ok(Self { fingerprint: row.try_get("fingerprint")?, receipt, events: Vec::new() })
    }

    /// The outcome of `request`, with the slots as they were then. `request` must be the one that was carried out.
    /// `None` if the log does not contain the outcome.
    pub(super) fn outcome(&self, request: &Commands) -> Option<Outcome> {
        let receipt = self.receipt;
        let record = |event: &KeptEvent| match event {
            KeptEvent::Slot(record) => Some(record.clone()),
            KeptEvent::Deleted(_) => None,
        };
        match (request, self.events.as_slice()) {
            (Commands::CreateAll(creates), events) if events.len() == creates.len() => {
                let records = events.iter().map(record).collect::<Option<_>>()?;
                Some(Outcome::AllCreated { records, receipt })
            }
            (Commands::One(_), [KeptEvent::Deleted(version)]) => {
                Some(Outcome::Deleted { version: *version, receipt })
            }
            (Commands::One(Command::Create(_)), [event]) => {
                Some(Outcome::Created { record: record(event)?, receipt })
            }
            (Commands::One(_), [event]) => Some(Outcome::Updated { record: record(event)?, receipt }),
            _ => None,
        }
    }
}

impl KeptEvent {
    fn read(row: &Row) -> Result<Option<Self>, tokio_postgres::Error> {
        let Some(uuid) = row.try_get::<_, Option<Uuid>>("slot_uuid")? else {
            return Ok(None);
        };
        let version = row.try_get("version")?;
        let (Some(name), Some(status)) = (row.try_get("name")?, row.try_get("status")?) else {
            return Ok(Some(Self::Deleted(version)));
        };
        let slot = Slot { uuid, name, status, version };
        let (created_at, updated_at) = (row.try_get("created_at")?, row.try_get("committed_at")?);
        Ok(Some(Self::Slot(SlotRecord { slot, created_at, updated_at })))
    }
}

/// A key to keep.
#[derive(Clone, Debug)]
pub struct DraftKey {
    /// The key, with the fingerprint of its request.
    pub key: IdempotencyKey,
    /// Where the outcome of its request is.
    pub at: KeptAt,
}

/// Where the outcome of a request with a key is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptAt {
    /// Before the batch: the request found this version, and had nothing to change.
    Standing(Position),
    /// In the batch itself.
    Events {
        /// The number of the first event, from 0.
        first: usize,
        /// How many events there are.
        events: usize,
    },
}

/// The keys to keep with a batch, as the columns that [`KEEP_KEYS`] takes.
#[derive(Default)]
pub(super) struct KeyColumns<'d> {
    names: Vec<&'d str>,
    fingerprints: Vec<&'d [u8]>,
    standing: Vec<Option<i64>>,
    first: Vec<Option<i64>>,
    last: Vec<Option<i64>>,
    events: i64,
}

impl<'d> KeyColumns<'d> {
    pub(super) fn of(keys: &'d [DraftKey], events: usize) -> Self {
        let mut columns = Self { events: count(events), ..Self::default() };
        for DraftKey { key, at } in keys {
            columns.names.push(&key.name);
            columns.fingerprints.push(&key.fingerprint);
            let (standing, numbers) = match at {
                KeptAt::Standing(position) => (Some(Position::get(*position)), None),
                // The batch's first event is one position after the log's previous end.
                KeptAt::Events { first, events } => (None, Some((count(first + 1), count(first + events)))),
            };
            columns.standing.push(standing);
            columns.first.push(numbers.map(|(first, _)| first));
            columns.last.push(numbers.map(|(_, last)| last));
        }
        columns
    }

    pub(super) fn params(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 6] {
        [&self.names, &self.fingerprints, &self.standing, &self.first, &self.last, &self.events]
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
