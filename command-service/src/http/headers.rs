//! The names of this API's own headers.

use actix_web::http::header::HeaderName;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// On a repeated answer: the service did not carry out the command again.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The receipt of a write, which the client hands back as `receipt`.
pub const WRITE_RECEIPT: HeaderName = HeaderName::from_static("write-receipt");

pub(super) const AS_OF: HeaderName = HeaderName::from_static("freshness-as-of");
pub(super) const LAG_MS: HeaderName = HeaderName::from_static("freshness-lag-ms");
pub(super) const MISSING: HeaderName = HeaderName::from_static("freshness-missing");
pub(super) const RESULT: HeaderName = HeaderName::from_static("freshness-result");
pub(super) const RECEIPT: HeaderName = HeaderName::from_static("freshness-receipt");
