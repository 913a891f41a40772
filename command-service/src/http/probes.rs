//! Health: `/health`, `/livez`, `/readyz`.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::json;
use shared::process::dependency_state::{Dependency, RETRY_AFTER_SECS, Readiness};
use tokio_util::sync::CancellationToken;

use super::{parameters::Parameters, problem::Problem};

/// The dependencies around command-service.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The database that commands are committed to.
    pub primary: Dependency,
    /// The database that reads are answered from.
    pub replica: Dependency,
    /// Where events go.
    pub broker: Dependency,
    /// Whether events get there.
    pub relay: Dependency,
    /// Cancelled when the service is about to end.
    pub shutdown: CancellationToken,
}

impl Dependencies {
    /// Dependencies that have not been reached yet.
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

    /// The service is of use while it can serve reads or commands.
    fn readiness(&self) -> Readiness {
        let dependencies = [&self.primary, &self.replica, &self.broker, &self.relay];
        let useful = self.primary.is_up() || self.replica.is_up();
        Readiness::of(&dependencies, useful, self.shutdown.is_cancelled())
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

/// `GET /readyz`: 200 while reads or commands can be served, else 503.
///
/// # Errors
/// The [`Problem`].
pub async fn readyz(
    request: HttpRequest,
    dependencies: web::Data<Dependencies>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    let readiness = dependencies.readiness();
    if readiness.is_useful() {
        return Ok(HttpResponse::Ok().json(readiness));
    }
    let retry_after = (header::RETRY_AFTER, RETRY_AFTER_SECS.to_string());
    Ok(HttpResponse::ServiceUnavailable().insert_header(retry_after).json(readiness))
}
