//! A primary that is stopped under processes with a role each.

use anyhow::{Context, Result, ensure};
use system_tests::{RECOVERY, RoleProcess, Shape, answered_within, assert_level, blocking, eventually};

use super::{Split, split};
use crate::outages::{REFUSAL_DEADLINE, create};

#[test]
fn query_processes_go_on_while_the_primary_is_stopped_and_the_others_come_back_with_it() -> Result<()> {
    let mut shape = split();
    shape.role_processes.push(RoleProcess { roles: "query", without: &["DATABASE_URL"] });
    Shape { own_primary: true, ..shape }.run(async |pair| {
        let (roles, blind) = (Split::of(pair)?, pair.command_services.last().context("no process")?);
        let commands = roles.command.client();
        let slots = create(&commands, 3).await?;
        let receipt = commands.create("Slot 4").await?;
        let receipt = receipt.header("write-receipt").context("no Write-Receipt")?.to_owned();
        assert_level(pair).await?;
        for reader in [roles.query, blind] {
            reader.client().list(&format!("?receipt={receipt}&wait_ms=10000")).await?.expect(200)?;
        }

        let server = pair.primary.server.clone();
        blocking(move || server.stop()).await?;

        for (reader, strong) in [(roles.query, 503), (blind, 421)] {
            let client = reader.client();
            assert_eq!(client.list_all().await?.len(), slots.len() + 1, "{}", reader.name());
            let read = client.list(&format!("?receipt={receipt}&wait_ms=0")).await?.expect(200)?;
            assert_eq!(read.header("freshness-result"), Some("satisfied"));
            let refused =
                answered_within(REFUSAL_DEADLINE, async || client.list("?consistency=strong").await).await?;
            refused.expect(strong)?;
            client.readyz().await?.expect(200)?;
        }
        assert_eq!(blind.client().readyz().await?.body["status"], "ready", "it misses nothing");
        eventually(RECOVERY, "the query process says that the primary is down", async || {
            let body = roles.query.client().readyz().await?.expect(200)?.body;
            ensure!(
                body["status"] == "degraded" && body["dependencies"]["primary"]["state"] == "down",
                "{body}"
            );
            Ok(())
        })
        .await?;
        let refused = answered_within(REFUSAL_DEADLINE, async || commands.create("Refused").await).await?;
        assert_eq!(refused.expect(503)?.problem(), "primary-unavailable");
        let server = pair.primary.server.clone();
        blocking(move || server.start()).await?;
        pair.ready().await?;
        commands.created("Slot 5").await?;
        assert_level(pair).await?;
        roles.query.client().list("?consistency=strong").await?.expect(200)?;
        Ok(())
    })
}
