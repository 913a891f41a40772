//! The step: the new copy takes the replica's place, or everything stays as it is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    director::{Director, REPLACED},
    fault::StepError,
};

/// How long the replica may stand still while the copy comes level with it. Who waits for a write of his own waits that
/// much longer.
const STANDSTILL_MAX: Duration = Duration::from_millis(500);

/// How often the two are compared meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// In this mode the locks hold up neither reads nor what is applied, but keep away who would change the tables' form, and
/// send away the server's own housekeeping, which would be in the way later and for long.
const KEEP_OTHERS_AWAY: &str = "SELECT set_config('parking.lock_mode', 'SHARE UPDATE EXCLUSIVE', true)";

/// Who applies locks the row first, and so waits from here on; who reads does not. A lock of the row itself would not do:
/// who waits for that has a lock of the table already, which the swap would have to wait for.
const STOP_APPLYING: &str = "SET LOCAL lock_timeout = '2s';
    LOCK TABLE public.replication_status IN EXCLUSIVE MODE";

/// The same for the copy.
const STOP_FILLING: &str = "LOCK TABLE rebuild.replication_status IN EXCLUSIVE MODE";

const LOCK: &str = include_str!("sql/lock.sql");
const GRANT: &str = include_str!("sql/grants.sql");
const MOVE: &str = include_str!("sql/move.sql");

/// A letter's number is its name, and those of the two may be the same: the copy's begin behind the replica's.
pub(super) const RENUMBER_LETTERS: &str = "UPDATE rebuild.dead_letters SET id = DEFAULT";
const CONTINUE_NUMBERS: &str =
    "SELECT setval('rebuild.dead_letters_id_seq', last_value, is_called) FROM public.dead_letters_id_seq";

pub(super) const KEEP_LETTERS: &str = include_str!("sql/dead_letters.sql");

/// Here reads wait. No longer than this in all, and less than it takes the server to look for a deadlock: it must be us
/// who give way.
const STOP_READING: &str = "SET LOCAL lock_timeout = '150ms';
    SET LOCAL statement_timeout = '400ms';
    SELECT set_config('parking.lock_mode', 'ACCESS EXCLUSIVE', true)";

const GO_ON: &str = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s'";

/// The swap is pushed to who listens. What the replica has once been complete as of, the copy is too: it holds all of it.
const NOTE: &str = "
    ALTER TABLE public.replication_status ENABLE TRIGGER push_status;
    UPDATE public.replication_status AS status
    SET applied_at = clock_timestamp(),
        as_of = greatest(as_of, (SELECT old.as_of FROM replaced.replication_status AS old WHERE old.epoch = status.epoch))";

/// Who holds locks of our tables. Of others' sessions only the name shows.
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

/// What a try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The copy has taken the replica's place.
    Done,
    /// The copy did not come level while the replica stood still.
    NotLevel,
    /// Locks were not to be had. Who is in the way, as far as can be said.
    InTheWay(Vec<String>),
    /// Something was added to the replica's tables, or they were migrated.
    Changed,
}

/// What the replica holds.
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
    /// Tries to put the copy in the replica's place. `goal` is the position up to which the copy must have everything.
    /// The replica stands still for a second at most, and reads wait for half of one at most.
    ///
    /// # Errors
    /// [`StepError`]. If the connection was lost, [`Director::has_swapped`] says on the next one what became of it.
    pub async fn swap(&self, goal: i64) -> Result<Swap, StepError> {
        let tried = self.try_swap(goal).await;
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

    async fn try_swap(&self, goal: i64) -> Result<Swap, StepError> {
        let mark = self.mark();
        let begin = format!("CREATE SCHEMA {REPLACED}; COMMENT ON SCHEMA {REPLACED} IS '{mark}'");
        self.session.batch_execute(&["BEGIN", &begin, KEEP_OTHERS_AWAY, LOCK].join(";\n")).await?;
        self.must_be_migrated().await?;
        if !self.additions().await?.is_empty() {
            return Ok(Swap::Changed);
        }
        self.session.batch_execute(STOP_APPLYING).await?;
        let standstill_end = Instant::now() + STANDSTILL_MAX;
        while !self.look().await?.is_level(goal) {
            if Instant::now() > standstill_end {
                return Ok(Swap::NotLevel);
            }
            sleep(LOOK_INTERVAL).await;
        }
        // From here on nobody waits for this process, which may be made to stand still: it is one message.
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

    /// What the replica holds after the swap.
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
