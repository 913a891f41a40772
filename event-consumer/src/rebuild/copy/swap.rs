//! The swap: the new copy takes the replica's place, or everything stays as it is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    director::{Director, REPLACED},
    fault::StepError,
    look::Refuted,
};

/// How long applying may stop while the copy catches up with the replica. A read that waits for its caller's own
/// write waits that much longer.
const STANDSTILL_MAX: Duration = Duration::from_millis(500);

/// How often the swap compares the two during that time.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The first lock mode: reads and applying go on, but schema changes wait. It also cancels the server's autovacuum,
/// which could otherwise block the swap later and for long.
const KEEP_OTHERS_AWAY: &str = "SELECT set_config('parking.lock_mode', 'SHARE UPDATE EXCLUSIVE', true)";

/// Stops applying: every applying transaction locks the status row first, so it waits from here on. Reads go on. A
/// row lock does not suffice: a transaction that waits for it already has a table lock, which would block the swap.
const STOP_APPLYING: &str = "SET LOCAL lock_timeout = '2s';
    LOCK TABLE public.replication_status IN EXCLUSIVE MODE";

/// Stops applying to the copy in the same way.
const STOP_FILLING: &str = "LOCK TABLE rebuild.replication_status IN EXCLUSIVE MODE";

const LOCK: &str = include_str!("sql/lock.sql");
const GRANT: &str = include_str!("sql/grants.sql");
const MOVE: &str = include_str!("sql/move.sql");

/// Numbers the copy's dead letters after the replica's: operators name a dead letter by its number, and the two sets
/// may overlap.
pub(super) const RENUMBER_LETTERS: &str = "UPDATE rebuild.dead_letters SET id = DEFAULT";
const CONTINUE_NUMBERS: &str =
    "SELECT setval('rebuild.dead_letters_id_seq', last_value, is_called) FROM public.dead_letters_id_seq";

pub(super) const KEEP_LETTERS: &str = include_str!("sql/dead_letters.sql");

/// From here on reads wait: at most 150 ms for each lock and 400 ms for all. Both are shorter than the server's
/// deadlock timeout, so in a deadlock the swap gives way.
const STOP_READING: &str = "SET LOCAL lock_timeout = '150ms';
    SET LOCAL statement_timeout = '400ms';
    SELECT set_config('parking.lock_mode', 'ACCESS EXCLUSIVE', true)";

const GO_ON: &str = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s'";

/// Notifies listeners of the swap. Within one epoch `as_of` goes back only where the log has refuted it: the swap waits
/// until the copy is complete up to the replica's.
const NOTE: &str = "
    ALTER TABLE public.replication_status ENABLE TRIGGER push_status;
    UPDATE public.replication_status SET applied_at = clock_timestamp()";

/// The sessions that have locks on the replica's tables. Of sessions of other roles PostgreSQL shows only the name.
pub(super) const IN_THE_WAY: &str = "
    SELECT DISTINCT format('%s (pid %s)', coalesce(nullif(activity.application_name, ''), 'a session'), lock.pid) AS who
    FROM pg_locks AS lock
    JOIN pg_class AS relation ON relation.oid = lock.relation AND relation.relkind = 'r'
         AND relation.relnamespace = 'public'::regnamespace
    JOIN pg_class AS copy ON copy.relname = relation.relname AND copy.relnamespace = 'rebuild'::regnamespace
    JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    WHERE lock.granted AND lock.pid <> pg_backend_pid()
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1 LIMIT 5";

pub(super) const COUNT: &str = "
    SELECT applied_through, (SELECT coalesce(sum(slots), 0)::bigint FROM public.parking_slot_summary) AS slots,
           (SELECT count(*) FROM public.dead_letters) AS dead_letters
    FROM public.replication_status";

/// The result of one attempt to swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The copy has taken the replica's place.
    Done,
    /// The copy did not catch up while applying was stopped.
    NotLevel,
    /// The swap did not get its locks in time. Lists the sessions that had them, if they are known.
    InTheWay(Vec<String>),
    /// A person added something to the replica's tables, or a migration changed them.
    Changed,
}

/// What the replica contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapCounts {
    /// Every position up to this one is settled.
    pub applied_through: i64,
    /// How many slots there are.
    pub slots: i64,
    /// How many dead letters are open.
    pub dead_letters: i64,
}

impl Director {
    /// Tries to put the copy in the replica's place. The copy must have every position up to `goal`. Applying stops
    /// for at most one second, and reads wait for at most half a second.
    ///
    /// # Errors
    /// [`StepError`]. If the connection was lost, [`Director::has_swapped`] on a new connection tells the result.
    pub async fn swap(&self, goal: i64, refuted: Refuted) -> Result<Swap, StepError> {
        let tried = self.try_swap(goal, refuted).await;
        if matches!(tried, Ok(Swap::Done)) {
            return tried;
        }
        if self.is_lost() {
            return tried;
        }
        self.session.batch_execute("ROLLBACK").await?;
        match tried {
            Err(error) if self.may_succeed_later(&error) => Ok(Swap::InTheWay(self.in_the_way().await?)),
            tried => tried,
        }
    }

    async fn try_swap(&self, goal: i64, refuted: Refuted) -> Result<Swap, StepError> {
        let mark = self.mark();
        let begin = format!("CREATE SCHEMA {REPLACED}; COMMENT ON SCHEMA {REPLACED} IS '{mark}'");
        self.session.batch_execute(&["BEGIN", &begin, KEEP_OTHERS_AWAY, LOCK].join(";\n")).await?;
        self.must_be_migrated().await?;
        if !self.additions().await?.is_empty() {
            return Ok(Swap::Changed);
        }
        self.session.batch_execute(STOP_APPLYING).await?;
        let standstill_end = Instant::now() + STANDSTILL_MAX;
        while !self.look().await?.is_level(goal, refuted) {
            if Instant::now() > standstill_end {
                return Ok(Swap::NotLevel);
            }
            sleep(LOOK_INTERVAL).await;
        }
        // One message: reads that wait from here on depend on the server alone, even if this process is suspended.
        let rest = [
            STOP_FILLING,
            GRANT,
            CONTINUE_NUMBERS,
            RENUMBER_LETTERS,
            KEEP_LETTERS,
            STOP_READING,
            LOCK,
            GO_ON,
            MOVE,
            NOTE,
            "COMMIT",
        ];
        self.session.batch_execute(&rest.join(";\n")).await?;
        Ok(Swap::Done)
    }

    /// Counts what the replica contains after the swap.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn count(&self) -> Result<SwapCounts, StepError> {
        let row = self.session.query_one(COUNT, &[]).await?;
        Ok(SwapCounts {
            applied_through: row.try_get("applied_through")?,
            slots: row.try_get("slots")?,
            dead_letters: row.try_get("dead_letters")?,
        })
    }

    async fn in_the_way(&self) -> Result<Vec<String>, StepError> {
        let rows = self.session.query(IN_THE_WAY, &[]).await?;
        Ok(rows.iter().map(|row| row.try_get("who")).collect::<Result<_, _>>()?)
    }
}
