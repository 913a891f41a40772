//! The schemas: every statement of the services fits them, everything in them is described, and who may do what.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shared::postgres::DatabaseUrl;
use stack::Role;
use system_tests::{
    Pair,
    database::Database,
    servers::{Servers, servers},
    with_pair,
};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::programs::run;

/// Runs `test` on a migrated primary and a migrated replica without any service.
fn with_databases(test: impl AsyncFnOnce(Database, Database) -> Result<()>) -> Result<()> {
    let servers: &Servers = servers()?;
    let (primary, replica) = (servers.primary().clone(), servers.replica().clone());
    let primary = Database::new(primary.clone(), servers.new_primary_database(&primary)?);
    let replica = Database::new(replica.clone(), servers.new_replica_database(&replica)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(test(primary, replica))
}

/// Prepares each statement as the role that will run it.
async fn assert_prepares(database: &Database, role: Role, step: &str, statements: &[&str]) -> Result<()> {
    let session = database.connect_as(role).await?;
    ensure!(!statements.is_empty(), "{step} has no statements");
    for sql in statements {
        session.prepare(sql).await.with_context(|| format!("{step}: {sql}"))?;
    }
    Ok(())
}

#[test]
fn every_statement_of_the_services_fits_the_schema() -> Result<()> {
    with_databases(async |primary, replica| {
        use command_service::{freshness, primary as way, queries, relay, verify, write_model};
        use event_consumer::{holes, projection};

        let writer = Role::CommandService;
        assert_prepares(&primary, writer, "primary", &way::STATEMENTS).await?;
        assert_prepares(&primary, writer, "write model", &write_model::STATEMENTS).await?;
        assert_prepares(&primary, writer, "relay", &relay::STATEMENTS).await?;
        assert_prepares(&primary, writer, "verify", &verify::PRIMARY_STATEMENTS).await?;
        let reader = Role::CommandServiceReader;
        assert_prepares(&replica, reader, "primary", &way::REPLICA_STATEMENTS).await?;
        assert_prepares(&replica, reader, "queries", &queries::STATEMENTS).await?;
        assert_prepares(&replica, reader, "freshness", &freshness::watch::STATEMENTS).await?;
        assert_prepares(&replica, reader, "verify", &verify::REPLICA_STATEMENTS).await?;
        let owner = Role::EventConsumer;
        assert_prepares(&replica, owner, "projection", &projection::statements::STATEMENTS).await?;
        assert_prepares(&replica, owner, "holes", &holes::missing::STATEMENTS).await
    })
}

#[test]
fn every_statement_of_a_rebuild_fits_the_replica_and_the_copy_beside_it() -> Result<()> {
    with_databases(async |_, replica| {
        use event_consumer::rebuild::copy::{Director, STATEMENTS};

        let url = replica.server.url(Role::EventConsumer, &replica.name);
        let url = DatabaseUrl::parse(&url).context("no address")?;
        let director = Director::open(&url, Uuid::now_v7()).await?;
        director.build(&url).await?;

        assert_prepares(&replica, Role::EventConsumer, "rebuild", &STATEMENTS).await
    })
}

/// The lock that a migrator holds, and how long one that waited in the server for it would have waited at most.
const MIGRATION_LOCK: i64 = 0x7061_726b_6d69_6772;
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

#[test]
fn a_migrator_waits_for_another_one_until_it_is_done() -> Result<()> {
    with_pair(async |pair| {
        let other = pair.primary.connect_as(Role::CommandService).await?;
        other.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;

        let program = servers()?.binaries.command_service.clone();
        let environment = pair.command_environment();
        let mut migrating =
            tokio::spawn(async move { run(&program, &["migrate", "--json"], environment).await });
        let waited = timeout(LOCK_TIMEOUT + Duration::from_secs(2), &mut migrating).await;
        ensure!(waited.is_err(), "it did not wait: {waited:?}");
        other.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;

        let output = migrating.await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout)?.trim(), r#"{"migrations_applied":0}"#);
        Ok(())
    })
}

#[test]
fn every_table_column_and_function_has_a_comment() -> Result<()> {
    let objects = "
        SELECT relation.oid::regclass::text
        FROM pg_class AS relation
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'S')
          AND obj_description(oid, 'pg_class') IS NULL
          -- The sequence behind an identity column is described by the column.
          AND NOT EXISTS (SELECT FROM pg_depend
                          WHERE objid = relation.oid AND deptype = 'i' AND relkind = 'S')
        UNION ALL
        SELECT attrelid::regclass || '.' || attname
        FROM pg_attribute JOIN pg_class AS relation ON relation.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')
          AND attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL
        UNION ALL
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
        ORDER BY 1";
    with_databases(async |primary, replica| {
        for (database, least) in [(&primary, 5), (&replica, 5)] {
            let sql = database.sql().await?;
            let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
                          AND relkind IN ('r', 'v')";
            let found: i64 = sql.query_one(tables, &[]).await?.try_get(0)?;
            ensure!(found >= least, "{} has {found} tables and views: is it migrated?", database.name);

            let silent = sql.query(objects, &[]).await?;
            let silent: Vec<String> = silent.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;

            assert!(silent.is_empty(), "{} says nothing about {silent:?}", database.name);
        }
        Ok(())
    })
}

