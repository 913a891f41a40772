//! The request log: a span around all lines of a request, and one line for each answer.

use std::time::Duration;

use actix_web::{HttpRequest, http::StatusCode};
use tracing::Span;

use super::{problem::Problem, trace_context::traceparent};

/// The span of a request. The client gets `id` as `X-Request-Id`, and as a problem's `instance`.
pub(super) fn span(id: &str, request: &HttpRequest) -> Span {
    let traceparent = traceparent(request);
    let trace_id = traceparent.as_deref().and_then(shared::messages::event::trace_id);
    tracing::info_span!("request", id, trace_id)
}

/// Logs the answer to a request. It logs the route instead of the path, so that an operator can count lines by route.
/// A path may contain arbitrary text from the client.
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
        // From whole microseconds: a log line has no use for the rest.
        duration_ms = took.as_micros() as f64 / 1_000.0,
        freshness,
        problem = problem.map(Problem::name),
        detail = problem.map(ToString::to_string),
        "answered"
    );
}
