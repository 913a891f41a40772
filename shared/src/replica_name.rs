//! The names of replicas, and the recipients of events.

use std::{fmt, str::FromStr};

/// The name of a replica: `[a-z0-9_-]{1,40}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaName(String);

/// The text is not the name of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 40 of a-z, 0-9, _ and -")]
pub struct ReplicaNameError;

impl FromStr for ReplicaName {
    type Err = ReplicaNameError;

    fn from_str(text: &str) -> Result<Self, ReplicaNameError> {
        let fits = (1..=40).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if fits { Ok(Self(text.to_owned())) } else { Err(ReplicaNameError) }
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ReplicaName {
    /// The default name of a replica.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// The replica's own queue.
    #[must_use]
    pub fn queue(&self) -> String {
        format!("parking.replica.{}", self.0)
    }
}

/// A recipient of events, with a queue of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A replica.
    Replica(ReplicaName),
    /// The copy that a rebuild of this replica makes beside it.
    Rebuild(ReplicaName),
}

/// Follows the replica's name in the name of a rebuild. A replica's name has no dot, so the two names cannot
/// be confused.
const REBUILD_SUFFIX: &str = ".rebuild";

impl FromStr for Recipient {
    type Err = ReplicaNameError;

    fn from_str(text: &str) -> Result<Self, ReplicaNameError> {
        match text.strip_suffix(REBUILD_SUFFIX) {
            Some(name) => name.parse().map(Self::Rebuild),
            None => text.parse().map(Self::Replica),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(name) => name.fmt(f),
            Self::Rebuild(name) => write!(f, "{name}{REBUILD_SUFFIX}"),
        }
    }
}

impl Recipient {
    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> String {
        format!("parking.replica.{self}")
    }

    /// The name under which a step of this recipient shows in the broker's list.
    #[must_use]
    pub fn step(&self, step: &str) -> String {
        match self {
            Self::Replica(_) => step.to_owned(),
            Self::Rebuild(_) => format!("rebuild {step}"),
        }
    }
}
