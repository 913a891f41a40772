//! Another server, timeline or database: noticed even when not a single event was lost.

use anyhow::Result;
use system_tests::{
    Shape, assert_level,
    backup::{FileCopy, replace_by_dump},
    with_pair,
};

use super::{
    assert_foreign, assert_only_old_reads, consumer_names_the_way_out, created, created_soon, epoch,
    new_epochs,
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
        consumer_names_the_way_out(pair).await
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
        consumer_names_the_way_out(pair).await
    })
}
