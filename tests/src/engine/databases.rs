//! What the databases of the project hold.

use anyhow::{Context, Result};
use stack::{Part, Port};
use tokio_postgres::{Client, NoTls};

use super::Project;
use crate::level::Everything;

/// What the file's passwords are where nobody sets another.
const PASSWORD: &str = "parking";

/// Where PostgreSQL listens in a container.
const INNER_PORT: u16 = 5432;

impl Project {
    /// Everything that the primary and the first replica hold.
    ///
    /// # Errors
    /// One of them is down.
    pub async fn everything(&self) -> Result<Everything> {
        self.everything_with(Part::REPLICA).await
    }

    /// Everything that the primary and this replica hold, read through their published ports where they have one.
    ///
    /// # Errors
    /// One of them is down.
    pub async fn everything_with(&self, replica: Part) -> Result<Everything> {
        let primary = self.superuser(Part::Primary).await?;
        Everything::read_from(&primary, &self.superuser(replica).await?).await
    }

    async fn superuser(&self, part: Part) -> Result<Client> {
        let (_, database) = part.database().context("no database")?;
        let address = match Port::of(part) {
            Some(port) => format!("127.0.0.1:{}", self.port(port)),
            None => format!("{}:{INNER_PORT}", self.inner_address(&part.name())?),
        };
        let url = format!("postgres://postgres:{PASSWORD}@{address}/{database}");
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        // It ends with the client.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The address of a service's container in the project's network, which this machine reaches by its bridge.
    fn inner_address(&self, service: &str) -> Result<String> {
        let container = self.inspect(service)?;
        let networks = container["NetworkSettings"]["Networks"].as_object().context("no networks")?;
        let address = networks.values().find_map(|network| network["IPAddress"].as_str());
        address.map(str::to_owned).with_context(|| format!("{service} has no address"))
    }
}
