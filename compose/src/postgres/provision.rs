//! Roles and databases of the two services.

use anyhow::{Result, ensure};

use super::{Postgres, Role, SUPERUSER};

impl Postgres {
    /// Makes the database of the write side and the role that owns it. Fine to repeat.
    pub fn provision_primary(&self, database: &str) -> Result<()> {
        check_name(database)?;
        let sql = [
            one_at_a_time().to_owned(),
            self.role(Role::CommandService),
            owned_database(database, Role::CommandService),
        ];
        self.execute(SUPERUSER, &sql.concat()).map(|_| ())
    }

    /// Makes the database of the read side, the role that owns it and the role that may only read it. Fine to
    /// repeat.
    pub fn provision_replica(&self, database: &str) -> Result<()> {
        check_name(database)?;
        let sql = [
            one_at_a_time().to_owned(),
            self.role(Role::EventConsumer),
            self.role(Role::CommandServiceReader),
            format!(
                "ALTER ROLE {} SET default_transaction_read_only = on;\n",
                Role::CommandServiceReader.name()
            ),
            owned_database(database, Role::EventConsumer),
            reader_grants(database),
        ];
        self.execute(SUPERUSER, &sql.concat()).map(|_| ())
    }

    /// Copies a database that nobody is connected to, with its owner and its grants.
    pub fn create_database_from(&self, template: &str, database: &str) -> Result<()> {
        check_name(template)?;
        check_name(database)?;
        let owner = format!(
            "SELECT format('ALTER DATABASE {database} OWNER TO %I', datdba::regrole::text) \
             FROM pg_database WHERE datname = '{template}' \\gexec\n"
        );
        // A copy gets the grants inside of the database, but not those on it.
        let connect = format!(
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC;\n\
             SELECT format('GRANT CONNECT ON DATABASE {database} TO %I', a.grantee::regrole::text) \
             FROM pg_database d, aclexplode(d.datacl) a \
             WHERE d.datname = '{template}' AND a.privilege_type = 'CONNECT' AND a.grantee <> 0 \\gexec\n"
        );
        let create = format!("CREATE DATABASE {database} TEMPLATE {template};\n");
        self.execute(SUPERUSER, &[create, owner, connect].concat()).map(|_| ())
    }

    /// Drops a database, cutting off who is connected to it. Fine when it does not exist.
    pub fn drop_database(&self, database: &str) -> Result<()> {
        check_name(database)?;
        self.execute(SUPERUSER, &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE);\n")).map(|_| ())
    }

    fn role(&self, role: Role) -> String {
        let (name, password) = (role.name(), &self.passwords[&role].0);
        format!(
            "SELECT 'CREATE ROLE {name}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec\n\
             ALTER ROLE {name} LOGIN PASSWORD '{password}';\n"
        )
    }
}

/// Two provisioners at once would both find a role missing. Held until the session ends or changes database.
fn one_at_a_time() -> &'static str {
    "SELECT FROM pg_advisory_lock(7275);\nSET client_min_messages = warning;\n"
}

fn owned_database(database: &str, owner: Role) -> String {
    let owner = owner.name();
    format!(
        "SELECT 'CREATE DATABASE {database} OWNER {owner}' \
         WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec\n\
         REVOKE ALL ON DATABASE {database} FROM PUBLIC;\n\
         \\connect {database}\n\
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n\
         GRANT ALL ON SCHEMA public TO {owner};\n"
    )
}

fn reader_grants(database: &str) -> String {
    let (owner, reader) = (Role::EventConsumer.name(), Role::CommandServiceReader.name());
    format!(
        "GRANT CONNECT ON DATABASE {database} TO {reader};\n\
         GRANT USAGE ON SCHEMA public TO {reader};\n\
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};\n\
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT SELECT ON TABLES TO {reader};\n"
    )
}

/// Names stand in the SQL as they are, so only such that need no quoting are let through.
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
