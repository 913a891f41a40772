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
use crate::freshness::gate::{Gate, Heard};

/// The dependencies of command-service.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The database to which the service commits commands.
    pub primary: Dependency,
    /// The database from which the service answers reads.
    pub replica: Dependency,
    /// RabbitMQ, to which the relay publishes events.
    pub broker: Dependency,
    /// The relay: up while events reach the broker.
    pub relay: Dependency,
    /// Cancelled when the service begins to shut down.
    pub shutdown: CancellationToken,
}

impl Dependencies {
    /// Dependencies that the service has not reached yet.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            primary: Dependency::new("primary"),
            replica: Dependency::new("replica"),
            broker: Dependency::new("broker"),
            relay: Dependency::new("relay"),
            shutdown,
        }
    }

    fn all(&self) -> [&Dependency; 4] {
        [&self.primary, &self.replica, &self.broker, &self.relay]
    }

    /// The names of the dependencies that are down.
    #[must_use]
    pub fn down(&self) -> Vec<&'static str> {
        let down = self.all().into_iter().filter(|dependency| !dependency.is_up());
        down.map(Dependency::name).collect()
    }

    /// The service is useful while it can serve reads or commands.
    fn readiness(&self) -> Readiness {
        let useful = self.primary.is_up() || self.replica.is_up();
        Readiness::of(&self.all(), useful, self.shutdown.is_cancelled())
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
    dependencies: BTreeMap<&'static str, DependencyEntry>,
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
    fn of(readiness: Readiness, replica: &Dependency, heard: Option<Heard>) -> Self {
        let entry = |(name, status)| {
            let age = heard.filter(|_| name == replica.name()).map(Age::of);
            (name, DependencyEntry { status, age })
        };
        Self {
            status: readiness.status,
            dependencies: readiness.dependencies.into_iter().map(entry).collect(),
        }
    }
}

/// `GET /readyz`: 200 while reads or commands can be served, else 503.
///
/// # Errors
/// The [`Problem`].
pub async fn readyz(
    request: HttpRequest,
    dependencies: web::Data<Dependencies>,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    let readiness = dependencies.readiness();
    let useful = readiness.is_useful();
    let body = ReadyBody::of(readiness, &dependencies.replica, gate.heard());
    if useful {
        return Ok(HttpResponse::Ok().json(body));
    }
    let retry_after = (header::RETRY_AFTER, RETRY_AFTER_SECS.to_string());
    Ok(HttpResponse::ServiceUnavailable().insert_header(retry_after).json(body))
}
