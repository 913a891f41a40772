//! How a command ends.

use shared::process::settings::SettingError;
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
    ImportCutOff { reason: String, imported: usize, total: usize, doubt: String, exit_code: u8 },
    #[error("parking slot {uuid} is created, but not yet seen on the replica: {reason}")]
    NotSeen { uuid: Uuid, reason: Unmet },
    #[error("{0} is down")]
    Down(&'static str),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

pub(super) const REFUSED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const DOWN: u8 = 3;

impl CliError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusal) => exit_code_of(*refusal),
            Self::ImportCutOff { exit_code, .. } => *exit_code,
            Self::NotSeen { reason: Unmet::DeadLettered | Unmet::ForeignReceipt, .. } => REFUSED,
            Self::NotSeen { .. } | Self::Down(_) => DOWN,
            Self::Setting(_) | Self::Usage(_) => USAGE,
            Self::NotFound | Self::NotReady(_) | Self::BadInput(_) | Self::Output(_) | Self::Other(_) => {
                REFUSED
            }
        }
    }

    /// Whether who read the output has seen enough, as `head` does.
    pub(super) fn is_end_of_reading(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

pub(super) fn exit_code_of(refusal: Refusal) -> u8 {
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
            ReadError::Down(_) => Self::Down("the replica"),
            ReadError::Sql(error) => Self::Other(error.into()),
        }
    }
}
