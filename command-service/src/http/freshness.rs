//! The headers of freshness, and what became of a write.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::header::{HeaderMap, HeaderName, HeaderValue},
    web,
};
use shared::time;

use super::{
    envelope::Timing,
    parameters::Parameters,
    problem::{Problem, ProblemType},
};
use crate::{
    freshness::{
        gate::{Fresh, Freshness, Gate},
        receipt::Receipt,
        trace::trace,
    },
    queries::Replica,
};

/// What a command gives to be handed back as `receipt`.
pub const WRITE_RECEIPT: HeaderName = HeaderName::from_static("write-receipt");

const AS_OF: HeaderName = HeaderName::from_static("freshness-as-of");
const LAG_MS: HeaderName = HeaderName::from_static("freshness-lag-ms");
const MISSING: HeaderName = HeaderName::from_static("freshness-missing");
const RESULT: HeaderName = HeaderName::from_static("freshness-result");
const RECEIPT: HeaderName = HeaderName::from_static("freshness-receipt");

/// How fresh an answer is. A handler leaves it in the request's extensions, so that it stands on every answer of the
/// replica, a 304 and a 404 included.
#[derive(Clone, Debug)]
pub struct Label(Vec<(HeaderName, String)>);

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
        Self(headers)
    }

    /// Puts the label on an answer.
    pub fn write_to(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Takes what a read found, and leaves with the request how fresh it is and how long it took.
pub fn labelled<T>(request: &HttpRequest, fresh: Fresh<T>) -> T {
    let mut extensions = request.extensions_mut();
    extensions.insert(Label::of(&fresh));
    let read = fresh.read;
    extensions.insert(Timing([("wait", fresh.waited + read.waited), ("query", read.queried)]));
    read.found
}

/// `GET /receipts/{receipt}`
///
/// # Errors
/// The [`Problem`].
pub async fn receipt(
    request: HttpRequest,
    receipt: web::Path<String>,
    gate: web::Data<Gate>,
    replica: web::Data<Replica>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    match Receipt::decode(&receipt).ok_or_else(Problem::malformed_receipt)? {
        Receipt::Write(write) => Ok(HttpResponse::Ok().json(trace(gate.log(), &replica, &write).await?)),
        Receipt::Read(_) => {
            let detail = "this receipt was given by a read: there is no write to tell of";
            Err(Problem::new(ProblemType::MalformedReceipt, detail))
        }
    }
}
