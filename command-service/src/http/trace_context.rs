//! Reads `traceparent` (W3C Trace Context, version 00). The event keeps it if it is valid.

use actix_web::HttpRequest;

use super::headers::TRACEPARENT;

/// The request's trace context, if the request carries exactly one valid `traceparent`. The service ignores an invalid
/// one, as the W3C recommendation asks.
#[must_use]
pub fn traceparent(request: &HttpRequest) -> Option<String> {
    let mut values = request.headers().get_all(TRACEPARENT);
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_valid(value)).then(|| value.to_owned())
}

/// Whether it is `00-<32 hex>-<16 hex>-<2 hex>` in lower case, with neither id all zeros.
fn is_valid(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace_id, parent_id, flags] = parts[..] else {
        return false;
    };
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    version == "00" && is_id(trace_id, 32) && is_id(parent_id, 16) && is_hex(flags, 2)
}
