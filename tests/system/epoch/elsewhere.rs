//! Another server, timeline or database: noticed even when not a single event was lost.

use anyhow::{Result, ensure};
use system_tests::{
    RECOVERY, Shape, assert_level,
    backup::{FileCopy, replace_by_dump},
    eventually, with_pair,
};

use super::{
    assert_foreign, assert_level_after_a_rebuild, assert_only_old_reads, consumer_names_the_way_out, created,
    created_soon, epoch, new_epochs,
};

#[test]
fn a_new_timeline_is_noticed_though_no_event_was_lost() -> Result<()> {
    let own = Shape { own_primary: true, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        let (_, kept, _) = created(&client, "Kept").await?;
        assert_level(pair).await?;
        let before = epoch(pair).await?;
        let copy = FileCopy::take(&pair.primary.server).await?;

        copy.put_back().await?;
        copy.recover_from_an_archive()?;
        copy.start().await?;
        let (_, _, after) = created_soon(&client, "After").await?;

        assert_ne!(epoch(pair).await?, before);
        assert_eq!((after.position(), after.epoch()), (2, Some(epoch(pair).await?)));
        assert_eq!(new_epochs(pair)?, 1);
        assert_foreign(&client, &kept).await?;
        assert_only_old_reads(&client, 1).await?;
        consumer_names_the_way_out(pair).await?;
        assert_level_after_a_rebuild(pair).await
    })
}

#[test]
fn a_standby_is_not_taken_for_the_primary_and_is_another_one_once_it_is_promoted() -> Result<()> {
    let own = Shape { own_primary: true, ..Shape::default() };
    own.run(async |pair| {
        let client = pair.client();
        let (_, kept, _) = created(&client, "Kept").await?;
        assert_level(pair).await?;
        let before = epoch(pair).await?;
        let copy = FileCopy::take(&pair.primary.server).await?;
        copy.put_back().await?;
        copy.stand_by()?;

        let promoting = async {
            eventually(RECOVERY, "the standby is met and refused", async || {
                let detail = client.readyz().await?.body["dependencies"]["primary"]["detail"].clone();
                ensure!(detail == "a standby: not promoted yet", "it says {detail}");
                Ok(())
            })
            .await?;
            let command = client.create("Too early").await?.expect(503)?;
            assert_eq!(command.problem(), "primary-unavailable");
            let strong = client.list("?consistency=strong").await?.expect(503)?;
            assert_eq!(strong.problem(), "primary-unavailable");
            assert_eq!(epoch(pair).await?, before);
            pair.primary.sql().await?.execute("SELECT pg_promote()", &[]).await?;
            Ok::<_, anyhow::Error>(())
        };
        let (started, promoted) = tokio::join!(copy.start(), promoting);

        promoted?;
        started?;
        let (_, _, after) = created_soon(&client, "After").await?;
        assert_ne!(epoch(pair).await?, before);
        assert_eq!((after.position(), after.epoch()), (2, Some(epoch(pair).await?)));
        assert_eq!(new_epochs(pair)?, 1);
        assert_foreign(&client, &kept).await?;
        assert_level_after_a_rebuild(pair).await
    })
}

#[test]
fn a_dump_restored_into_another_database_is_noticed() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (_, kept, _) = created(&client, "Kept").await?;
        assert_level(pair).await?;
        let before = epoch(pair).await?;
        pair.command_service().stop().await?;

        replace_by_dump(&pair.primary).await?;
        pair.command_service().start().await?;
        let (_, _, after) = created_soon(&client, "After").await?;

        assert_ne!(epoch(pair).await?, before);
        assert_eq!((after.position(), after.epoch()), (2, Some(epoch(pair).await?)));
        assert_eq!(new_epochs(pair)?, 1);
        assert_foreign(&client, &kept).await?;
        consumer_names_the_way_out(pair).await?;
        assert_level_after_a_rebuild(pair).await
    })
}
