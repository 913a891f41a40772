//! The parts of a stack and their names, which `cargo stack` and the images share.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Role, shape::COUNT_MAX};

/// One part of the stack. Numbers begin with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Part {
    /// The database of the write side.
    Primary,
    /// A database of the read side.
    Replica(u8),
    /// The broker.
    RabbitMq,
    /// Takes commands, and answers reads where no query process does.
    CommandService,
    /// A process of command-service that only answers reads.
    Query(u8),
    /// Maintains the replica of the same number.
    EventConsumer(u8),
    /// Sends each request to a process that can answer it.
    Gateway,
}

/// What is no name of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPart(String);

impl Part {
    /// The replica that every stack has.
    pub const REPLICA: Self = Self::Replica(1);

    /// The consumer that every stack has.
    pub const EVENT_CONSUMER: Self = Self::EventConsumer(1);

    /// Its name on the command line, in addresses and in records.
    pub fn name(self) -> String {
        let numbered = |name: &str, number| match number {
            1 => name.to_owned(),
            _ => format!("{name}-{number}"),
        };
        match self {
            Self::Primary => "primary".to_owned(),
            Self::Replica(number) => numbered("replica", number),
            Self::RabbitMq => "rabbitmq".to_owned(),
            Self::CommandService => "command-service".to_owned(),
            Self::Query(number) => format!("query-{number}"),
            Self::EventConsumer(number) => numbered("event-consumer", number),
            Self::Gateway => "gateway".to_owned(),
        }
    }

    /// Whether it is a database or the broker, which the services need.
    pub fn is_server(self) -> bool {
        matches!(self, Self::Primary | Self::Replica(_) | Self::RabbitMq)
    }

    /// Whether it runs a program of this workspace.
    pub fn is_service(self) -> bool {
        matches!(self, Self::CommandService | Self::Query(_) | Self::EventConsumer(_))
    }

    /// The database of a server and the role that owns it.
    pub fn database(self) -> Option<(Role, &'static str)> {
        match self {
            Self::Primary => Some((Role::CommandService, "parking")),
            Self::Replica(_) => Some((Role::EventConsumer, "parking_replica")),
            _ => None,
        }
    }

    /// The service whose migrations are those of this database.
    pub fn migrated_by(self) -> Option<Self> {
        match self {
            Self::Primary => Some(Self::CommandService),
            Self::Replica(number) => Some(Self::EventConsumer(number)),
            _ => None,
        }
    }

    /// The database whose migrations this service has.
    pub fn migrates(self) -> Option<Self> {
        match self {
            Self::CommandService => Some(Self::Primary),
            Self::EventConsumer(number) => Some(Self::Replica(number)),
            _ => None,
        }
    }

    /// The name of a replica, as its consumer and its queue have it.
    pub fn replica_name(self) -> Option<String> {
        match self {
            Self::Replica(1) => Some("main".to_owned()),
            Self::Replica(_) => Some(self.name()),
            _ => None,
        }
    }

    /// Every part that a stack can have.
    fn possible() -> impl Iterator<Item = Self> {
        let numbered = [Self::Replica as fn(u8) -> Self, Self::Query, Self::EventConsumer];
        let numbered = numbered.into_iter().flat_map(|part| (1..=COUNT_MAX).map(part));
        [Self::Primary, Self::RabbitMq, Self::CommandService, Self::Gateway].into_iter().chain(numbered)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.name())
    }
}

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(name: &str) -> Result<Self, UnknownPart> {
        Self::possible().find(|part| part.name() == name).ok_or_else(|| UnknownPart(name.to_owned()))
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.name()
    }
}

impl TryFrom<String> for Part {
    type Error = UnknownPart;

    fn try_from(name: String) -> Result<Self, UnknownPart> {
        name.parse()
    }
}

impl fmt::Display for UnknownPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` is no part: primary, replica, replica-2 to replica-{COUNT_MAX}, rabbitmq, command-service, \
             query-1 to query-{COUNT_MAX}, event-consumer, event-consumer-2 to event-consumer-{COUNT_MAX}, gateway",
            self.0
        )
    }
}

impl std::error::Error for UnknownPart {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name_everywhere() {
        for part in Part::possible() {
            let json = serde_json::to_value(part).expect("JSON");

            assert_eq!(part.name().parse(), Ok(part));
            assert_eq!(json, part.name());
            assert_eq!(serde_json::from_value::<Part>(json).expect("a part"), part);
        }
    }

    #[test]
    fn only_whole_names_are_names() {
        for (name, reason) in [
            ("replica-1", "the first one has no number"),
            ("replica-9", "beyond the bound"),
            ("query", "query processes have numbers"),
            ("query-0", "numbers begin with 1"),
            ("query-01", "a number has one form"),
            ("Primary", "names are in lower case"),
            ("", "nothing"),
        ] {
            assert!(name.parse::<Part>().is_err(), "`{name}`: {reason}");
        }
    }
}
