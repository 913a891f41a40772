//! One database of a test, open to the superuser whatever the proxies do.

mod obstacles;

use std::{str::FromStr, sync::Arc};

use anyhow::{Context, Result};
use stack::{Postgres, Role};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls};

pub use self::obstacles::Hold;

/// A database and the server it is on.
#[derive(Debug)]
pub struct Database {
    /// The server.
    pub server: Postgres,
    /// The database's name.
    pub name: String,
    superuser: Mutex<Option<Arc<Client>>>,
}

impl Database {
    /// The database `name` on `server`.
    #[must_use]
    pub fn new(server: Postgres, name: String) -> Self {
        Self { server, name, superuser: Mutex::new(None) }
    }

    /// The superuser's connection; a new one when the old one was lost.
    ///
    /// # Errors
    /// The server is down.
    pub async fn sql(&self) -> Result<Arc<Client>> {
        let mut superuser = self.superuser.lock().await;
        if let Some(client) = superuser.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.connect_as(Role::Superuser).await?);
        *superuser = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Closes the superuser's connection, and every other one to this database.
    ///
    /// # Errors
    /// The server is down.
    pub async fn disconnect(&self) -> Result<()> {
        let sql = self.sql().await?;
        // All others: a database with connections cannot be copied.
        let others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sql.execute(others, &[]).await?;
        *self.superuser.lock().await = None;
        Ok(())
    }

    /// A connection of its own for `role`, past the proxies.
    ///
    /// # Errors
    /// The server is down.
    pub async fn connect_as(&self, role: Role) -> Result<Client> {
        let mut config = Config::from_str(&self.server.url(role, &self.name))?;
        config.application_name("test");
        let (client, connection) =
            config.connect(NoTls).await.with_context(|| format!("cannot connect to {}", self.name))?;
        // It ends with the client, or with the server; the client then says so.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The address of this database for `role` by way of a proxy on `port`.
    #[must_use]
    pub fn url_through(&self, role: Role, port: u16) -> String {
        let direct = self.server.url(role, &self.name);
        let (own, proxied) = (format!(":{}/", self.server.port()), format!(":{port}/"));
        direct.replacen(&own, &proxied, 1)
    }

    /// Ends, as the server's operator would, the connections of one step of the flow; how many there were.
    ///
    /// # Errors
    /// The server is down.
    pub async fn end_connections_of(&self, step: &str) -> Result<u64> {
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = $1 AND datname = current_database()";
        Ok(self.sql().await?.execute(ended, &[&step]).await?)
    }
}
