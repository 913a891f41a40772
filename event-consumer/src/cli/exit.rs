//! How a command ends.

use shared::{postgres::Fault, process::settings::SettingError};

use crate::projection::{ApplyError, fault::ReplicaOpenError};

#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{0} is down")]
    Down(&'static str),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl CliError {
    /// 1 refused, 2 usage, 3 a dependency is down.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Down(_) => 3,
            Self::Setting(_) => 2,
            Self::NotReady(_) | Self::Refused(_) | Self::Other(_) => 1,
        }
    }
}

impl From<ReplicaOpenError> for CliError {
    fn from(error: ReplicaOpenError) -> Self {
        match error {
            ReplicaOpenError::Connect(_) | ReplicaOpenError::Lost(_) => Self::Down("the replica"),
            ReplicaOpenError::Schema(_) => {
                Self::Refused("the replica is not migrated: run event-consumer migrate".to_owned())
            }
        }
    }
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Replica(error) => error.into(),
            ApplyError::Deadline => Self::Down("the replica"),
            ApplyError::ForeignEpoch { .. } => Self::Other(error.into()),
        }
    }
}

impl From<tokio_postgres::Error> for CliError {
    fn from(error: tokio_postgres::Error) -> Self {
        match Fault::of_rollback(&error) {
            Fault::Other if error.as_db_error().is_none() => Self::Down("the replica"),
            Fault::ConnectionLost | Fault::Retryable | Fault::Unable | Fault::Data | Fault::Other => {
                Self::Other(anyhow::Error::from(error).context("the replica refuses now"))
            }
        }
    }
}
