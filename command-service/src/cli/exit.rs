//! How a command ends.

use shared::process::{
    cause::cause,
    exit_status::{DOWN, REFUSED, USAGE},
    settings::SettingError,
};
use uuid::Uuid;

use crate::{commands::Refusal, freshness::unmet::Unmet, queries::replica::ReadError};

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no such parking slot")]
    NotFound,
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{0}")]
    BadInput(String),
    #[error("{0}")]
    Usage(&'static str),
    #[error("{reason}; {imported} of {total} rows are in: go on with --skip {imported}{doubt}")]
    ImportCutOff { reason: Box<CliError>, imported: usize, total: usize, doubt: String },
    #[error("interrupted")]
    Interrupted,
    #[error("parking slot {uuid} is created, but not yet seen on the replica: {reason}")]
    NotSeen { uuid: Uuid, reason: Box<CliError> },
    #[error("{0}")]
    NotLevel(String),
    #[error("{dependency} is down: {cause}")]
    Down { dependency: &'static str, cause: String },
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl CliError {
    /// A dependency does not answer, or refuses the connection, because of `error`.
    pub(super) fn down(dependency: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Down { dependency, cause: cause(error) }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusal) => exit_code_of(*refusal),
            Self::ImportCutOff { reason, .. } | Self::NotSeen { reason, .. } => reason.exit_code(),
            Self::Down { .. } | Self::NotLevel(_) => DOWN,
            Self::Setting(_) | Self::Usage(_) => USAGE,
            Self::NotFound
            | Self::NotReady(_)
            | Self::BadInput(_)
            | Self::Interrupted
            | Self::Output(_)
            | Self::Other(_) => REFUSED,
        }
    }

    /// Whether the reader of the output has closed it, as `head` does.
    pub(super) fn is_end_of_reading(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn exit_code_of(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::PrimaryUnavailable | Refusal::Overloaded | Refusal::OutcomeUnknown => DOWN,
        Refusal::Rejected(_)
        | Refusal::VersionMismatch { .. }
        | Refusal::KeyInUse
        | Refusal::KeyReused
        | Refusal::Internal => REFUSED,
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Down(_) => Self::down("the replica", &error),
            ReadError::Overloaded => Self::Other(error.into()),
            ReadError::Sql(error) => Self::Other(error.into()),
        }
    }
}

impl From<Unmet> for CliError {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Read(error @ ReadError::Down(_)) => error.into(),
            Unmet::DeadLettered | Unmet::ForeignReceipt => Self::BadInput(unmet.to_string()),
            Unmet::Read(ReadError::Sql(_) | ReadError::Overloaded)
            | Unmet::PrimaryDown
            | Unmet::NoAccess
            | Unmet::BeyondLog
            | Unmet::Behind { .. }
            | Unmet::TooMany
            | Unmet::Stopping => Self::NotLevel(unmet.to_string()),
        }
    }
}
