//! An import that is cut off: it says how many rows are in, and goes on from there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use stack::{
    Role,
    process::{Process, Signal},
};
use system_tests::{
    Pair, RECOVERY, eventually,
    program::{Run, Running},
    proxy::{
        Protocol, Proxy,
        frames::Frame,
        rules::{Fate, Rule, SwallowCommitReply},
    },
    with_pair,
};
use tokio_util::sync::CancellationToken;

use super::{export, import, log_length, rows};
use crate::commit::waiting_for_commit_lock;

const ROWS: usize = 4500;
const ROWS_IN_A_TRANSACTION: i64 = 1000;

/// Transactions that are committed before the cut.
const COMMITS: usize = 2;

/// From some COMMIT on loses every one on its way to the primary, each with its connection: nothing more is committed,
/// and its client cannot know.
#[derive(Debug, Default)]
struct LoseCommits {
    committed: AtomicUsize,
    reached: CancellationToken,
}

impl Rule for LoseCommits {
    fn judge(&self, frame: &Frame<'_>) -> Fate {
        if frame.is_completion_of("COMMIT") {
            self.committed.fetch_add(1, Ordering::AcqRel);
        }
        if !frame.is_simple_query("COMMIT") || self.committed.load(Ordering::Acquire) < COMMITS {
            return Fate::Pass;
        }
        self.reached.cancel();
        Fate::SwallowAndReset
    }
}

/// An import on a link of its own: what the services say to the primary is not lost, and does not count.
struct Import {
    running: Running,
    link: Proxy,
}

impl Import {
    /// Starts an import of the file and returns when its commits begin to be lost.
    async fn until_lost(pair: &Pair, file: &str) -> Result<Self> {
        let link = Proxy::start(Protocol::Postgres, pair.primary.server.port())?;
        let rule = Arc::new(LoseCommits::default());
        link.set_rule(Some(rule.clone()));
        let url = pair.primary.url_through(Role::CommandService, link.port());
        // Half of the usual time: it passes when a commit's outcome cannot be found out.
        let deadline = Some("4500");
        let running = import(pair, file.as_bytes(), &[])?
            .with("DATABASE_URL", Some(&url))
            .with("PARKING__HTTP__COMMAND_DEADLINE_MS", deadline)
            .start()?;
        let reached = tokio::time::timeout(RECOVERY, rule.reached.cancelled()).await;
        reached.context("the import never came so far")?;
        Ok(Self { running, link })
    }
}

/// Lets the primary be reached again, goes on behind the rows that are in, and compares the register with the file.
async fn go_on(pair: &Pair, file: &str) -> Result<()> {
    pair.links.command_primary.restore()?;
    pair.ready().await?;
    let there = log_length(pair).await?;
    let rest = i64::try_from(ROWS)? - there;

    let ended = import(pair, file.as_bytes(), &["--skip", &there.to_string()])?.end().await?.expect(0)?;

    ensure!(rest > 0, "everything was in, so nothing was cut off");
    assert_eq!(ended.text()?, format!("{rest} rows imported\n"));
    assert_eq!(export(pair).await?, file, "every row once, in the order of the file");
    Ok(())
}

#[test]
fn an_import_that_loses_the_primary_says_how_many_rows_are_in_and_how_to_find_out_about_the_next()
-> Result<()> {
    with_pair(async |pair| {
        let file = rows(ROWS);
        let import = Import::until_lost(pair, &file).await?;
        import.link.cut().await;

        let ended = import.running.end().await?.expect(3)?;

        let there = log_length(pair).await?;
        assert_eq!((there > 0, there % ROWS_IN_A_TRANSACTION), (true, 0), "{there} rows are in");
        let said = format!(
            "command-service: the connection was lost around the commit; \
             {there} of {ROWS} rows are in: go on with --skip {there}, unless the 1000 rows after them are in too: \
             then parking-slot-details "
        );
        let rest = ended.errors.strip_prefix(&said).with_context(|| ended.errors.clone())?;
        let uuid = rest.strip_suffix(" finds the first of them\n").with_context(|| ended.errors.clone())?;
        assert_eq!(ended.text()?, "");
        let details = Run::command_service(pair, &["parking-slot-details", uuid])?;
        details.end().await?.expect(1).context("it is not in")?;
        go_on(pair, &file).await
    })
}

#[test]
fn an_import_that_never_reaches_the_primary_says_where_to_go_on() -> Result<()> {
    with_pair(async |pair| {
        let file = rows(ROWS);
        import(pair, rows(1000).as_bytes(), &[])?.end().await?.expect(0)?;
        pair.links.command_primary.cut().await;

        let ended = import(pair, file.as_bytes(), &["--skip", "1000"])?.end().await?.expect(3)?;

        assert_eq!(
            ended.errors,
            "command-service: the primary database is down: Connection refused (os error 111); \
             1000 of 4500 rows are in: go on with --skip 1000\n"
        );
        assert_eq!(ended.text()?, "");
        go_on(pair, &file).await
    })
}

#[test]
fn an_import_that_is_killed_has_left_whole_transactions() -> Result<()> {
    with_pair(async |pair| {
        let file = rows(ROWS);
        let mut import = Import::until_lost(pair, &file).await?;

        import.running.kill()?;

        let ended = import.running.end().await?;
        ensure!(ended.status.code().is_none(), "it ended by itself: {ended:?}");
        import.link.cut().await;
        let there = log_length(pair).await?;
        assert_eq!((there > 0, there % ROWS_IN_A_TRANSACTION), (true, 0), "{there} rows are in");
        go_on(pair, &file).await
    })
}

#[test]
fn an_import_that_is_interrupted_finishes_its_transaction_and_says_how_many_rows_are_in() -> Result<()> {
    with_pair(async |pair| {
        let file = rows(ROWS);
        let hold = pair.primary.hold_commit_lock().await?;
        let import = import(pair, file.as_bytes(), &[])?.start()?;
        eventually(RECOVERY, "a transaction waits", async || {
            ensure!(waiting_for_commit_lock(pair).await? == 1, "none does");
            Ok(())
        })
        .await?;

        let process = i32::try_from(import.pid()).ok().and_then(Process::of).context("it has ended")?;
        process.signal(Signal::INT)?;
        hold.release().await?;
        let ended = import.end().await?.expect(1)?;

        let there = log_length(pair).await?;
        assert_eq!(
            ended.errors,
            format!(
                "command-service: interrupted; {there} of {ROWS} rows are in: go on with --skip {there}\n"
            )
        );
        go_on(pair, &file).await
    })
}

#[test]
fn an_import_whose_answers_are_lost_doubles_no_row() -> Result<()> {
    with_pair(async |pair| {
        let file = rows(ROWS);
        let rule = Arc::new(SwallowCommitReply::times(3));
        pair.links.command_primary.set_rule(Some(rule.clone()));

        let ended = import(pair, file.as_bytes(), &[])?.end().await?.expect(0)?;

        assert_eq!(rule.swallowed(), 3);
        assert_eq!(ended.text()?, format!("{ROWS} rows imported\n"));
        assert_eq!(export(pair).await?, file);
        Ok(())
    })
}
