//! Files put back under processes with a role each: the relay notices, since it publishes the log.

use anyhow::{Result, ensure};
use system_tests::{Pair, RECOVERY, Shape, assert_level, backup::FileCopy, eventually};

use super::{
    assert_level_after_a_rebuild_for, consumer_names_the_way_out, created, created_soon, epoch, log_end,
    new_epochs,
};
use crate::roles::{Split, split};

fn own_primary() -> Shape {
    Shape { own_primary: true, ..split() }
}

/// Three events that reach the replica, and a copy of the files with the first of them.
async fn write_around_a_copy(pair: &Pair, roles: &Split<'_>) -> Result<FileCopy> {
    let client = roles.command.client();
    created(&client, "Kept").await?;
    assert_level(pair).await?;
    let copy = FileCopy::take(&pair.primary.server).await?;
    created_soon(&client, "Lost").await?;
    created(&client, "Lost too").await?;
    assert_level(pair).await?;
    Ok(copy)
}

async fn epoch_changes(pair: &Pair, before: uuid::Uuid) -> Result<()> {
    eventually(RECOVERY, "a process has given another epoch, and has said so", async || {
        ensure!(epoch(pair).await? != before, "it is not another");
        ensure!(new_epochs(pair)? == 1, "it was said {} times", new_epochs(pair)?);
        Ok(())
    })
    .await
}

#[test]
fn files_put_back_while_no_process_runs_are_noticed_by_a_relay_process_that_asks_the_replica() -> Result<()> {
    own_primary().run(async |pair| {
        let roles = Split::of(pair)?;
        let copy = write_around_a_copy(pair, &roles).await?;
        let before = epoch(pair).await?;
        for service in &pair.command_services {
            service.stop().await?;
        }

        copy.put_back().await?;
        copy.start().await?;
        roles.relay.start().await?;

        epoch_changes(pair, before).await?;
        roles.command.start().await?;
        let (_, _, meant) = created_soon(&roles.command.client(), "After").await?;
        assert_eq!(
            (meant.position(), meant.epoch()),
            (2, Some(epoch(pair).await?)),
            "a position in the new epoch"
        );
        consumer_names_the_way_out(pair).await
    })
}

#[test]
fn files_put_back_under_a_relay_process_are_noticed_by_what_it_has_relayed() -> Result<()> {
    own_primary().run(async |pair| {
        let roles = Split::of(pair)?;
        let copy = write_around_a_copy(pair, &roles).await?;
        let before = epoch(pair).await?;
        // So that neither the other processes nor the replica tell.
        roles.command.stop().await?;
        roles.query.stop().await?;
        pair.links.command_replica.cut().await;

        copy.put_back().await?;
        copy.start().await?;

        epoch_changes(pair, before).await?;
        assert_eq!(log_end(pair).await?, 1, "nothing was written");
        pair.links.command_replica.restore()
    })
}

#[test]
fn files_put_back_under_processes_with_a_role_each_are_healed_by_a_rebuild() -> Result<()> {
    own_primary().run(async |pair| {
        let roles = Split::of(pair)?;
        let copy = write_around_a_copy(pair, &roles).await?;
        let before = epoch(pair).await?;

        copy.put_back().await?;
        copy.start().await?;

        epoch_changes(pair, before).await?;
        created_soon(&roles.command.client(), "After").await?;
        consumer_names_the_way_out(pair).await?;
        assert_level_after_a_rebuild_for(pair, &roles.command.client(), &roles.query.client()).await
    })
}
