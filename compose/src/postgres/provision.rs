//! Roles and databases of the two services.

use anyhow::{Result, ensure};

use super::{Postgres, Role, SUPERUSER};

/// The same SQL as the images run.
const PRIMARY: &str = include_str!("../../provision/primary.sql");
const REPLICA: &str = include_str!("../../provision/replica.sql");

impl Postgres {
    /// Makes the database of the write side and the role that owns it, where they are missing.
    pub fn provision_primary(&self, database: &str) -> Result<()> {
        let variables = [self.variable("command_service_password", Role::CommandService)];
        self.provision(database, &variables, PRIMARY)
    }

    /// Makes the database of the read side, the role that owns it and the role that may only read it, where they are
    /// missing.
    pub fn provision_replica(&self, database: &str) -> Result<()> {
        let variables = [
            self.variable("event_consumer_password", Role::EventConsumer),
            self.variable("command_service_reader_password", Role::CommandServiceReader),
        ];
        self.provision(database, &variables, REPLICA)
    }

    fn provision(&self, database: &str, variables: &[String], sql: &str) -> Result<()> {
        check_name(database)?;
        let database = format!("\\set database {database}\n");
        self.execute(SUPERUSER, &[database.as_str(), &variables.concat(), sql].concat()).map(|_| ())
    }

    /// Passwords go with the SQL: a command line would show them to every process. They are hexadecimal.
    fn variable(&self, name: &str, role: Role) -> String {
        format!("\\set {name} {}\n", self.passwords[&role].0)
    }

    /// Copies a database with its owner and its grants. Fails while a client is connected to it.
    pub fn create_database_from(&self, template: &str, database: &str) -> Result<()> {
        check_name(template)?;
        check_name(database)?;
        let owner = format!(
            "SELECT format('ALTER DATABASE {database} OWNER TO %I', datdba::regrole::text) \
             FROM pg_database WHERE datname = '{template}' \\gexec\n"
        );
        // A copy has the grants inside of the database, but not the grants on the database.
        let connect = format!(
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC;\n\
             SELECT format('GRANT CONNECT ON DATABASE {database} TO %I', a.grantee::regrole::text) \
             FROM pg_database d, aclexplode(d.datacl) a \
             WHERE d.datname = '{template}' AND a.privilege_type = 'CONNECT' AND a.grantee <> 0 \\gexec\n"
        );
        let create = format!("CREATE DATABASE {database} TEMPLATE {template};\n");
        self.execute(SUPERUSER, &[create, owner, connect].concat()).map(|_| ())
    }

    /// Drops a database and ends the connections to it. Does nothing when there is no such database.
    pub fn drop_database(&self, database: &str) -> Result<()> {
        check_name(database)?;
        self.execute(SUPERUSER, &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE);\n")).map(|_| ())
    }
}

/// Names stand in the SQL without quotes, so only those that need none are accepted.
fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    ensure!(
        starts_well && name.bytes().all(plain) && name.len() <= 63,
        "`{name}` is not a plain database name: [a-z_][a-z0-9_]*, at most 63 characters"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_reach_the_sql() {
        for (name, plain, reason) in [
            ("parking", true, "letters"),
            ("_t1", true, "may begin with an underscore"),
            ("1t", false, "would need quotes"),
            ("Parking", false, "would be folded to lower case"),
            ("a b", false, "would need quotes"),
            ("a;DROP", false, "would end the statement"),
            ("", false, "is no name"),
        ] {
            assert_eq!(check_name(name).is_ok(), plain, "`{name}`: {reason}");
        }
    }
}
