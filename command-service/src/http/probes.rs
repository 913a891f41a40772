//! Health: `/health`, `/livez`, `/readyz`.

use actix_web::{HttpResponse, web};
use serde_json::json;
use shared::parts::{Part, Readiness};
use tokio_util::sync::CancellationToken;

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
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "message": "CQRS server is running..." }))
}

/// `GET /livez`: 200 while the process runs.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// `GET /readyz`: 200 while reads or commands can be served, else 503.
pub async fn readyz(parts: web::Data<Parts>) -> HttpResponse {
    let readiness = parts.readiness();
    let mut answer =
        if readiness.is_useful() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(readiness)
}
