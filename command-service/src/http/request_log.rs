//! The log of requests: a span in which every line of a request stands, and one line for each answer.

use std::time::Duration;

use actix_web::{HttpRequest, http::StatusCode};
use tracing::Span;

use super::{problem::Problem, trace_context::traceparent};

/// The span of a request. `id` is what the caller gets as `X-Request-Id`, and as `instance` of a problem.
pub(super) fn span(id: &str, request: &HttpRequest) -> Span {
    let traceparent = traceparent(request);
    let trace_id = traceparent.as_deref().and_then(shared::messages::event::trace_id);
    tracing::info_span!("request", id, trace_id)
}

/// Logs that a request is answered, and with what. The route stands for all paths that it takes, so that lines can be
/// counted by it; the path itself may hold what a caller made up.
pub(super) fn answered(
    request: &HttpRequest,
    status: StatusCode,
    problem: Option<&Problem>,
    freshness: Option<&'static str>,
    took: Duration,
) {
    let route = request.match_pattern();
    tracing::info!(
        method = %request.method(),
        route = route.as_deref().unwrap_or("none"),
        status = status.as_u16(),
        duration_ms = took.as_secs_f64() * 1_000.0,
        freshness,
        problem = problem.map(Problem::name),
        detail = problem.map(tracing::field::display),
        "answered"
    );
}
