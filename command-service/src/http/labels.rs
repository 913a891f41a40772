//! What handlers leave with the request for the envelope: the answer's freshness, the time of each step, and whether
//! the answer is a repeated one.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use shared::time;

use super::headers::{AS_OF, LAG_MS, MISSING, RECEIPT, RESULT};
use crate::freshness::gate::{Fresh, Freshness};

/// How fresh an answer is. A handler leaves it in the request's extensions. So every answer of the replica carries it,
/// including a 304 and a 404.
#[derive(Clone, Debug)]
pub struct Label {
    result: &'static str,
    headers: Vec<(HeaderName, String)>,
}

impl Label {
    fn of<T>(fresh: &Fresh<T>) -> Self {
        let status = &fresh.read.status;
        let result = match fresh.freshness {
            Freshness::Eventual => "eventual",
            Freshness::Satisfied => "satisfied",
            Freshness::Stale => "stale",
        };
        let mut headers = vec![(RESULT, result.to_owned()), (RECEIPT, status.receipt().encode())];
        headers.extend(status.as_of.map(|as_of| (AS_OF, time::format(as_of))));
        headers.extend(fresh.lag.map(|lag| (LAG_MS, lag.as_millis().to_string())));
        headers.extend((status.missing > 0).then(|| (MISSING, status.missing.to_string())));
        Self { result, headers }
    }

    /// The outcome of the read's demand: `eventual`, `satisfied` or `stale`.
    #[must_use]
    pub fn result(&self) -> &'static str {
        self.result
    }

    /// Writes the label into an answer's headers.
    pub fn write_to(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Returns what the read found. Leaves its freshness and timing with the request.
pub fn labelled<T>(request: &HttpRequest, fresh: Fresh<T>) -> T {
    let mut extensions = request.extensions_mut();
    extensions.insert(Label::of(&fresh));
    let read = fresh.read;
    extensions.insert(Timing([("wait", fresh.waited + read.waited), ("query", read.queried)]));
    read.found
}

/// How long the steps of a request took. A handler leaves it in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Timing(pub [(&'static str, Duration); 2]);

impl Timing {
    /// The value of `Server-Timing`.
    pub(super) fn header(self) -> Option<HeaderValue> {
        let steps = self.0.map(|(step, took)| format!("{step};dur={:.3}", took.as_secs_f64() * 1_000.0));
        HeaderValue::from_str(&steps.join(", ")).ok()
    }
}

/// Marks a repeated answer. A handler leaves it in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Replayed;
