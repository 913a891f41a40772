//! Tells how far the build of an index is.

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;

use super::super::{session::SessionKind, url::DatabaseUrl};

/// Receives lines for the operator.
pub type Tell<'t> = &'t (dyn Fn(&str) + Sync);

const LOOK: &str = "
    SELECT phase, CASE WHEN blocks_total > 0 THEN 100 * blocks_done / blocks_total END AS percent,
           (SELECT string_agg(format('%s (pid %s)', coalesce(nullif(application_name, ''), 'a session'), pid), ', ')
            FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))) AS waits_for
    FROM pg_stat_progress_create_index WHERE pid = $1";

/// When the first line comes, so that short builds say nothing.
const FIRST_AFTER: Duration = Duration::from_secs(2);

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(30);

const SESSION: SessionKind = SessionKind {
    step: "migrate-progress",
    options: "-c statement_timeout=2s",
    deadline: Duration::from_secs(3),
};

/// Tells every 30 s what the session with this process id does for the index, and which sessions it waits for. A look
/// that fails is left out.
pub(super) async fn tell_progress(
    database: &DatabaseUrl,
    index: &str,
    pid: i32,
    tell: Tell<'_>,
) -> Infallible {
    let mut pause = FIRST_AFTER;
    loop {
        sleep(pause).await;
        pause = INTERVAL;
        if let Some(text) = look(database, pid).await {
            tell(&format!("index {index}: {text}"));
        }
    }
}

async fn look(database: &DatabaseUrl, pid: i32) -> Option<String> {
    let session = database.connect(SESSION).await.ok()?;
    let row = session.query_opt(LOOK, &[&pid]).await.ok()??;
    let mut text: String = row.try_get("phase").ok()?;
    if let Ok(Some(percent)) = row.try_get::<_, Option<i64>>("percent") {
        text.push_str(&format!(", {percent} %"));
    }
    if let Ok(Some(sessions)) = row.try_get::<_, Option<String>>("waits_for") {
        text.push_str(&format!("; it waits for the transaction of {sessions}"));
    }
    Some(text)
}
