//! The ports of a stack that have a flag and a default, by their purpose. All others are free ones.

use serde::{Deserialize, Serialize};

use crate::Part;

/// A port by its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port {
    /// HTTP of command-service.
    Http,
    /// Probes of event-consumer.
    ConsumerHttp,
    /// The primary.
    Primary,
    /// The replica.
    Replica,
    /// AMQP of the broker.
    Amqp,
    /// The management API and pages of the broker.
    Management,
    /// HTTP of the gateway.
    Gateway,
}

impl Port {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Http,
        Self::ConsumerHttp,
        Self::Primary,
        Self::Replica,
        Self::Amqp,
        Self::Management,
        Self::Gateway,
    ];

    /// The flag of `cargo stack up` that asks for another.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Http => "--http-port",
            Self::ConsumerHttp => "--consumer-http-port",
            Self::Primary => "--primary-port",
            Self::Replica => "--replica-port",
            Self::Amqp => "--amqp-port",
            Self::Management => "--management-port",
            Self::Gateway => "--gateway-port",
        }
    }

    /// The port that is taken unless another one is asked for.
    pub fn default_value(self) -> u16 {
        match self {
            Self::Http => 8000,
            Self::ConsumerHttp => 8001,
            Self::Primary => 5434,
            Self::Replica => 5435,
            Self::Amqp => 5673,
            Self::Management => 15673,
            Self::Gateway => 8080,
        }
    }

    /// The first port of a part that has one with a flag.
    pub fn of(part: Part) -> Option<Self> {
        Self::ALL.into_iter().find(|port| port.part() == part)
    }

    /// Whose port it is.
    pub fn part(self) -> Part {
        match self {
            Self::Http => Part::CommandService,
            Self::ConsumerHttp => Part::EVENT_CONSUMER,
            Self::Primary => Part::Primary,
            Self::Replica => Part::REPLICA,
            Self::Amqp | Self::Management => Part::RabbitMq,
            Self::Gateway => Part::Gateway,
        }
    }
}
