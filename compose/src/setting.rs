//! The variables in the environment of the services.

use crate::{Part, Port, Role};

/// What a variable of a service's environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The address of this server's database for this role.
    Database(Part, Role),
    /// The address of the broker.
    Broker,
    /// The key with which the services sign their messages.
    SigningKey,
    /// The port to listen on.
    Port(Port),
    /// The port of this part, to listen on: one without a default.
    FurtherPort(Part),
    /// The name of this replica, as its queue has it.
    ReplicaName(Part),
    /// The format of the logs: text for people here, JSON for programs where images run.
    LogFormat,
}