#[test]
fn every_constraint_of_our_tables_has_a_name_of_its_own() -> Result<()> {
    // A CHECK that PostgreSQL named by itself ends in _check, with a number for the second one.
    let unnamed = "SELECT conrelid::regclass || '.' || conname FROM pg_constraint
                   WHERE connamespace = 'public'::regnamespace AND contype = 'c' AND conname ~ '_check[0-9]*$'";
    with_databases(async |primary, replica| {
        for database in [&primary, &replica] {
            let rows = database.sql().await?.query(unnamed, &[]).await?;

            let names: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;

            assert!(names.is_empty(), "{}: {names:?}", database.name);
        }
        Ok(())
    })
}

#[test]
fn the_role_of_command_service_can_only_read_the_replica() -> Result<()> {
    with_databases(async |_, replica| {
        let reader = replica.connect_as(Role::CommandServiceReader).await?;
        reader.batch_execute("LISTEN anything").await?;
        reader.query("SELECT * FROM parking_slots", &[]).await?;
        // It may lift its own default, and still has no privilege.
        reader.batch_execute("SET default_transaction_read_only = off").await?;
        let writes = [
            "INSERT INTO parking_slots (uuid, version, created_at, updated_at, status, name)
             VALUES (gen_random_uuid(), 1, now(), now(), 'available', 'Written')",
            "UPDATE parking_slots SET name = 'Written'",
            "DELETE FROM parking_slots",
            "TRUNCATE parking_slots",
            "SELECT * FROM parking_slots FOR UPDATE",
            "UPDATE replication_status SET applied = applied",
            "UPDATE parking_slot_summary SET slots = 0",
            "DELETE FROM parking_slot_tombstones",
            "DELETE FROM dead_letters",
            "CREATE TABLE mine (number integer)",
            "CREATE TEMPORARY TABLE mine (number integer)",
            "ALTER TABLE parking_slots RENAME TO mine",
            "DROP TABLE parking_slots",
        ];

        for write in writes {
            let refused = reader.batch_execute(write).await;

            let code = refused.err().and_then(|error| error.code().cloned());
            assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{write}");
        }
        Ok(())
    })
}

#[test]
fn the_log_is_append_only_for_its_owner_too() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Slot 1").await?;
        let owner = pair.primary.connect_as(Role::CommandService).await?;
        let rewrites = [
            "UPDATE parking_slot_events SET name = 'Rewritten'",
            "DELETE FROM parking_slot_events",
            "TRUNCATE parking_slot_events",
        ];

        for rewrite in rewrites {
            assert!(owner.batch_execute(rewrite).await.is_err(), "{rewrite} was let through");
        }
        system_tests::assert_level(pair).await?;
        Ok(())
    })
}

#[test]
fn event_consumer_works_without_knowing_the_primary() -> Result<()> {
    with_pair(async |pair| {
        let pid = pair.event_consumer().pid().context("it does not run")?;

        let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
        let environment = String::from_utf8_lossy(&environment).into_owned();

        assert!(environment.contains("REPLICA_DATABASE_URL="), "this is its environment");
        let variables: Vec<&str> = environment.split('\0').collect();
        assert!(!variables.iter().any(|variable| variable.starts_with("DATABASE_URL=")), "no primary");
        assert!(!environment.contains(&pair.primary.name), "the primary's database is nowhere in it");
        pair.client().created("Slot 1").await?;
        system_tests::assert_level(pair).await?;
        assert_eq!(connections_from(pair, pid).await?, 0, "it holds no connection to the primary");
        Ok(())
    })
}

/// How many connections the primary has from the sockets of this process.
async fn connections_from(pair: &Pair, pid: u32) -> Result<usize> {
    let port = pair.links.command_primary.port();
    let direct = pair.primary.server.port();
    let inodes = socket_inodes(pid)?;
    ensure!(!inodes.is_empty(), "process {pid} has no sockets at all");
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let to_primary = table.lines().skip(1).filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let remote = fields.get(2).and_then(|address| address.rsplit(':').next());
        let remote = remote.and_then(|port| u16::from_str_radix(port, 16).ok());
        let inode = fields.get(9).copied().unwrap_or_default();
        (remote == Some(port) || remote == Some(direct)) && inodes.iter().any(|own| own == inode)
    });
    Ok(to_primary.count())
}

fn socket_inodes(pid: u32) -> Result<Vec<String>> {
    let mut inodes = Vec::new();
    for descriptor in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A descriptor may be closed between the listing and this look.
        let Ok(target) = std::fs::read_link(descriptor?.path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inodes.extend(inode.map(ToOwned::to_owned));
    }
    Ok(inodes)
}
