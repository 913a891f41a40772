//! The variables in the environment of the services.

use crate::{Part, Port, Role};

/// What a variable of a service's environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The address of this server's database for this role.
    Database(Part, Role),
    /// The address of the broker.
    Broker,
    /// The port to listen on.
    Port(Port),
    /// The format of the logs: text for people here, JSON for programs where images run.
    LogFormat,
}

impl Part {
    /// The variables of a service. Each service gets only the addresses that it uses.
    pub fn settings(self) -> &'static [(&'static str, Setting)] {
        match self {
            Self::CommandService => &[
                ("DATABASE_URL", Setting::Database(Self::Primary, Role::CommandService)),
                ("REPLICA_DATABASE_URL", Setting::Database(Self::Replica, Role::CommandServiceReader)),
                ("RABBITMQ_BROKER_URL", Setting::Broker),
                ("PARKING__HTTP__PORT", Setting::Port(Port::Http)),
                ("PARKING__LOG__FORMAT", Setting::LogFormat),
            ],
            Self::EventConsumer => &[
                ("REPLICA_DATABASE_URL", Setting::Database(Self::Replica, Role::EventConsumer)),
                ("RABBITMQ_BROKER_URL", Setting::Broker),
                ("PARKING__CONSUMER__HTTP_PORT", Setting::Port(Port::ConsumerHttp)),
                ("PARKING__LOG__FORMAT", Setting::LogFormat),
            ],
            Self::Primary | Self::Replica | Self::RabbitMq => &[],
        }
    }
}
