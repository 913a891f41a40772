//! `Idempotency-Key`: the service carries out a command once, even if the client sends it again with the same key.

use actix_web::{HttpRequest, http::header};
use sha2::{Digest, Sha256};

use super::{headers::IDEMPOTENCY_KEY, problem::Problem, problem_types::ProblemType};
use crate::commands::IdempotencyKey;

/// The longest key, in bytes.
const KEY_MAX_BYTES: usize = 200;

/// The key in a request's header.
#[derive(Debug)]
pub struct GivenKey(String);

impl GivenKey {
    /// The request's key, if it has one.
    ///
    /// # Errors
    /// `invalid-parameter` for several keys, or a key that is not 1 to 200 visible ASCII characters. If the service
    /// ignored such a key, the client would rely on a protection that it does not have.
    pub fn of(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let mut lines = request.headers().get_all(IDEMPOTENCY_KEY).map(header::HeaderValue::as_bytes);
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        let is_key = (1..=KEY_MAX_BYTES).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(line) {
            Ok(key) if is_key && lines.next().is_none() => Ok(Some(Self(key.to_owned()))),
            _ => Err(Problem::new(
                ProblemType::InvalidParameter,
                "Idempotency-Key must stand once, with 1 to 200 visible ASCII characters",
            )),
        }
    }

    /// The key with the fingerprint of its request: method, path, `If-Match` and body, byte by byte.
    #[must_use]
    pub fn on(self, request: &HttpRequest, body: &[u8]) -> IdempotencyKey {
        let conditions = request.headers().get_all(header::IF_MATCH).map(header::HeaderValue::as_bytes);
        let mut parts = vec![request.method().as_str().as_bytes(), request.path().as_bytes(), body];
        parts.extend(conditions);
        let mut hash = Sha256::new();
        for part in parts {
            // The length comes first, so two different lists of parts never hash the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        IdempotencyKey { name: self.0, fingerprint: hash.finalize().into() }
    }
}
