//! Every error answer: RFC 9457, `application/problem+json`. Except for [`ProblemType::OutcomeUnknown`], a problem
//! means that nothing happened. Nothing of the inside shows: no SQL, no host, no path.

use std::time::Duration;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use shared::{
    process::cause::chain,
    process::dependency_state::RETRY_AFTER_SECS,
    slot::{Rejection, Version},
};

use super::{headers::WRITE_RECEIPT, problem_types::ProblemType};
use crate::{
    commands::Refusal,
    freshness::unmet::Unmet,
    queries::replica::ReadError,
    roles::{Role, Roles},
};

/// A fault in one place of the request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    kind: ProblemType,
    detail: String,
    errors: Vec<FieldFault>,
    more_errors: usize,
    allow: Option<&'static str>,
    current_version: Option<i64>,
    write_receipt: Option<Box<str>>,
    retry_after_secs: Option<u32>,
}

#[derive(Serialize)]
struct Body<'p> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'p str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [FieldFault],
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
}

impl Problem {
    /// A problem of this kind; `detail` is for the caller's eyes.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let is_temporary =
            kind == ProblemType::IdempotencyKeyInUse || kind.describe().2 == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            more_errors: 0,
            allow: None,
            current_version: None,
            write_receipt: None,
            retry_after_secs: is_temporary.then_some(RETRY_AFTER_SECS),
        }
    }

    /// The name of its type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.describe().0
    }

    /// The same with what is wrong in each place. So many faults are not named: `more_errors`.
    #[must_use]
    pub fn with_errors(self, errors: Vec<FieldFault>, more_errors: usize) -> Self {
        Self { errors, more_errors, ..self }
    }

    /// The resource knows only the methods in `allow`.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(ProblemType::MethodNotAllowed, format!("this resource allows {allow}"));
        Self { allow: Some(allow), ..problem }
    }

    fn version_mismatch(current: Version) -> Self {
        let detail = format!("the slot is at version {current}");
        Self { current_version: Some(current.get()), ..Self::new(ProblemType::VersionMismatch, detail) }
    }

    /// A receipt that cannot be read, or that this register has not given out.
    #[must_use]
    pub fn malformed_receipt() -> Self {
        Self::new(ProblemType::MalformedReceipt, "receipt must be one that this register has given out")
    }

    /// This process has `roles`, and the request needs another one.
    #[must_use]
    pub fn misdirected(needed: Role, roles: Roles) -> Self {
        let detail =
            format!("this needs the role {}, and this process has {}", needed.name(), roles.in_words());
        Self::new(ProblemType::MisdirectedRequest, detail)
    }

    /// There is nothing at this path. `there_is` says what exists.
    #[must_use]
    pub fn no_such_path(there_is: &str) -> Self {
        Self::new(ProblemType::NotFound, format!("there is nothing at this path; {there_is}"))
    }

    /// The replica was not fresh enough in time. `down` names the dependencies that are down; `relays` tells whether
    /// this process relays, and so knows whether events reach the broker.
    #[must_use]
    pub fn replica_behind(retry_after_secs: u32, lag: Option<Duration>, down: &[&str], relays: bool) -> Self {
        let behind = match lag {
            Some(lag) => format!("it is {:.1} s behind", lag.as_secs_f64()),
            None => "it has not been complete yet".to_owned(),
        };
        let cause = match down {
            [] if relays => "no dependency of this service is down, so look at the event-consumer".to_owned(),
            [] => "no dependency of this process is down, so look at the relay and the event-consumer"
                .to_owned(),
            [one] => format!("{one} is down"),
            several => format!("{} are down", several.join(" and ")),
        };
        let detail = format!("the replica did not become fresh enough in time: {behind}; {cause}");
        Self { retry_after_secs: Some(retry_after_secs), ..Self::new(ProblemType::ReplicaBehind, detail) }
    }

    /// There is no slot with this uuid.
    #[must_use]
    pub fn no_such_slot() -> Self {
        Self::new(ProblemType::NotFound, "there is no such parking slot")
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.describe().2
    }

    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

