//! What `/readyz` says of each role.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::{Client, RECOVERY, RoleProcess, Shape, eventually, service::Service};

use super::{Split, split};

/// The names of the dependencies in an answer of `/readyz`.
fn dependencies(body: &Value) -> Result<Vec<&str>> {
    Ok(body["dependencies"].as_object().context("no dependencies")?.keys().map(String::as_str).collect())
}

/// Waits until `/readyz` has this status and says that these dependencies are down.
async fn says(client: &Client, status: u16, down: &[&str]) -> Result<()> {
    eventually(RECOVERY, &format!("/readyz is {status}, with {down:?} down"), async || {
        let reply = client.readyz().await?.expect(status)?;
        let entries = reply.body["dependencies"].as_object().context("no dependencies")?;
        let named: Vec<&str> = entries
            .iter()
            .filter(|(_, entry)| entry["state"] == "down")
            .map(|(name, _)| name.as_str())
            .collect();
        ensure!(named == down, "it says {}", reply.body);
        Ok(())
    })
    .await
}

#[test]
fn a_process_lists_its_roles_and_only_the_dependencies_that_they_use() -> Result<()> {
    let all: &[&str] = &["broker", "primary", "relay", "replica"];
    let cases: [(&str, &'static [&'static str], &[&str]); 8] = [
        ("command", &[], &["primary"]),
        ("query", &[], &["primary", "replica"]),
        ("query", &["DATABASE_URL"], &["replica"]),
        ("relay", &[], &["broker", "primary", "relay"]),
        ("command,query", &["RABBITMQ_BROKER_URL"], &["primary", "replica"]),
        ("relay,command", &["REPLICA_DATABASE_URL"], &["broker", "primary", "relay"]),
        ("query,relay", &[], all),
        ("command,query,relay", &[], all),
    ];
    let role_processes = cases.iter().map(|(roles, without, _)| RoleProcess { roles, without }).collect();
    Shape { role_processes, ..Shape::default() }.run(async |pair| {
        for (service, (roles, _, used)) in pair.command_services.iter().zip(cases) {
            let body = service.client().readyz().await?.expect(200)?.body;
            assert_eq!(body["status"], "ready", "{roles}: {body}");
            assert_eq!(dependencies(&body)?, used, "{roles}");
            // In the order of the flow, which here is that of the alphabet.
            let mut named: Vec<&str> = roles.split(',').collect();
            named.sort_unstable();
            assert_eq!(body["roles"], json!(named), "{roles}");
        }
        Ok(())
    })
}

#[test]
fn a_process_is_ready_while_one_of_its_roles_can_do_its_work() -> Result<()> {
    let processes = ["command", "query", "relay", "query,relay"].map(RoleProcess::with_every_setting);
    let shape = Shape { role_processes: processes.to_vec(), ..Shape::default() };
    shape.run(async |pair| {
        let clients: Vec<Client> = pair.command_services.iter().map(Service::client).collect();
        let [command, query, relay, both] = &clients[..] else { anyhow::bail!("there are not four") };
        let links = &pair.links;

        links.command_primary.cut().await;
        says(command, 503, &["primary"]).await?;
        says(query, 200, &["primary"]).await?;
        says(relay, 503, &["primary", "relay"]).await?;
        says(both, 200, &["primary", "relay"]).await?;
        links.command_primary.restore()?;
        pair.ready().await?;

        links.command_replica.cut().await;
        says(command, 200, &[]).await?;
        says(query, 503, &["replica"]).await?;
        says(relay, 200, &[]).await?;
        says(both, 200, &["replica"]).await?;
        links.command_replica.restore()?;
        pair.ready().await?;

        links.relay_broker.cut().await;
        says(command, 200, &[]).await?;
        says(query, 200, &[]).await?;
        says(relay, 503, &["broker", "relay"]).await?;
        says(both, 200, &["broker", "relay"]).await?;
        links.relay_broker.restore()?;
        pair.ready().await
    })
}

#[test]
fn a_relay_that_stands_by_is_ready_and_takes_over_when_the_leader_is_killed() -> Result<()> {
    let mut shape = split();
    shape.role_processes.push(RoleProcess::with_every_setting("relay"));
    Shape { started: false, ..shape }.run(async |pair| {
        let roles = Split::of(pair)?;
        let standby = pair.command_services.last().context("no process")?;
        for service in [roles.command, roles.query, roles.relay, pair.event_consumer()] {
            service.start().await?;
        }
        // The first relay leads before the second one starts.
        says(&roles.relay.client(), 200, &[]).await?;
        standby.start().await?;
        pair.ready().await?;
        roles.command.client().created("By the leader").await?;
        system_tests::assert_level(pair).await?;

        roles.relay.kill()?;
        roles.command.client().created("By the standby").await?;

        system_tests::assert_level(pair).await?;
        assert_eq!(roles.query.client().list_all().await?.len(), 2);
        says(&standby.client(), 200, &[]).await
    })
}
