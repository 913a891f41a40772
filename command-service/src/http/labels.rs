//! What handlers leave with the request for the envelope: the answer's freshness, the time of each step, and whether
//! the answer is a repeated one.

use std::{fmt::Write, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{HeaderMap, HeaderValue},
};
use shared::time;

use super::{
    headers::{AS_OF, LAG_MS, MISSING, RECEIPT, RESULT},
    memo::Memo,
};
use crate::{
    freshness::gate::{Fresh, Freshness},
    queries::status::ReplicaStatus,
};

/// How fresh an answer is. A handler leaves it in the request's extensions. So every answer of the replica carries it,
/// including a 304 and a 404.
#[derive(Clone, Debug)]
pub struct Label {
    result: &'static str,
    replica: StatusHeaders,
    lag: Option<Duration>,
}

/// The headers that tell the replica's status.
#[derive(Clone, Debug)]
struct StatusHeaders {
    receipt: Option<HeaderValue>,
    as_of: Option<HeaderValue>,
    missing: Option<HeaderValue>,
}

impl StatusHeaders {
    /// Reads that share a statement share its status, so most answers have the headers of the one before.
    fn of(status: &ReplicaStatus) -> Self {
        thread_local! {
            static LAST: Memo<ReplicaStatus, StatusHeaders> = const { Memo::new() };
        }
        LAST.with(|last| last.get(|known| known == status, || (*status, Self::written(status))))
    }

    fn written(status: &ReplicaStatus) -> Self {
        let missing = (status.missing > 0).then_some(status.missing);
        Self {
            receipt: HeaderValue::from_str(&status.receipt().encode()).ok(),
            as_of: status.as_of.and_then(|as_of| HeaderValue::from_str(&time::format(as_of)).ok()),
            missing: missing.map(HeaderValue::from),
        }
    }
}

impl Label {
    fn of<T>(fresh: &Fresh<T>) -> Self {
        let result = match fresh.freshness {
            Freshness::Eventual => "eventual",
            Freshness::Satisfied => "satisfied",
            Freshness::Stale => "stale",
        };
        Self { result, replica: StatusHeaders::of(&fresh.read.status), lag: fresh.lag }
    }

    /// The outcome of the read's demand: `eventual`, `satisfied` or `stale`.
    #[must_use]
    pub fn result(&self) -> &'static str {
        self.result
    }

    /// Writes the label into an answer's headers.
    pub fn write_to(self, headers: &mut HeaderMap) {
        let StatusHeaders { receipt, as_of, missing } = self.replica;
        let lag = self.lag.map(|lag| HeaderValue::from(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)));
        headers.insert(RESULT, HeaderValue::from_static(self.result));
        for (name, value) in [(RECEIPT, receipt), (AS_OF, as_of), (LAG_MS, lag), (MISSING, missing)] {
            if let Some(value) = value {
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
        HeaderValue::from_str(&self.text()).ok()
    }

    /// Each step in milliseconds, to the nearest microsecond.
    fn text(self) -> String {
        let mut text = String::with_capacity(64);
        for (step, took) in self.0 {
            let micros = (took.as_nanos() + 500) / 1_000;
            let separator = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{separator}{step};dur={}.{:03}", micros / 1_000, micros % 1_000);
        }
        text
    }
}

/// Marks a repeated answer. A handler leaves it in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Replayed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timing_is_in_milliseconds_to_the_nearest_microsecond() {
        for (nanos, text) in [
            (0, "0.000"),
            (1_499, "0.001"),
            (1_501, "0.002"),
            (999_999, "1.000"),
            (1_234_567, "1.235"),
            (30_000_000_000, "30000.000"),
        ] {
            let took = Duration::from_nanos(nanos);
            let timing = Timing([("wait", took), ("query", Duration::ZERO)]);

            assert_eq!(timing.text(), format!("wait;dur={text}, query;dur=0.000"));
            assert_eq!(text, format!("{:.3}", took.as_secs_f64() * 1_000.0), "as a float shows it");
        }
    }
}
