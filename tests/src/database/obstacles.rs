//! What a test puts in the way of the services: locks that somebody holds, rows that the database refuses, slowness.

use anyhow::{Context, Result};
use command_service::primary::commit_lock::COMMIT_LOCK;
use stack::Role;
use tokio_postgres::Client;
use uuid::Uuid;

use super::Database;

/// A transaction of somebody else's, with what it has locked. Dropping it lets go as well.
#[derive(Debug)]
pub struct Hold(Client);

impl Hold {
    /// Lets go, and has changed nothing.
    ///
    /// # Errors
    /// The server is down, and the locks are gone with it.
    pub async fn release(self) -> Result<()> {
        self.0.batch_execute("ROLLBACK").await.context("what was held is gone")
    }
}

impl Database {
    /// Runs `locking` in a transaction that stays open.
    ///
    /// # Errors
    /// The server is down, or refuses.
    pub async fn hold(&self, locking: &str) -> Result<Hold> {
        let client = self.connect_as(Role::Superuser).await?;
        client.batch_execute(&format!("BEGIN; {locking}")).await?;
        Ok(Hold(client))
    }

    /// Holds a slot: nobody else can change it.
    ///
    /// # Errors
    /// The server is down.
    pub async fn hold_slot(&self, slot: Uuid) -> Result<Hold> {
        self.hold(&format!("SELECT FROM parking_slots WHERE uuid = '{slot}' FOR UPDATE")).await
    }

    /// Holds the commit lock: nobody else can append to the log.
    ///
    /// # Errors
    /// The server is down.
    pub async fn hold_commit_lock(&self) -> Result<Hold> {
        self.hold(&format!("SELECT pg_advisory_xact_lock({COMMIT_LOCK})")).await
    }

    /// Holds the status row, which whoever applies locks first: a consumer stands in the middle of its transaction.
    ///
    /// # Errors
    /// The server is down.
    pub async fn hold_status(&self) -> Result<Hold> {
        self.hold("SELECT FROM replication_status FOR UPDATE").await
    }

    /// From now on `table` refuses rows whose name begins with `culprit`, with this SQLSTATE.
    ///
    /// # Errors
    /// The server is down.
    pub async fn refuse_culprits(&self, table: &str, sqlstate: &str) -> Result<()> {
        let sql = format!(
            "CREATE FUNCTION refuse_culprits() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.name LIKE 'culprit%' THEN
                     RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}';
                 END IF;
                 RETURN NEW;
             END
             $$;
             CREATE TRIGGER refuse_culprits BEFORE INSERT OR UPDATE ON {table}
                 FOR EACH ROW EXECUTE FUNCTION refuse_culprits();"
        );
        Ok(self.sql().await?.batch_execute(&sql).await?)
    }

    /// Takes them again.
    ///
    /// # Errors
    /// The server is down, or nothing was refused.
    pub async fn accept_culprits(&self) -> Result<()> {
        Ok(self.sql().await?.batch_execute("DROP FUNCTION refuse_culprits() CASCADE").await?)
    }

    /// Makes every statement that appends to the log, and every commit of one, take this long.
    ///
    /// # Errors
    /// The server is down.
    pub async fn slow_down_the_log(&self, seconds: f64) -> Result<()> {
        let sql = format!(
            "CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_sleep({seconds});
                 RETURN NULL;
             END
             $$;
             CREATE TRIGGER take_long AFTER INSERT ON parking_slot_events
                 FOR EACH STATEMENT EXECUTE FUNCTION take_long();
             CREATE CONSTRAINT TRIGGER take_long_at_commit AFTER INSERT ON parking_slot_events
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_long();"
        );
        Ok(self.sql().await?.batch_execute(&sql).await?)
    }
}
