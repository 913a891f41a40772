//! Health: `/health`, `/livez`, `/readyz`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use shared::{
    process::dependency_state::{Dependency, DependencyStatus, RETRY_AFTER_SECS, Readiness, ReadyStatus},
    time,
};
use tokio_util::sync::CancellationToken;

use super::{parameters::Parameters, problem::Problem};
use crate::{
    freshness::gate::{Gate, Heard},
    roles::{Role, Roles},
};

/// The dependencies of command-service. A process uses only those that its roles need.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The roles of this process.
    pub roles: Roles,
    /// Whether this process has access to the primary.
    pub uses_primary: bool,
    /// The database to which the service commits commands.
    pub primary: Dependency,
    /// The database from which the service answers reads.
    pub replica: Dependency,
    /// RabbitMQ, to which the relay publishes events.
    pub broker: Dependency,
    /// The relay: up while events reach the broker.
    pub relay: Dependency,
    /// What an operator should know though everything works.
    pub warnings: Vec<&'static str>,
    /// Cancelled when the service begins to shut down.
    pub shutdown: CancellationToken,
}

impl Dependencies {
    /// Dependencies that the service has not reached yet.
    #[must_use]
    pub fn new(roles: Roles, uses_primary: bool, shutdown: CancellationToken) -> Self {
        Self {
            roles,
            uses_primary,
            primary: Dependency::new("primary"),
            replica: Dependency::new("replica"),
            broker: Dependency::new("broker"),
            relay: Dependency::new("relay"),
            warnings: Vec::new(),
            shutdown,
        }
    }

    fn used(&self) -> Vec<&Dependency> {
        let relays = self.roles.has(Role::Relay);
        let all = [
            (self.uses_primary, &self.primary),
            (self.roles.has(Role::Query), &self.replica),
            (relays, &self.broker),
            (relays, &self.relay),
        ];
        all.into_iter().filter(|(is_used, _)| *is_used).map(|(_, dependency)| dependency).collect()
    }

    /// The names of the dependencies that are down.
    #[must_use]
    pub fn down(&self) -> Vec<&'static str> {
        let down = self.used().into_iter().filter(|dependency| !dependency.is_up());
        down.map(Dependency::name).collect()
    }

    /// The process is useful while one of its roles can do its work: commands, reads, or the relay of events.
    fn readiness(&self) -> Readiness {
        let (primary, replica, broker) = (self.primary.is_up(), self.replica.is_up(), self.broker.is_up());
        let useful = Role::ALL.into_iter().filter(|role| self.roles.has(*role)).any(|role| match role {
            Role::Command => primary,
            Role::Query => replica,
            Role::Relay => primary && broker,
        });
        Readiness::of(&self.used(), useful, self.shutdown.is_cancelled()).with_warnings(self.warnings.clone())
    }
}

/// `GET /health`
///
/// # Errors
/// The [`Problem`].
pub async fn health(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    Ok(HttpResponse::Ok().json(json!({ "message": "CQRS server is running..." })))
}

/// `GET /livez`: 200 while the process runs.
///
/// # Errors
/// The [`Problem`].
pub async fn livez(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    Ok(HttpResponse::Ok().json(json!({ "status": "live" })))
}

/// The answer of `/readyz`. The replica's entry also carries the replica's age.
#[derive(Serialize)]
struct ReadyBody {
    status: ReadyStatus,
    roles: Roles,
    dependencies: BTreeMap<&'static str, DependencyEntry>,
    warnings: Vec<&'static str>,
}

#[derive(Serialize)]
struct DependencyEntry {
    #[serde(flatten)]
    status: DependencyStatus,
    #[serde(flatten)]
    age: Option<Age>,
}

/// The replica's age, as the replica last reported it. Absent while the service gets no reports.
#[derive(Serialize)]
struct Age {
    /// As `Freshness-As-Of`. Absent until the replica is complete for the first time.
    #[serde(with = "time::option", skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
    /// As `Freshness-Lag-Ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<u128>,
    /// How long ago the replica reported this.
    heard_ms_ago: u128,
}

impl Age {
    fn of(heard: Heard) -> Self {
        Self {
            as_of: heard.as_of,
            lag_ms: heard.lag.map(|lag| lag.as_millis()),
            heard_ms_ago: heard.ago.as_millis(),
        }
    }
}

impl ReadyBody {
    fn of(readiness: Readiness, dependencies: &Dependencies, heard: Option<Heard>) -> Self {
        let entry = |(name, status)| {
            let age = heard.filter(|_| name == dependencies.replica.name()).map(Age::of);
            (name, DependencyEntry { status, age })
        };
        Self {
            status: readiness.status,
            roles: dependencies.roles,
            dependencies: readiness.dependencies.into_iter().map(entry).collect(),
            warnings: readiness.warnings,
        }
    }
}

/// `GET /readyz`: 200 while a role of this process can do its work, else 503.
///
/// # Errors
/// The [`Problem`].
pub async fn readyz(
    request: HttpRequest,
    dependencies: web::Data<Dependencies>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    let readiness = dependencies.readiness();
    let useful = readiness.is_useful();
    // Only a process that answers reads has a gate.
    let heard = request.app_data::<web::Data<Gate>>().and_then(|gate| gate.heard());
    let body = ReadyBody::of(readiness, &dependencies, heard);
    if useful {
        return Ok(HttpResponse::Ok().json(body));
    }
    let retry_after = (header::RETRY_AFTER, RETRY_AFTER_SECS.to_string());
    Ok(HttpResponse::ServiceUnavailable().insert_header(retry_after).json(body))
}
