//! The epoch changed by hand: after files were put back of which nobody knows.

use anyhow::{Context, Result, ensure};
use system_tests::{
    Shape, assert_level, eventually,
    load::{Load, MIXED},
    program::Run,
    random::seed,
};

use super::{
    assert_foreign, assert_level_after_a_rebuild, consumer_names_the_way_out, created, epoch, new_epochs,
};

#[test]
fn a_new_epoch_is_given_by_hand_while_everything_runs() -> Result<()> {
    let two = Shape { command_services: 2, ..Shape::default() };
    two.run(async |pair| {
        let clients: Vec<_> = pair.command_services.iter().map(|service| service.client()).collect();
        let (_, before, _) = created(&clients[0], "Before").await?;
        assert_level(pair).await?;
        let load = Load::start(&clients, 8, MIXED, seed());
        load.progress(100).await?;

        let ended =
            Run::command_service(pair, &["migrate", "--new-epoch", "--json"])?.end().await?.expect(0)?;
        load.progress(100).await?;
        let history = load.finish().await?;

        let told = ended.json()?;
        let now = epoch(pair).await?;
        assert_eq!(told["epoch"], now.to_string());
        assert_eq!(told["migrations_applied"], 0);
        assert_eq!(new_epochs(pair)?, 0, "the services themselves have noticed nothing");
        assert_eq!(history.unknown() + history.refused(|status| status >= 500), 0, "no command failed");
        for client in &clients {
            let (_, _, after) = created(client, "After").await?;
            assert_eq!(after.epoch(), Some(now));
            assert_foreign(client, &before).await?;
        }
        consumer_names_the_way_out(pair).await?;
        assert_level_after_a_rebuild(pair).await
    })
}

#[test]
fn an_idle_consumer_hears_of_the_new_epoch_and_that_it_is_over() -> Result<()> {
    system_tests::with_pair(async |pair| {
        created(&pair.client(), "Before").await?;
        assert_level(pair).await?;
        let former = epoch(pair).await?;

        let ended = Run::command_service(pair, &["migrate", "--new-epoch"])?.end().await?.expect(0)?;
        consumer_names_the_way_out(pair).await?;
        // As a rebuild does that has found the replica level.
        let agree = "UPDATE replication_status SET epoch = $1";
        let now = epoch(pair).await?;
        pair.replica.sql().await?.execute(agree, &[&now]).await?;

        ensure!(ended.text()?.contains(&now.to_string()), "{}", ended.text()?);
        assert_ne!(now, former);
        let consumer = pair.event_consumer().client();
        eventually(system_tests::RECOVERY, "the consumer is ready", async || {
            consumer.readyz().await?.expect(200)
        })
        .await?;
        created(&pair.client(), "After").await?;
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn a_cursor_beyond_the_end_of_the_log_silences_nobody() -> Result<()> {
    system_tests::with_pair(async |pair| {
        created(&pair.client(), "Before").await?;
        assert_level(pair).await?;
        pair.command_service().stop().await?;
        let beyond = "UPDATE relay_cursor SET confirmed_position = 1000";
        pair.primary.sql().await?.batch_execute(beyond).await?;

        pair.command_service().start().await?;
        super::created_soon(&pair.client(), "After").await?;

        let everything = assert_level(pair).await?;
        assert_eq!(everything.events.len(), 2);
        let sql = pair.primary.sql().await?;
        let cursor: i64 =
            sql.query_one("SELECT confirmed_position FROM relay_cursor", &[]).await?.try_get(0)?;
        assert_eq!(cursor, 2);
        let log = pair.command_service().log()?;
        log.contains("the cursor was beyond the end of the log")
            .then_some(())
            .context("nothing is said of it")
    })
}
