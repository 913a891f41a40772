//! Files put back from a copy: nothing in them says so, but somebody knows what is missing.

use anyhow::{Result, ensure};
use system_tests::{Pair, Shape, assert_level, backup::FileCopy};

use super::{
    assert_foreign, assert_level_after_a_rebuild, assert_only_old_reads, consumer_names_the_way_out, created,
    created_soon, epoch, log_end, new_epochs,
};

/// What was written before the primary was put back.
struct Written {
    kept: String,
    lost: String,
    copy: FileCopy,
}

fn own_primary() -> Shape {
    Shape { own_primary: true, ..Shape::default() }
}

/// Writes, copies the files, and writes more, all of which reaches the replica.
async fn write_around_a_copy(pair: &Pair) -> Result<Written> {
    let client = pair.client();
    let (_, kept, _) = created(&client, "Kept").await?;
    assert_level(pair).await?;
    let copy = FileCopy::take(&pair.primary.server).await?;
    let (_, lost, _) = created_soon(&client, "Lost").await?;
    created(&client, "Lost too").await?;
    assert_level(pair).await?;
    Ok(Written { kept, lost, copy })
}

/// What holds once files were put back of a log with one event, when three had been applied.
async fn assert_noticed(pair: &Pair, written: &Written) -> Result<()> {
    let client = pair.client();
    let (_, receipt, meant) = created_soon(&client, "After").await?;

    assert_eq!(meant.position(), 2, "the position of a lost event is given again");
    assert_eq!(meant.epoch(), Some(epoch(pair).await?), "but in another epoch");
    assert_eq!(new_epochs(pair)?, 1, "given once");
    assert_foreign(&client, &written.kept).await?;
    assert_foreign(&client, &written.lost).await?;
    assert_only_old_reads(&client, 3).await?;
    consumer_names_the_way_out(pair).await?;
    let state = client.get_path(&format!("/receipts/{receipt}")).await?.expect(200)?;
    ensure!(["committed", "published"].iter().any(|s| state.body["state"] == *s), "{}", state.body);
    let waiting = client.list(&format!("?receipt={receipt}&wait_ms=300")).await?.expect(504)?;
    assert_eq!(waiting.problem(), "replica-behind");
    assert_not_satisfied_without_the_primary(pair, written).await?;
    assert_level_after_a_rebuild(pair).await?;
    assert_foreign(&client, &written.lost).await
}

/// Nor is a receipt of the former life taken for good when the primary cannot be asked.
async fn assert_not_satisfied_without_the_primary(pair: &Pair, written: &Written) -> Result<()> {
    pair.links.command_primary.cut().await;
    let refused = pair.client().list(&format!("?receipt={}&wait_ms=300", written.lost)).await?.expect(503)?;
    assert_eq!(refused.problem(), "primary-unavailable");
    pair.links.command_primary.restore()
}

#[test]
fn files_put_back_under_a_running_service_are_noticed_by_what_it_has_seen() -> Result<()> {
    own_primary().run(async |pair| {
        let written = write_around_a_copy(pair).await?;
        let before = epoch(pair).await?;
        // So that nobody but the service itself knows.
        pair.links.command_replica.cut().await;

        written.copy.put_back().await?;
        written.copy.start().await?;
        created_soon(&pair.client(), "After").await?;

        assert_ne!(epoch(pair).await?, before);
        assert_eq!(new_epochs(pair)?, 1);
        pair.links.command_replica.restore()?;
        consumer_names_the_way_out(pair).await
    })
}

#[test]
fn files_put_back_are_noticed_and_no_read_claims_to_hold_what_was_lost() -> Result<()> {
    own_primary().run(async |pair| {
        let written = write_around_a_copy(pair).await?;

        written.copy.put_back().await?;
        written.copy.start().await?;

        assert_noticed(pair, &written).await
    })
}

#[test]
fn files_put_back_while_no_service_runs_are_noticed_by_what_the_replica_has() -> Result<()> {
    own_primary().run(async |pair| {
        let written = write_around_a_copy(pair).await?;
        pair.command_service().stop().await?;

        written.copy.put_back().await?;
        written.copy.start().await?;
        pair.command_service().start().await?;

        assert_noticed(pair, &written).await
    })
}

#[test]
fn files_put_back_are_noticed_when_the_replica_is_heard_only_later() -> Result<()> {
    own_primary().run(async |pair| {
        let written = write_around_a_copy(pair).await?;
        let before = epoch(pair).await?;
        pair.command_service().stop().await?;
        pair.links.command_replica.cut().await;
        written.copy.put_back().await?;
        written.copy.start().await?;
        pair.command_service().start().await?;

        let (_, too_early, meant) = created_soon(&pair.client(), "Unnoticed").await?;
        assert_eq!((meant.epoch(), meant.position()), (Some(before), 2), "nobody could know");
        pair.links.command_replica.restore()?;

        system_tests::eventually(system_tests::RECOVERY, "the epoch is another", async || {
            ensure!(epoch(pair).await? != before, "it is not");
            Ok(())
        })
        .await?;
        assert_eq!(new_epochs(pair)?, 1);
        for receipt in [&written.kept, &written.lost, &too_early] {
            assert_foreign(&pair.client(), receipt).await?;
        }
        Ok(())
    })
}

#[test]
fn of_two_services_that_notice_one_gives_the_new_epoch() -> Result<()> {
    let two = Shape { command_services: 2, ..own_primary() };
    two.run(async |pair| {
        let written = write_around_a_copy(pair).await?;
        created_soon(&pair.command_services[1].client(), "Lost as well").await?;
        assert_level(pair).await?;

        written.copy.put_back().await?;
        written.copy.start().await?;
        let first = created_soon(&pair.command_services[0].client(), "After").await?;
        let second = created_soon(&pair.command_services[1].client(), "After").await?;

        let now = Some(epoch(pair).await?);
        assert_eq!((first.2.epoch(), second.2.epoch()), (now, now));
        assert_eq!(new_epochs(pair)?, 1);
        for service in &pair.command_services {
            assert_foreign(&service.client(), &written.kept).await?;
        }
        Ok(())
    })
}

#[test]
fn a_command_of_the_command_line_notices_too() -> Result<()> {
    own_primary().run(async |pair| {
        let written = write_around_a_copy(pair).await?;
        let before = epoch(pair).await?;
        pair.command_service().stop().await?;
        written.copy.put_back().await?;
        written.copy.start().await?;

        let create = ["create-parking-slot", "--name", "After"];
        system_tests::program::Run::command_service(pair, &create)?.end().await?.expect(0)?;

        assert_ne!(epoch(pair).await?, before);
        assert_eq!(log_end(pair).await?, 2);
        Ok(())
    })
}
