//! Reads a request's body, within the bounds for its media type, size and time.

use std::time::Duration;

use actix_web::{HttpRequest, http::header, web};
use tokio::time::timeout;

use super::{problem::Problem, problem_types::ProblemType};

/// The largest body of a request, in bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// The largest body of a batch of creates, in bytes.
pub const BATCH_BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The longest time that a body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// Reads the request's body: one of `media_types`, at most `max_bytes`, within [`BODY_DEADLINE`].
///
/// # Errors
/// `unsupported-media-type`, `too-large`, `request-timeout`, or `malformed-json` if the body is cut off.
pub async fn body(
    request: &HttpRequest,
    payload: web::Payload,
    media_types: &[&str],
    max_bytes: usize,
) -> Result<web::Bytes, Problem> {
    let lines = |name| request.headers().get_all(name).map(header::HeaderValue::as_bytes);
    let accepted = |line: &[u8]| {
        let mut parts = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let essence = parts.next().unwrap_or_default();
        media_types.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted.as_bytes()))
            && parts.all(leaves_utf8)
    };
    if lines(header::CONTENT_TYPE).count() != 1 || !lines(header::CONTENT_TYPE).all(accepted) {
        let detail = format!("Content-Type must be {}, in UTF-8", media_types.join(" or "));
        return Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    }
    if !lines(header::CONTENT_ENCODING).all(|encoding| encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(ProblemType::UnsupportedMediaType, "the body must not be encoded"));
    }
    let too_large =
        || Problem::new(ProblemType::TooLarge, format!("the body must have at most {max_bytes} bytes"));
    // A too large `Content-Length` is refused before the body arrives.
    let length = lines(header::CONTENT_LENGTH).next().and_then(|length| std::str::from_utf8(length).ok());
    if length.and_then(|length| length.parse().ok()).is_some_and(|length: u64| length > max_bytes as u64) {
        return Err(too_large());
    }
    let arrived = timeout(BODY_DEADLINE, payload.to_bytes_limited(max_bytes))
        .await
        .map_err(|_| Problem::new(ProblemType::RequestTimeout, "the body must arrive within 5 s"))?;
    arrived
        .map_err(|_| too_large())?
        .map_err(|_| Problem::new(ProblemType::MalformedJson, "the body was cut off"))
}

/// Whether a media type's parameter leaves the charset at UTF-8, in which the service reads every body.
fn leaves_utf8(parameter: &[u8]) -> bool {
    let (name, value) = match parameter.iter().position(|byte| *byte == b'=') {
        Some(at) => (&parameter[..at], &parameter[at + 1..]),
        None => (parameter, &b""[..]),
    };
    if !name.trim_ascii().eq_ignore_ascii_case(b"charset") {
        return true;
    }
    let value = value.trim_ascii();
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    quoted.unwrap_or(value).eq_ignore_ascii_case(b"utf-8")
}
