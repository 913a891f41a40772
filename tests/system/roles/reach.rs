//! What a role connects to: the servers' lists of sessions, and the connections that the links have counted. Every process
//! gets every setting, so that only its roles keep it from a server.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use stack::Role;
use system_tests::{
    Client, Pair, RECOVERY, RoleProcess, Shape, assert_level,
    database::Database,
    eventually,
    load::{Load, MIXED},
    random::seed,
    service::Service,
};
use tokio::time::interval;

use super::{Split, split};

/// How often the servers' lists are read.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// The steps of the flow that have a session of command-service on a database.
async fn steps_on(database: &Database, role: Role) -> Result<BTreeSet<String>> {
    let sessions = "SELECT DISTINCT application_name FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = $1";
    let rows = database.sql().await?.query(sessions, &[&role.name()]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The steps that have had a session while some work was done.
#[derive(Debug, Default)]
struct Seen {
    primary: BTreeSet<String>,
    replica: BTreeSet<String>,
}

impl Seen {
    async fn look(&mut self, pair: &Pair) -> Result<()> {
        self.primary.extend(steps_on(&pair.primary, Role::CommandService).await?);
        self.replica.extend(steps_on(&pair.replica, Role::CommandServiceReader).await?);
        Ok(())
    }

    /// Looks again and again until `work` is done, and once more.
    async fn during(pair: &Pair, work: impl Future<Output = Result<()>>) -> Result<Self> {
        let (mut seen, mut ticks) = (Self::default(), interval(SAMPLE_INTERVAL));
        let looking = async {
            loop {
                ticks.tick().await;
                if let Err(failure) = seen.look(pair).await {
                    break failure;
                }
            }
        };
        tokio::select! {
            done = work => done?,
            failure = looking => return Err(failure),
        }
        seen.look(pair).await?;
        Ok(seen)
    }

    /// These steps have had a session, these may have had one, and no other has.
    fn check(&self, on_primary: &[&str], on_replica: &[&str], perhaps: &[&str]) -> Result<()> {
        for (seen, must) in [(&self.primary, on_primary), (&self.replica, on_replica)] {
            ensure!(must.iter().all(|step| seen.contains(*step)), "{must:?} are not all in {self:?}");
            let others: Vec<_> = seen
                .iter()
                .filter(|step| !must.contains(&step.as_str()) && !perhaps.contains(&step.as_str()))
                .collect();
            ensure!(others.is_empty(), "{others:?} must have no session: {self:?}");
        }
        Ok(())
    }
}

/// How many connections of command-services the links to primary, replica and broker have let in.
fn counts(pair: &Pair) -> [u64; 3] {
    let links = &pair.links;
    [&links.command_primary, &links.command_replica, &links.relay_broker].map(|link| link.connections())
}

/// How many more since `before`.
fn more(pair: &Pair, before: [u64; 3]) -> [u64; 3] {
    let now = counts(pair);
    std::array::from_fn(|link| now[link] - before[link])
}

async fn ready(service: &Service) -> Result<()> {
    eventually(RECOVERY, &format!("{} is ready", service.name()), async || {
        let reply = service.client().readyz().await?;
        ensure!(reply.body["status"] == "ready", "it says {}", reply.body);
        Ok(())
    })
    .await
}

async fn writes(client: Client) -> Result<()> {
    let load = Load::start(&[client], 8, MIXED, seed());
    load.progress(500).await?;
    load.finish().await?;
    Ok(())
}

async fn reads(client: &Client, query: &str) -> Result<()> {
    for _ in 0..100 {
        for path in ["/parking-slots", "/parking-slots/summary"] {
            client.get_path(&format!("{path}{query}")).await?.expect(200)?;
        }
    }
    Ok(())
}

#[test]
fn no_role_connects_to_a_server_that_it_does_not_use() -> Result<()> {
    Shape { started: false, ..split() }.run(async |pair| {
        let roles = Split::of(pair)?;
        pair.event_consumer().start().await?;

        roles.command.start().await?;
        let seen = Seen::during(pair, writes(roles.command.client())).await?;
        seen.check(&["group commit"], &[], &["group commit: old keys"]).context("command")?;
        assert_eq!(counts(pair)[1..], [0, 0], "command: never to the replica, never to the broker");
        roles.command.stop().await?;

        let before = counts(pair);
        roles.relay.start().await?;
        let relaying = async {
            assert_level(pair).await?;
            ready(roles.relay).await
        };
        let seen = Seen::during(pair, relaying).await?;
        seen.check(&["relay"], &[], &["replay", "replica watch"]).context("relay")?;
        assert_eq!(more(pair, before)[1], 1, "relay: once to the replica, to ask how far it is");
        let left = steps_on(&pair.replica, Role::CommandServiceReader).await?;
        ensure!(left.is_empty(), "relay: {left:?} is still connected to the replica");
        roles.relay.stop().await?;

        let before = counts(pair);
        roles.query.start().await?;
        ready(roles.query).await?;
        let seen = Seen::during(pair, reads(&roles.query.client(), "?consistency=strong")).await?;
        seen.check(&["freshness"], &["query", "replica watch"], &[]).context("query")?;
        let [to_primary, _, to_broker] = more(pair, before);
        assert_eq!((to_primary, to_broker), (1, 0), "query: one look-up connection, none to the broker");
        Ok(())
    })
}

#[test]
fn a_process_whose_url_of_the_replica_or_the_primary_is_absent_works_without_that_server() -> Result<()> {
    let without = |roles, without| RoleProcess { roles, without };
    let role_processes = vec![
        without("command,relay", &["REPLICA_DATABASE_URL"][..]),
        without("query", &["DATABASE_URL", "RABBITMQ_BROKER_URL"][..]),
    ];
    Shape { role_processes, started: false, ..Shape::default() }.run(async |pair| {
        let [writer, reader] = &pair.command_services[..] else { anyhow::bail!("there are not two") };
        pair.event_consumer().start().await?;

        writer.start().await?;
        ready(writer).await?;
        let seen = Seen::during(pair, writes(writer.client())).await?;
        seen.check(&["group commit", "relay"], &[], &["replay", "group commit: old keys"])?;
        assert_level(pair).await?;
        assert_eq!(counts(pair)[1], 0, "never to the replica");
        writer.stop().await?;

        let before = counts(pair);
        reader.start().await?;
        ready(reader).await?;
        let seen = Seen::during(pair, reads(&reader.client(), "")).await?;
        seen.check(&[], &["query", "replica watch"], &[])?;
        let [to_primary, _, to_broker] = more(pair, before);
        assert_eq!((to_primary, to_broker), (0, 0), "never to the primary, never to the broker");
        Ok(())
    })
}
