//! Errors of a command and its exit status.

use shared::{
    postgres::Fault,
    process::{
        cause::cause,
        exit_status::{DOWN, REFUSED, USAGE},
        settings::SettingError,
    },
};

use crate::projection::{ApplyError, fault::ReplicaOpenError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{dependency} is down: {cause}")]
    Down { dependency: &'static str, cause: String },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl CliError {
    /// The error of a dependency that does not answer, or refuses the connection.
    pub(super) fn down(dependency: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Down { dependency, cause: cause(error) }
    }

    /// The exit status, one of [`shared::process::exit_status`].
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Down { .. } => DOWN,
            Self::Setting(_) => USAGE,
            Self::NotReady(_) | Self::Refused(_) | Self::Other(_) => REFUSED,
        }
    }
}

impl From<ReplicaOpenError> for CliError {
    fn from(error: ReplicaOpenError) -> Self {
        match error {
            ReplicaOpenError::Connect(_) | ReplicaOpenError::Lost(_) => Self::down("the replica", &error),
            ReplicaOpenError::Schema(_) => {
                Self::Refused("the replica is not migrated: run event-consumer migrate".to_owned())
            }
        }
    }
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Replica(error) | ApplyError::Refused(error) | ApplyError::RefusesAll(error) => {
                error.into()
            }
            ApplyError::Deadline => Self::down("the replica", &error),
            ApplyError::ForeignEpoch { .. } => Self::Other(error.into()),
        }
    }
}

impl From<tokio_postgres::Error> for CliError {
    fn from(error: tokio_postgres::Error) -> Self {
        match Fault::of_rollback(&error) {
            Fault::Other if error.as_db_error().is_none() => Self::down("the replica", &error),
            Fault::ConnectionLost | Fault::Retryable | Fault::Unable | Fault::Data | Fault::Other => {
                Self::Other(anyhow::Error::from(error).context("the replica refuses now"))
            }
        }
    }
}
