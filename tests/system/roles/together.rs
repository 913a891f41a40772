//! The roles as separate processes do what one process does.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{
    assert_level,
    level::assert_level_with,
    load::{Load, MIXED},
    random::seed,
};

use super::{Split, split};

#[test]
fn a_write_of_the_command_process_is_relayed_by_another_and_read_from_a_third_with_its_receipt() -> Result<()>
{
    split().run(async |pair| {
        let roles = Split::of(pair)?;
        let (commands, reads) = (roles.command.client(), roles.query.client());

        for (number, demand) in ["", "&consistency=strong", "&max_staleness_ms=0"].iter().enumerate() {
            let name = format!("Slot {number}");
            let reply = commands.create(&name).await?;
            let receipt = reply.header("write-receipt").context("no Write-Receipt")?.to_owned();
            let slot = reply.slot(201)?;

            let path = format!("/parking-slots/{}?receipt={receipt}&wait_ms=10000{demand}", slot.uuid);
            let read = reads.get_path(&path).await?;
            assert_eq!(read.header("freshness-result"), Some("satisfied"), "{}", read.text);
            assert_eq!(read.slot(200)?, slot, "{demand}");
            let trace = reads.get_path(&format!("/receipts/{receipt}")).await?.expect(200)?;
            assert_eq!((&trace.body["state"], &trace.body["uuid"]), (&json!("applied"), &json!(slot.uuid)));
        }
        assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn three_processes_with_a_role_each_carry_a_load_and_end_level() -> Result<()> {
    split().run(async |pair| {
        let roles = Split::of(pair)?;
        let load = Load::start(&[roles.command.client()], 16, MIXED, seed());

        load.progress(1000).await?;
        let history = load.finish().await?;

        ensure!(history.unknown() + history.refused(|status| status >= 500) == 0, "nothing failed");
        let everything = assert_level_with(pair, &history).await?;
        let slots = roles.query.client().list_all().await?;
        assert_eq!(slots.len(), everything.primary.len(), "the query process shows them all");
        Ok(())
    })
}

#[test]
fn a_process_says_at_its_start_which_roles_it_has() -> Result<()> {
    split().run(async |pair| {
        for (service, roles) in pair.command_services.iter().zip(["command", "query", "relay"]) {
            let lines = service.log_lines()?;
            let line = lines.iter().find(|line| line["message"] == "listening").context("no such line")?;
            assert_eq!(line["roles"], roles);
        }
        Ok(())
    })
}
