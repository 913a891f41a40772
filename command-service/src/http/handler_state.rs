//! What the handlers share.

use actix_web::web::{self, ServiceConfig};

use super::{probes::Dependencies, routes};
use crate::{commands::queue::CommandQueue, freshness::gate::Gate, queries::replica::Replica, roles::Roles};

/// The shared state of the handlers. `None` for what only another role's handlers use.
#[derive(Clone, Debug)]
pub struct HandlerState {
    /// The roles of the process.
    pub roles: Roles,
    /// Takes commands.
    pub commands: Option<CommandQueue>,
    /// Reads the replica.
    pub replica: Option<Replica>,
    /// Decides whether a read is fresh enough.
    pub gate: Option<Gate>,
    /// How the dependencies are.
    pub dependencies: Dependencies,
}

impl HandlerState {
    /// Adds the state and all resources.
    pub fn configure(self, config: &mut ServiceConfig) {
        let Self { roles, commands, replica, gate, dependencies } = self;
        config.app_data(web::Data::new(dependencies));
        if let Some(commands) = commands {
            config.app_data(web::Data::new(commands));
        }
        if let Some(replica) = replica {
            config.app_data(web::Data::new(replica));
        }
        if let Some(gate) = gate {
            config.app_data(web::Data::new(gate));
        }
        routes::configure(config, roles);
    }
}
