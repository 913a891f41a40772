//! Health probes: `/livez`, `/readyz`.

use actix_web::{
    HttpResponse, Resource, Route, guard,
    http::header,
    web::{self, ServiceConfig},
};
use serde_json::json;
use shared::{
    broker::signing::UNSIGNED_MESSAGES,
    process::dependency_state::{Dependency, RETRY_AFTER_SECS, Readiness},
};
use tokio_util::sync::CancellationToken;

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// The dependencies around event-consumer.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The broker, from which events come.
    pub broker: Dependency,
    /// The replica, to which events are applied.
    pub replica: Dependency,
    /// The log: up while missing positions arrive on request.
    pub log: Dependency,
    /// Up while dead letters can be stored.
    pub dead_letters: Dependency,
    /// Up while the replica has the epoch of the events that arrive.
    pub epoch: Dependency,
    /// Whether messages must be signed.
    pub are_messages_signed: bool,
    /// Cancelled when the service starts to shut down.
    pub shutdown: CancellationToken,
}

impl Dependencies {
    /// Dependencies that are not reached yet. The epoch counts as right, and dead letters as stored, until the
    /// contrary is known.
    #[must_use]
    pub fn new(are_messages_signed: bool, shutdown: CancellationToken) -> Self {
        let (broker, replica) = (Dependency::new("broker"), Dependency::new("replica"));
        let (log, epoch) = (Dependency::new("log"), Dependency::new("epoch"));
        let dead_letters = Dependency::new("dead_letters");
        epoch.up();
        dead_letters.up();
        Self { broker, replica, log, dead_letters, epoch, are_messages_signed, shutdown }
    }

    /// Ready while broker, replica and epoch are up: without one of them nothing can be applied.
    fn readiness(&self) -> Readiness {
        let useful = self.broker.is_up() && self.replica.is_up() && self.epoch.is_up();
        let dependencies = [&self.broker, &self.replica, &self.log, &self.dead_letters, &self.epoch];
        let warnings = if self.are_messages_signed { vec![] } else { vec![UNSIGNED_MESSAGES] };
        Readiness::of(&dependencies, useful, self.shutdown.is_cancelled()).with_warnings(warnings)
    }
}

/// Adds the probes' resources.
pub fn configure(config: &mut ServiceConfig) {
    config.service(resource("/livez", read().to(livez))).service(resource("/readyz", read().to(readyz)));
}

/// Answers `GET` and `HEAD`; answers every other method with 405 and `Allow`.
fn resource(path: &str, read: Route) -> Resource {
    let not_allowed =
        || async { HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish() };
    web::resource(path).route(read).default_service(web::to(not_allowed))
}

fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().insert_header(NO_STORE).json(json!({ "status": "live" }))
}

async fn readyz(dependencies: web::Data<Dependencies>) -> HttpResponse {
    let readiness = dependencies.readiness();
    if readiness.is_useful() {
        return HttpResponse::Ok().insert_header(NO_STORE).json(readiness);
    }
    let retry_after = (header::RETRY_AFTER, RETRY_AFTER_SECS.to_string());
    HttpResponse::ServiceUnavailable().insert_header(NO_STORE).insert_header(retry_after).json(readiness)
}
