//! Health: `/health`, `/livez`, `/readyz`.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::json;
use shared::process::dependency_state::{Part, RETRY_AFTER_SECS, Readiness};
use tokio_util::sync::CancellationToken;

use super::{parameters::Parameters, problem::Problem};

/// The parts around command-service.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The database that commands are committed to.
    pub primary: Part,
    /// The database that reads are answered from.
    pub replica: Part,
    /// Where events go.
    pub broker: Part,
    /// Whether events get there.
    pub relay: Part,
    /// Cancelled when the service is about to end.
    pub shutdown: CancellationToken,
}

impl Parts {
    /// Parts that have not been reached yet.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            primary: Part::new("primary"),
            replica: Part::new("replica"),
            broker: Part::new("broker"),
            relay: Part::new("relay"),
            shutdown,
        }
    }

    /// The service is of use while it can serve reads or commands.
    fn readiness(&self) -> Readiness {
        let parts = [&self.primary, &self.replica, &self.broker, &self.relay];
        let useful = self.primary.is_up() || self.replica.is_up();
        Readiness::of(&parts, useful, self.shutdown.is_cancelled())
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
pub async fn readyz(request: HttpRequest, parts: web::Data<Parts>) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    let readiness = parts.readiness();
    if readiness.is_useful() {
        return Ok(HttpResponse::Ok().json(readiness));
    }
    let retry_after = (header::RETRY_AFTER, RETRY_AFTER_SECS.to_string());
    Ok(HttpResponse::ServiceUnavailable().insert_header(retry_after).json(readiness))
}
