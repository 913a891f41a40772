use std::time::Duration;

use anyhow::{Context, Result, ensure};
use command_service::write_model::forget::forget_step;
use shared::postgres::{DatabaseUrl, SessionKind};
use stack::Role;
use system_tests::{RECOVERY, eventually, with_pair};

use super::{check_replay, create, is_replayed};

/// Keeps so many keys, `hours` old.
const KEEP: &str = "
    INSERT INTO idempotency_keys (key, first_position, last_position, kept_at, fingerprint)
    SELECT $1 || number, 1, 1, now() - $2 * interval '1 hour', decode(repeat('00', 32), 'hex')
    FROM generate_series(1, $3) AS number";

/// A step that had to wait for another one would fail.
const KIND: SessionKind =
    SessionKind { step: "test", options: "-c lock_timeout=1s", deadline: Duration::from_secs(5) };

#[test]
fn keys_are_kept_for_a_day_and_forgotten_soon_after() -> Result<()> {
    with_pair(async |pair| {
        let sql = pair.primary.sql().await?;
        let client = pair.client();
        let (young, old) = (create(&client, "Young", "young").await?, create(&client, "Old", "old").await?);
        sql.execute(KEEP, &[&"young-", &24.0_f64, &2500]).await?;
        sql.execute(KEEP, &[&"old-", &25.01_f64, &2500]).await?;
        sql.execute(
            "UPDATE idempotency_keys SET kept_at = kept_at - interval '26 hours' WHERE key = 'old'",
            &[],
        )
        .await?;

        // It looks for old keys when it starts, and every minute from then on.
        pair.command_service().kill()?;
        pair.command_service().start().await?;
        eventually(RECOVERY, "old keys are forgotten", async || {
            let left = "SELECT count(*) FROM idempotency_keys WHERE kept_at < now() - interval '25 hours'";
            let left: i64 = sql.query_one(left, &[]).await?.try_get(0)?;
            ensure!(left == 0, "{left} are left");
            Ok(())
        })
        .await?;

        let kept: i64 = sql.query_one("SELECT count(*) FROM idempotency_keys", &[]).await?.try_get(0)?;
        assert_eq!(kept, 2501, "those that are not a day old, and those that just are, are all there");
        pair.ready().await?;
        check_replay(&young, &create(&client, "Young", "young").await?)?;
        let new = create(&client, "Old", "old").await?;
        assert!(!is_replayed(&new), "what is forgotten is carried out again");
        assert_ne!(new.slot(201)?.uuid, old.slot(201)?.uuid);
        Ok(())
    })
}

#[test]
fn one_step_forgets_no_more_than_it_is_told_and_two_do_not_wait_for_each_other() -> Result<()> {
    with_pair(async |pair| {
        let sql = pair.primary.sql().await?;
        sql.execute(KEEP, &[&"old-", &26.0_f64, &25]).await?;
        let url = pair.primary.server.url(Role::Superuser, &pair.primary.name);
        let url = DatabaseUrl::parse(&url).context("no address")?;
        let (one, other) = (url.connect(KIND).await?, url.connect(KIND).await?);

        one.batch_execute("BEGIN").await?;
        let by_one = forget_step(&one, 10).await?;
        let by_other = forget_step(&other, 10).await?;
        one.batch_execute("COMMIT").await?;
        let rest = forget_step(&other, 10).await?;

        assert_eq!((by_one, by_other, rest), (10, 10, 5));
        Ok(())
    })
}
