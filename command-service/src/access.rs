//! What each role may connect to. A role gets its own member of [`Access`] and nothing else.

use shared::{
    broker::{Broker, signing::UNSIGNED_MESSAGES},
    postgres::DatabaseUrl,
    process::settings::SettingError,
};

use crate::{
    primary::connection::Primary,
    roles::{Role, Roles},
    settings::Settings,
};

/// What the roles of a process may connect to, and nothing that they do not use. `None` for a role that the process
/// does not have.
#[derive(Debug)]
pub struct Access {
    /// For commands: the primary.
    pub command: Option<Primary>,
    /// For reads.
    pub query: Option<QueryAccess>,
    /// For the relay.
    pub relay: Option<RelayAccess>,
}

impl Access {
    /// What these roles may connect to. The roles of one process share their knowledge of the primary.
    ///
    /// # Errors
    /// A role needs a URL that is not set.
    pub fn of(settings: &Settings, roles: Roles) -> Result<Self, SettingError> {
        let (writing, querying, relaying) = (
            roles.only(&[Role::Command, Role::Relay]),
            roles.only(&[Role::Query]),
            roles.only(&[Role::Relay]),
        );
        if !writing.is_empty() {
            settings.primary_url(&writing.in_words())?;
        }
        // A process that only carries out commands never connects to the replica.
        let asks_replica = roles.has(Role::Query) || roles.has(Role::Relay);
        let replica = settings.replica.clone().filter(|_| asks_replica);
        let primary = settings.primary.clone().map(|url| Primary::new(url, replica));
        let query = match roles.has(Role::Query) {
            true => Some(QueryAccess {
                replica: settings.replica_url(&querying.in_words())?.clone(),
                primary: primary.clone(),
            }),
            false => None,
        };
        let broker = match roles.has(Role::Relay) {
            true => Some(settings.broker(&relaying.in_words())?),
            false => None,
        };
        let relay = primary.clone().zip(broker).map(|(primary, broker)| RelayAccess { primary, broker });
        Ok(Self { command: primary.filter(|_| roles.has(Role::Command)), query, relay })
    }

    /// The roles that it is for.
    #[must_use]
    pub fn roles(&self) -> Roles {
        Roles::that(|role| match role {
            Role::Command => self.command.is_some(),
            Role::Query => self.query.is_some(),
            Role::Relay => self.relay.is_some(),
        })
    }

    /// What an operator should know though everything works.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let relays_unsigned = self.relay.as_ref().is_some_and(|relay| !relay.broker.keys.are_set());
        relays_unsigned.then_some(UNSIGNED_MESSAGES).into_iter().collect()
    }

    /// Whether the process connects to the primary.
    #[must_use]
    pub fn has_primary(&self) -> bool {
        let looks_up = self.query.as_ref().is_some_and(|query| query.primary.is_some());
        self.command.is_some() || self.relay.is_some() || looks_up
    }
}

/// What reads connect to.
#[derive(Clone, Debug)]
pub struct QueryAccess {
    /// The database that answers reads.
    pub replica: DatabaseUrl,
    /// Where reads look up the end of the log. `None`: this process does not know the primary.
    pub primary: Option<Primary>,
}

/// What the relay connects to.
#[derive(Clone, Debug)]
pub struct RelayAccess {
    /// Where the log is.
    pub primary: Primary,
    /// The broker that gets the events.
    pub broker: Broker,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::{BROKER, PRIMARY, REPLICA};

    /// The settings with those URLs, of primary, replica and broker, that are meant to be set.
    fn settings(is_set: [bool; 3]) -> Settings {
        let [primary, replica, broker] = is_set;
        let url = |is_set: bool, url: &str| is_set.then(|| url.to_owned());
        let settings = json!({
            PRIMARY: url(primary, "postgres://a:b@127.0.0.1:9/a"),
            REPLICA: url(replica, "postgres://a:b@127.0.0.1:9/b"),
            BROKER: url(broker, "amqp://a:b@127.0.0.1:9/a"),
            "PARKING__HTTP__BIND": "127.0.0.1",
            "PARKING__HTTP__PORT": 0,
            "PARKING__HTTP__WORKERS": 1,
            "PARKING__HTTP__COMMAND_DEADLINE_MS": 10_000,
            "PARKING__HTTP__KEEP_ALIVE_S": 75,
            "PARKING__COMMIT__QUEUE_LIMIT": 1,
            "PARKING__FRESHNESS__MAX_WAITERS": 1,
            "PARKING__LOG__FORMAT": "text",
            "PARKING__LOG__LEVEL": "info",
        });
        serde_json::from_value(settings).expect("settings")
    }

    #[test]
    fn every_set_of_roles_gets_what_it_uses_and_names_the_first_url_that_it_lacks() {
        for case in 0..64_u8 {
            let bit = |index: u8| case & (1 << index) != 0;
            let is_set @ [primary, replica, broker] = [bit(0), bit(1), bit(2)];
            let [command, query, relay] = [bit(3), bit(4), bit(5)];
            let roles = Roles::that(|role| [command, query, relay][role as usize]);

            let lacks = [
                ((command || relay) && !primary).then_some(PRIMARY),
                (query && !replica).then_some(REPLICA),
                (relay && !broker).then_some(BROKER),
            ];
            match (Access::of(&settings(is_set), roles), lacks.into_iter().flatten().next()) {
                (Err(error), Some(name)) => assert_eq!(error.name, name, "{roles}, {is_set:?}"),
                (Ok(access), None) => {
                    assert_eq!(access.roles(), roles, "{is_set:?}");
                    assert_eq!(access.has_primary(), command || relay || (query && primary), "{roles}");
                    let looks_up = access.query.map(|query| query.primary.is_some());
                    assert_eq!(looks_up, query.then_some(primary), "{roles}, {is_set:?}");
                }
                (met, name) => panic!("{roles}, {is_set:?}: {met:?} instead of {name:?}"),
            }
        }
    }
}
