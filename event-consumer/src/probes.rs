//! Health: `/livez`, `/readyz`.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use serde_json::json;
use shared::parts::{Part, Readiness};
use tokio_util::sync::CancellationToken;

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// The parts around event-consumer.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where events come from.
    pub broker: Part,
    /// Where they are applied.
    pub replica: Part,
    /// Whether what is missing comes when it is asked for.
    pub log: Part,
    /// Cancelled when the service is about to end.
    pub shutdown: CancellationToken,
}

impl Parts {
    /// Parts that have not been reached yet.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { broker: Part::new("broker"), replica: Part::new("replica"), log: Part::new("log"), shutdown }
    }

    /// Without either part nothing can be applied.
    fn readiness(&self) -> Readiness {
        let useful = self.broker.is_up() && self.replica.is_up();
        Readiness::of(&[&self.broker, &self.replica, &self.log], useful, self.shutdown.is_cancelled())
    }
}

/// Adds the resources.
pub fn configure(config: &mut ServiceConfig) {
    config.route("/livez", web::get().to(livez)).route("/readyz", web::get().to(readyz));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().insert_header(NO_STORE).json(json!({ "status": "live" }))
}

async fn readyz(parts: web::Data<Parts>) -> HttpResponse {
    let readiness = parts.readiness();
    let mut answer =
        if readiness.is_useful() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header(NO_STORE).json(readiness)
}
