//! Which role answers which call.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{Call, Reply, answered_within, assert_level};
use uuid::Uuid;

use super::{Split, split};
use crate::answers::problem::{Inside, check_page, check_problem};

/// A refusal waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A call, and the role that carries it out; `None`: each process does.
type Directed = (Call, Option<&'static str>);

fn calls(slot: Uuid, receipt: &str) -> Vec<Directed> {
    let (slots, one) = ("/parking-slots", format!("/parking-slots/{slot}"));
    let (query, command) = (Some("query"), Some("command"));
    let mut calls = vec![
        (Call::new("POST", slots).json(json!({ "name": "A" }).to_string()), command),
        (Call::new("POST", slots).json("{"), command),
        (Call::new("POST", slots), command),
        (Call::new("POST", "/parking-slots/batch").json(json!([{ "name": "A" }]).to_string()), command),
        (Call::new("PATCH", one.as_str()).json(json!({ "status": "reserved" }).to_string()), command),
        (Call::new("PATCH", "/parking-slots/no-uuid").json("{}"), command),
        (Call::new("DELETE", one.as_str()), command),
        (Call::new("DELETE", format!("{slots}/{}", Uuid::nil())).header("Idempotency-Key", "k"), command),
        (Call::new("PUT", slots), None),
        (Call::new("GET", "/parking-slots/batch"), None),
        (Call::new("POST", "/readyz"), None),
    ];
    for method in ["GET", "HEAD"] {
        let reads = [
            slots.to_owned(),
            format!("{slots}?limit=0"),
            format!("{slots}?consistency=strong"),
            format!("{slots}/summary"),
            one.clone(),
            format!("{slots}/no-uuid"),
            format!("/receipts/{receipt}"),
            "/receipts/none".to_owned(),
        ];
        calls.extend(reads.map(|path| (Call::new(method, path), query)));
        let anywhere =
            ["/livez", "/readyz", "/health", "/problems/misdirected-request", "/nowhere", "/problems/x"];
        calls.extend(anywhere.map(|path| (Call::new(method, path), None)));
    }
    calls
}

#[test]
fn a_process_without_the_role_of_a_call_refuses_it_and_names_the_role_that_does_it() -> Result<()> {
    split().run(async |pair| {
        let (roles, inside) = (Split::of(pair)?, Inside::of(pair));
        let created = roles.command.client().create("Slot 1").await?;
        let receipt = created.header("write-receipt").context("no Write-Receipt")?.to_owned();
        let slot = created.slot(201)?.uuid;
        let before = assert_level(pair).await?.events;

        let mut refused = Vec::new();
        for (own, service) in [("command", roles.command), ("query", roles.query), ("relay", roles.relay)] {
            for (call, role) in calls(slot, &receipt) {
                if role == Some(own) {
                    continue;
                }
                let reply = call.send(&service.address()).await?;
                let is_refused = reply.status.as_u16() == 421;
                ensure!(is_refused == role.is_some(), "{own}: {}: {}", call.line(), reply.text);
                // HEAD has no body.
                if let (Some(role), false) = (role, reply.text.is_empty()) {
                    check_misdirected(&reply, role, own, &inside).with_context(|| call.line())?;
                    refused.push((service.address(), reply));
                }
            }
        }

        let after = assert_level(pair).await?.events;
        assert_eq!(before, after, "nothing happened");
        assert_eq!(refused.len(), 8 + 8 + 16, "each refusal that has a body");
        for (address, reply) in refused.iter().step_by(5) {
            check_page(address, reply).await?;
        }
        Ok(())
    })
}

fn check_misdirected(reply: &Reply, role: &str, own: &str, inside: &Inside) -> Result<()> {
    check_problem(reply, inside)?;
    assert_eq!(reply.problem(), "misdirected-request");
    let detail = reply.body["detail"].as_str().context("no detail")?;
    ensure!(detail == format!("this needs the role {role}, and this process has the role {own}"), "{detail}");
    ensure!(reply.header("retry-after").is_none(), "waiting does not help");
    Ok(())
}

#[test]
fn a_process_with_the_role_of_a_call_carries_it_out() -> Result<()> {
    split().run(async |pair| {
        let roles = Split::of(pair)?;
        let created = roles.command.client().create("Slot 1").await?;
        let receipt = created.header("write-receipt").context("no Write-Receipt")?.to_owned();
        let slot = created.slot(201)?.uuid;
        assert_level(pair).await?;

        for (own, service) in [("command", roles.command), ("query", roles.query)] {
            for (call, role) in calls(slot, &receipt) {
                let reply = call.send(&service.address()).await?;
                let is_refused = reply.status.as_u16() == 421;
                ensure!(is_refused == role.is_some_and(|role| role != own), "{own}: {}", call.line());
            }
        }
        Ok(())
    })
}

#[test]
fn a_command_is_refused_before_its_body_arrives() -> Result<()> {
    split().run(async |pair| {
        let (roles, inside) = (Split::of(pair)?, Inside::of(pair));
        let create = Call::new("POST", "/parking-slots").json("{\"name\":");
        for service in [roles.query, roles.relay] {
            for call in [create.clone().chunked_without_end(), create.clone().promising_more(1000)] {
                let sent = answered_within(AT_ONCE, async || call.send(&service.address()).await).await;
                let reply = sent.with_context(|| call.line())?.expect(421)?;
                check_problem(&reply, &inside)?;
            }
        }
        Ok(())
    })
}
