//! What the tables hold, as it is.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;
use shared::time;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct EventRow {
    pub position: i64,
    pub version: i64,
    pub committed_at: Timestamp,
    pub created_at: Timestamp,
    pub id: Uuid,
    pub slot_uuid: Uuid,
    pub kind: String,
    pub status: Option<String>,
    pub name: Option<String>,
    pub changed: Option<String>,
}

/// A row of the write model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct PrimaryRow {
    pub uuid: Uuid,
    pub name: String,
    pub status: String,
    pub version: i64,
    pub position: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A row of the read model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct ReplicaRow {
    pub uuid: Uuid,
    pub name: String,
    pub status: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub document: Option<String>,
}

/// A deleted slot in the read model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct Tombstone {
    pub uuid: Uuid,
    pub version: i64,
    pub deleted_at: Timestamp,
}

/// The one row that says what has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' comments say it")]
pub struct ReplicationStatus {
    pub applied: String,
    pub applied_through: i64,
    pub as_of: Option<Timestamp>,
    pub epoch: Option<Uuid>,
    /// How many commit times are kept for what lies beyond a hole.
    pub ahead: i64,
}

impl PrimaryRow {
    /// What the read model is to hold of it: all columns that both have, and the document that the API answers with.
    #[must_use]
    pub fn copy(&self) -> ReplicaRow {
        ReplicaRow {
            uuid: self.uuid,
            name: self.name.clone(),
            status: self.status.clone(),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            document: Some(self.document()),
        }
    }

    fn document(&self) -> String {
        let Self { uuid, status, version, .. } = self;
        let (created_at, updated_at) = (time::format(self.created_at), time::format(self.updated_at));
        format!(
            r#"{{"uuid":"{uuid}","name":{name},"status":"{status}","version":{version},"created_at":"{created_at}","updated_at":"{updated_at}"}}"#,
            name = Value::from(self.name.as_str()),
        )
    }
}

/// The log, in order of position.
///
/// # Errors
/// The primary is down.
pub async fn events(primary: &Client) -> Result<Vec<EventRow>> {
    let sql = "SELECT position, version, committed_at, created_at, id, slot_uuid, type, status, name, changed
               FROM parking_slot_events ORDER BY position";
    collect(primary, sql, |row| {
        Ok(EventRow {
            position: row.try_get("position")?,
            version: row.try_get("version")?,
            committed_at: row.try_get("committed_at")?,
            created_at: row.try_get("created_at")?,
            id: row.try_get("id")?,
            slot_uuid: row.try_get("slot_uuid")?,
            kind: row.try_get("type")?,
            status: row.try_get("status")?,
            name: row.try_get("name")?,
            changed: row.try_get("changed")?,
        })
    })
    .await
}

/// The write model, in order of uuid.
///
/// # Errors
/// The primary is down.
pub async fn primary_slots(primary: &Client) -> Result<Vec<PrimaryRow>> {
    let sql = "SELECT uuid, name, status, version, position, created_at, updated_at
               FROM parking_slots ORDER BY uuid";
    collect(primary, sql, |row| {
        Ok(PrimaryRow {
            uuid: row.try_get("uuid")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            version: row.try_get("version")?,
            position: row.try_get("position")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    })
    .await
}

/// The read model, in order of uuid.
///
/// # Errors
/// The replica is down.
pub async fn replica_slots(replica: &Client) -> Result<Vec<ReplicaRow>> {
    let sql = "SELECT uuid, name, status, version, created_at, updated_at, document
               FROM parking_slots ORDER BY uuid";
    collect(replica, sql, |row| {
        Ok(ReplicaRow {
            uuid: row.try_get("uuid")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            version: row.try_get("version")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            document: row.try_get("document")?,
        })
    })
    .await
}

/// The tombstones, in order of uuid.
///
/// # Errors
/// The replica is down.
pub async fn tombstones(replica: &Client) -> Result<Vec<Tombstone>> {
    let sql = "SELECT uuid, version, deleted_at FROM parking_slot_tombstones ORDER BY uuid";
    collect(replica, sql, |row| {
        Ok(Tombstone {
            uuid: row.try_get("uuid")?,
            version: row.try_get("version")?,
            deleted_at: row.try_get("deleted_at")?,
        })
    })
    .await
}

/// The precomputed summary.
///
/// # Errors
/// The replica is down.
pub async fn summary(replica: &Client) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT status, slots FROM parking_slot_summary";
    let rows = collect(replica, sql, |row| Ok((row.try_get("status")?, row.try_get("slots")?)));
    Ok(rows.await?.into_iter().collect())
}

/// What has been applied.
///
/// # Errors
/// The replica is down.
pub async fn replication_status(replica: &Client) -> Result<ReplicationStatus> {
    let sql = "SELECT applied::text, applied_through, as_of, epoch,
                      (SELECT count(*) FROM replication_ahead) AS ahead
               FROM replication_status";
    let row = replica.query_one(sql, &[]).await?;
    Ok(ReplicationStatus {
        applied: row.try_get("applied")?,
        applied_through: row.try_get("applied_through")?,
        as_of: row.try_get("as_of")?,
        epoch: row.try_get("epoch")?,
        ahead: row.try_get("ahead")?,
    })
}

async fn collect<T>(client: &Client, sql: &str, read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
    client.query(sql, &[]).await?.iter().map(read).collect()
}
