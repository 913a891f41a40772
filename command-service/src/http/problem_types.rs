//! The types of problems.

use actix_web::http::StatusCode;

/// The type of a problem, as in its member `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described by its title")]
pub enum ProblemType {
    MalformedRequest,
    MalformedJson,
    UnknownField,
    InvalidParameter,
    MalformedReceipt,
    NotFound,
    MethodNotAllowed,
    DeadLettered,
    ForeignReceipt,
    IdempotencyKeyInUse,
    VersionMismatch,
    TooLarge,
    MisdirectedRequest,
    HeadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
    InvalidValue,
    IdempotencyKeyReused,
    Internal,
    PrimaryUnavailable,
    ReplicaUnavailable,
    Overloaded,
    OutcomeUnknown,
    ReplicaBehind,
}

impl ProblemType {
    /// Every type.
    pub const ALL: [Self; 24] = [
        Self::MalformedRequest,
        Self::MalformedJson,
        Self::UnknownField,
        Self::InvalidParameter,
        Self::MalformedReceipt,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::DeadLettered,
        Self::ForeignReceipt,
        Self::IdempotencyKeyInUse,
        Self::VersionMismatch,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::MisdirectedRequest,
        Self::InvalidValue,
        Self::IdempotencyKeyReused,
        Self::HeadTooLarge,
        Self::Internal,
        Self::PrimaryUnavailable,
        Self::ReplicaUnavailable,
        Self::Overloaded,
        Self::OutcomeUnknown,
        Self::ReplicaBehind,
    ];

    /// Finds the type by its name, which is the last segment of its page's path.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.describe().0 == name)
    }

    /// Name, title and status.
    pub(super) fn describe(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::MalformedRequest => {
                ("malformed-request", "The request is not HTTP that can be read", StatusCode::BAD_REQUEST)
            }
            Self::MalformedJson => ("malformed-json", "The body is not JSON", StatusCode::BAD_REQUEST),
            Self::UnknownField => ("unknown-field", "The body has an unknown field", StatusCode::BAD_REQUEST),
            Self::InvalidParameter => {
                ("invalid-parameter", "A parameter is not valid", StatusCode::BAD_REQUEST)
            }
            Self::MalformedReceipt => {
                ("malformed-receipt", "A receipt is not one of this register", StatusCode::BAD_REQUEST)
            }
            Self::NotFound => ("not-found", "There is no such thing", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("method-not-allowed", "The method is not allowed here", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::DeadLettered => {
                ("dead-lettered", "The replica has dead-lettered the write", StatusCode::CONFLICT)
            }
            Self::ForeignReceipt => {
                ("foreign-receipt", "The primary was restored or replaced since", StatusCode::CONFLICT)
            }
            Self::IdempotencyKeyInUse => (
                "idempotency-key-in-use",
                "A request with the same idempotency key is being carried out",
                StatusCode::CONFLICT,
            ),
            Self::VersionMismatch => {
                ("version-mismatch", "The slot has another version", StatusCode::PRECONDITION_FAILED)
            }
            Self::TooLarge => ("too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::RequestTimeout => {
                ("request-timeout", "The request came too slowly", StatusCode::REQUEST_TIMEOUT)
            }
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                "The media type is not supported",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::MisdirectedRequest => {
                ("misdirected-request", "Another process does this", StatusCode::MISDIRECTED_REQUEST)
            }
            Self::InvalidValue => ("invalid-value", "A value is not valid", StatusCode::UNPROCESSABLE_ENTITY),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                "The idempotency key belongs to another request",
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            Self::HeadTooLarge => (
                "head-too-large",
                "The head of the request is too large",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ),
            Self::Internal => ("internal", "The service failed", StatusCode::INTERNAL_SERVER_ERROR),
            Self::PrimaryUnavailable => {
                ("primary-unavailable", "The primary database is down", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ReplicaUnavailable => {
                ("replica-unavailable", "The replica database is down", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Overloaded => ("overloaded", "Too much is waiting", StatusCode::SERVICE_UNAVAILABLE),
            Self::OutcomeUnknown => {
                ("outcome-unknown", "It is not known what happened", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ReplicaBehind => {
                ("replica-behind", "The replica is not fresh enough yet", StatusCode::GATEWAY_TIMEOUT)
            }
        }
    }
}