impl Problem {
    /// The answer, with the id of the request to which it answers.
    #[must_use]
    pub fn response(&self, instance: Option<&str>) -> HttpResponse {
        let (name, title, status) = self.kind.describe();
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        if let Some(secs) = self.retry_after_secs {
            response.insert_header((header::RETRY_AFTER, secs.to_string()));
        }
        if let Some(receipt) = &self.write_receipt {
            response.insert_header((WRITE_RECEIPT, receipt.as_ref()));
        }
        if let Some(version) = self.current_version {
            response.insert_header((header::ETAG, format!("\"{version}\"")));
        }
        response.json(Body {
            r#type: format!("/problems/{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            errors: &self.errors,
            more: (self.more_errors > 0).then_some(self.more_errors),
            version: self.current_version,
        })
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(Rejection::NotFound) => Self::no_such_slot(),
            Refusal::VersionMismatch { current, receipt } => {
                Self { write_receipt: Some(receipt.encode().into()), ..Self::version_mismatch(current) }
            }
            Refusal::Rejected(Rejection::VersionMismatch { current }) => Self::version_mismatch(current),
            Refusal::KeyInUse => Self::new(
                ProblemType::IdempotencyKeyInUse,
                "this request changed nothing; try again to get the answer of the first one",
            ),
            Refusal::KeyReused => Self::new(
                ProblemType::IdempotencyKeyReused,
                "method, path, If-Match and body must be those of the first request with this Idempotency-Key",
            ),
            Refusal::PrimaryUnavailable => {
                Self::new(ProblemType::PrimaryUnavailable, "nothing was changed; please try again")
            }
            Refusal::Overloaded => {
                Self::new(ProblemType::Overloaded, "nothing was changed; please try again")
            }
            Refusal::OutcomeUnknown => Self::new(
                ProblemType::OutcomeUnknown,
                "the connection to the primary was lost around the commit: the change may have been made",
            ),
            Refusal::Internal | Refusal::Rejected(Rejection::AlreadyExists) => {
                Self::new(ProblemType::Internal, "nothing was changed")
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Down(cause) => {
                tracing::warn!(cause = chain(&cause), "the replica is down");
                Self::new(ProblemType::ReplicaUnavailable, "please try again")
            }
            ReadError::Overloaded => {
                Self::new(ProblemType::Overloaded, "too many reads are waiting, or the search takes too long")
            }
            ReadError::Sql(error) => {
                tracing::error!(error = chain(&error), "read failed");
                Self::new(ProblemType::Internal, "the read failed")
            }
        }
    }
}

impl From<Unmet> for Problem {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Read(error) => error.into(),
            Unmet::PrimaryDown => Self::new(
                ProblemType::PrimaryUnavailable,
                "this needs a look at the primary; please try again",
            ),
            Unmet::NoAccess => Self::new(
                ProblemType::MisdirectedRequest,
                "this needs the primary, and this process has no access to it: set DATABASE_URL for its query role, \
                 or ask a process that has it",
            ),
            Unmet::BeyondLog => Self::malformed_receipt(),
            Unmet::ForeignReceipt => Self::new(
                ProblemType::ForeignReceipt,
                "the receipt is of another epoch: what it stands for may be lost",
            ),
            Unmet::DeadLettered => Self::new(
                ProblemType::DeadLettered,
                "the replica could not apply the write and has dead-lettered it: it will not be visible by waiting",
            ),
            Unmet::Behind { retry_after_secs, lag } => Self::replica_behind(retry_after_secs, lag, &[], true),
            Unmet::TooMany => {
                Self::new(ProblemType::Overloaded, "too many reads are waiting; please try again")
            }
            Unmet::Stopping => {
                Self::new(ProblemType::Overloaded, "the service is about to end; please try again")
            }
        }
    }
}
