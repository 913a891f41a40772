//! The parts of a stack and their names, which `cargo stack` and the images share.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Role;

/// One part of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The database of the write side.
    Primary,
    /// The database of the read side.
    Replica,
    /// The broker.
    #[value(name = "rabbitmq")]
    #[serde(rename = "rabbitmq")]
    RabbitMq,
    /// Takes commands and answers reads.
    CommandService,
    /// Maintains the replica.
    EventConsumer,
}

impl Part {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] =
        [Self::Primary, Self::Replica, Self::RabbitMq, Self::CommandService, Self::EventConsumer];

    /// The servers, which the services need.
    pub const SERVERS: [Self; 3] = [Self::Primary, Self::Replica, Self::RabbitMq];

    /// The services.
    pub const SERVICES: [Self; 2] = [Self::CommandService, Self::EventConsumer];

    /// Its name on the command line, in addresses and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::RabbitMq => "rabbitmq",
            Self::CommandService => "command-service",
            Self::EventConsumer => "event-consumer",
        }
    }

    /// The servers without which it cannot be ready.
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::CommandService => &[Self::Primary, Self::Replica, Self::RabbitMq],
            Self::EventConsumer => &[Self::Replica, Self::RabbitMq],
            Self::Primary | Self::Replica | Self::RabbitMq => &[],
        }
    }

    /// The database of a server and the role that owns it.
    pub fn database(self) -> Option<(Role, &'static str)> {
        match self {
            Self::Primary => Some((Role::CommandService, "parking")),
            Self::Replica => Some((Role::EventConsumer, "parking_replica")),
            _ => None,
        }
    }

    /// The service whose migrations are those of this database.
    pub fn migrated_by(self) -> Option<Self> {
        match self {
            Self::Primary => Some(Self::CommandService),
            Self::Replica => Some(Self::EventConsumer),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name_everywhere() {
        for part in Part::ALL {
            let argument = part.to_possible_value().expect("a value").get_name().to_owned();
            let json = serde_json::to_value(part).expect("JSON");

            assert_eq!(argument, part.name());
            assert_eq!(json, part.name());
        }
    }
}
