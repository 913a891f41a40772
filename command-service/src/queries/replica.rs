//! The pool of connections to the replica, and reads on them.

use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use futures_util::future::BoxFuture;
use shared::{
    postgres::{CONNECT_DEADLINE, ConnectError, DatabaseUrl, Fault, SessionKind},
    process::cause::chain,
    process::dependency_state::Dependency,
    slot::Slot,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Config, NoTls, Row};

use super::status::ReplicaStatus;
use crate::register::record::SlotRecord;

/// Time limit of a read, including the wait for a connection.
pub const READ_DEADLINE: Duration = Duration::from_secs(5);

/// Connections to the replica. Further reads wait for a free one.
const POOL_MAX_CONNECTIONS: usize = 4;

/// Attempts of a read: it changes connection when its own is dead, and all of the pool may be dead.
const TRIES_MAX: usize = POOL_MAX_CONNECTIONS + 1;

/// The pool opens its connections itself, so [`Replica::read`] enforces the deadline, for the whole read.
const KIND: SessionKind = SessionKind {
    step: "query",
    options: "-c statement_timeout=4s -c default_transaction_read_only=on \
                  -c max_parallel_workers_per_gather=0",
    deadline: READ_DEADLINE,
};

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The replica is down, or did not answer in time.
    #[error("the replica database is down")]
    Down(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The replica refused the query: a fault of this service.
    #[error("the replica refused a query")]
    Sql(#[source] tokio_postgres::Error),
}

/// The result of a read, the replica's status in the same snapshot, and the time it took.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The result.
    pub found: T,
    /// The replica's status in the snapshot of the result.
    pub status: ReplicaStatus,
    /// How long the read waited for a connection.
    pub waited: Duration,
    /// How long the query took.
    pub queried: Duration,
}

impl<T> Read<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Read<U> {
        let Self { found, status, waited, queried } = self;
        Read { found: change(found), status, waited, queried }
    }
}

/// Reads the replica through a pool of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Replica {
    pool: Pool,
    dependency: Dependency,
}

impl Replica {
    /// A pool that connects when needed. Call it on the main runtime, which then drives the connections. A connection
    /// opened on an HTTP worker's runtime would stall and die with that worker.
    ///
    /// # Errors
    /// None that these arguments can cause.
    pub fn new(replica: &DatabaseUrl, dependency: Dependency) -> Result<Self, deadpool_postgres::BuildError> {
        let connect = ConnectOnMain { main: Handle::current() };
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(replica.config(KIND), connect, recycling);
        let pool = Pool::builder(manager)
            .max_size(POOL_MAX_CONNECTIONS)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .create_timeout(Some(CONNECT_DEADLINE))
            .wait_timeout(Some(READ_DEADLINE))
            .build()?;
        Ok(Self { pool, dependency })
    }

    /// Runs a query. Tries another connection if its own is dead.
    ///
    /// # Errors
    /// [`ReadError`], at the latest after [`READ_DEADLINE`].
    pub(super) async fn read<T>(
        &self,
        query: impl AsyncFn(&deadpool_postgres::Client) -> Result<(T, ReplicaStatus), tokio_postgres::Error>,
    ) -> Result<Read<T>, ReadError> {
        let asked_at = Instant::now();
        let reading = async {
            let mut tries_left = TRIES_MAX;
            loop {
                let client = self.connection().await?;
                let connected_at = Instant::now();
                let error = match query(&client).await {
                    Ok((found, status)) => {
                        return Ok(Read {
                            found,
                            status,
                            waited: connected_at - asked_at,
                            queried: connected_at.elapsed(),
                        });
                    }
                    Err(error) => error,
                };
                tries_left -= 1;
                match Fault::of(&error, &client) {
                    Fault::ConnectionLost if tries_left > 0 => drop(Object::take(client)),
                    Fault::ConnectionLost | Fault::Unable | Fault::Retryable => {
                        return Err(ReadError::Down(error.into()));
                    }
                    Fault::Data | Fault::Other => return Err(ReadError::Sql(error)),
                }
            }
        };
        let result =
            timeout(READ_DEADLINE, reading).await.unwrap_or_else(|late| Err(ReadError::Down(late.into())));
        match &result {
            Err(error @ ReadError::Down(_)) => self.dependency.down("not connected", error),
            Ok(_) | Err(ReadError::Sql(_)) => self.dependency.up(),
        }
        result
    }

    async fn connection(&self) -> Result<deadpool_postgres::Client, ReadError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(_) => ReadError::Down(ConnectError::Deadline.into()),
            error => ReadError::Down(error.into()),
        })
    }
}

/// Opens connections on the main runtime, whichever runtime the read runs on.
#[derive(Debug)]
struct ConnectOnMain {
    main: Handle,
}

impl Connect for ConnectOnMain {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        let connecting = self.main.spawn(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = chain(&error), "connection to the replica ended");
                }
            });
            Ok((client, driver))
        });
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected,
                // The main runtime is ending. The caller's own deadline ends this wait.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

pub(super) fn slot_record(row: &Row) -> Result<SlotRecord, tokio_postgres::Error> {
    Ok(SlotRecord {
        slot: Slot {
            uuid: row.try_get("uuid")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            version: row.try_get("version")?,
        },
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
