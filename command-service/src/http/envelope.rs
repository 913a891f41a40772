//! Adds to each answer `X-Request-Id`, `Cache-Control` and, where known, `Server-Timing` and freshness. Puts the
//! request's id into every problem.

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderValue},
    middleware::Next,
};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    headers::{IDEMPOTENCY_REPLAYED, SERVER_TIMING, X_REQUEST_ID},
    labels::{Label, Replayed, Timing},
    problem::Problem,
    request_log,
    unread::KeptBody,
};

/// The longest `X-Request-Id` that the service accepts from a request, in bytes.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// The middleware around every resource.
///
/// # Errors
/// None of its own.
pub async fn wrap(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let begun_at = Instant::now();
    let id = request_id(request.headers());
    // Visible ASCII, so it is text.
    let id_text = id.to_str().unwrap_or_default();
    let body = KeptBody::of(&mut request);
    let span = request_log::span(id_text, request.request());
    let (request, response) = next.call(request).instrument(span.clone()).await?.into_parts();
    let problem = response.error().and_then(|error| error.as_error::<Problem>()).cloned();
    let mut response = match &problem {
        Some(problem) => problem.response(Some(id_text)),
        None => response.map_into_boxed_body(),
    };
    let timing = request.extensions().get::<Timing>().copied().and_then(Timing::header);
    let replayed = request.extensions().get::<Replayed>().is_some();
    let label = request.extensions_mut().remove::<Label>();
    let freshness = label.as_ref().map(Label::result);
    span.in_scope(|| {
        request_log::answered(&request, response.status(), problem.as_ref(), freshness, begun_at.elapsed());
    });
    // A cache may store an answer of the replica, but must revalidate it before each use.
    let cache = if label.is_some() { "no-cache" } else { "no-store" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(label) = label {
        label.write_to(headers);
    }
    if replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(timing) = timing {
        headers.insert(SERVER_TIMING, timing);
    }
    headers.insert(X_REQUEST_ID, id);
    let response = ServiceResponse::new(request, response);
    Ok(match body {
        Some(body) => body.until_sent(response),
        None => response,
    })
}

/// The client's own id if it is 1 to [`REQUEST_ID_MAX_BYTES`] bytes of visible ASCII, else a new id.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let usable = headers.get(X_REQUEST_ID).filter(|id| {
        (1..=REQUEST_ID_MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    usable.cloned().unwrap_or_else(new_id)
}

fn new_id() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("a uuid is visible ASCII")
}
