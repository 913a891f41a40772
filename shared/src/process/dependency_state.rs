//! Tracks which dependencies of a service are up, and since when. Their users report here; `/readyz` and the
//! handlers read.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;

use super::cause::{cause, chain};
use crate::time;

/// Seconds after which a caller may retry when a dependency was down or a queue was full. A service retries a
/// dependency about once a second.
pub const RETRY_AFTER_SECS: u32 = 1;

/// The detail of a dependency before its first answer.
const NOT_REACHED: &str = "not reached yet";

/// The prefix of the detail of an unreachable dependency: its cause says more.
const NOT_CONNECTED: &str = "not connected";

/// Whether a dependency answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyState {
    /// Its last report was an answer.
    Up,
    /// It has not been reached yet, or it is lost.
    Down,
}

/// The state of a dependency, and why.
#[derive(Clone, Debug, Serialize)]
pub struct DependencyStatus {
    /// Whether it answers.
    pub state: DependencyState,
    /// When this state began.
    #[serde(with = "time")]
    pub since: Timestamp,
    /// What the service waits for, in words that name no host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Cow<'static, str>>,
    /// Whether it has answered since the service started.
    #[serde(skip)]
    pub was_reached: bool,
    /// Why it was last down. Hidden from HTTP: it may name a user or a host.
    #[serde(skip)]
    last_reason: String,
}

/// One dependency of one service. Clones share the same state.
#[derive(Clone, Debug)]
pub struct Dependency {
    name: &'static str,
    status: Arc<Mutex<DependencyStatus>>,
}

impl Dependency {
    /// A dependency that has not been reached yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let status = DependencyStatus {
            state: DependencyState::Down,
            since: Timestamp::now(),
            detail: Some(NOT_REACHED.into()),
            was_reached: false,
            last_reason: NOT_REACHED.to_owned(),
        };
        Self { name, status: Arc::new(Mutex::new(status)) }
    }

    /// The dependency's name in `/readyz`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The current status.
    #[must_use]
    pub fn status(&self) -> DependencyStatus {
        self.locked().clone()
    }

    /// Whether the last report was an answer.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.status().state == DependencyState::Up
    }

    /// Why the dependency was last down, for the last line of a failed command. It may name a user or a host.
    #[must_use]
    pub fn last_reason(&self) -> String {
        self.status().last_reason
    }

    /// Reports that the dependency answers. Logs a change.
    pub fn up(&self) {
        if self.set(DependencyState::Up, None) {
            tracing::info!(dependency = self.name, "dependency is up");
        }
    }

    /// Reports that the dependency does not answer, and what the service waits for. Logs a change.
    pub fn down(&self, detail: &'static str, cause: &(dyn std::error::Error + 'static)) {
        self.note_reason(detail, cause);
        if self.set(DependencyState::Down, Some(detail.into())) {
            tracing::warn!(dependency = self.name, detail, cause = chain(cause), "dependency is down");
        }
    }

    /// Reports what the dependency lacks. Logs a change.
    pub fn down_because(&self, what: String) {
        self.locked().last_reason.clone_from(&what);
        if self.set(DependencyState::Down, Some(what.clone().into())) {
            tracing::warn!(dependency = self.name, detail = what, "dependency is down");
        }
    }

    fn note_reason(&self, detail: &str, error: &(dyn std::error::Error + 'static)) {
        let cause = cause(error);
        self.locked().last_reason = match detail.starts_with(NOT_CONNECTED) {
            true => cause,
            false => format!("{detail} ({cause})"),
        };
    }

    fn locked(&self) -> MutexGuard<'_, DependencyStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: DependencyState, detail: Option<Cow<'static, str>>) -> bool {
        let mut status = self.locked();
        let news = status.state != state || status.detail != detail;
        if status.state != state {
            status.since = Timestamp::now();
        }
        status.state = state;
        status.detail = detail;
        status.was_reached |= state == DependencyState::Up;
        news
    }
}

/// The state of a service, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyStatus {
    /// Every dependency is up.
    Ready,
    /// Some dependency is down.
    Degraded,
    /// Not useful yet: some dependency has not been reached since the start.
    Starting,
    /// Shutting down: takes no new work.
    Draining,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// The state of the service.
    pub status: ReadyStatus,
    /// The state of each dependency, by name.
    pub dependencies: BTreeMap<&'static str, DependencyStatus>,
    /// What an operator should know though everything works.
    pub warnings: Vec<&'static str>,
    #[serde(skip)]
    useful: bool,
}

impl Readiness {
    /// Sums up the dependencies. `useful`: the service can work with the dependencies that are up.
    #[must_use]
    pub fn of(dependencies: &[&Dependency], useful: bool, draining: bool) -> Self {
        let dependencies: BTreeMap<_, _> =
            dependencies.iter().map(|dependency| (dependency.name(), dependency.status())).collect();
        let status = if draining {
            ReadyStatus::Draining
        } else if dependencies.values().all(|dependency| dependency.state == DependencyState::Up) {
            ReadyStatus::Ready
        } else if !useful && dependencies.values().any(|dependency| !dependency.was_reached) {
            ReadyStatus::Starting
        } else {
            ReadyStatus::Degraded
        };
        Self { status, dependencies, warnings: Vec::new(), useful: useful && !draining }
    }

    /// Adds what an operator should know.
    #[must_use]
    pub fn with_warnings(self, warnings: Vec<&'static str>) -> Self {
        Self { warnings, ..self }
    }

    /// Whether to send work here: `/readyz` answers 200 if so, else 503.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.useful
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_last_reason_outlives_the_outage_and_stays_out_of_the_answer_over_http() -> serde_json::Result<()> {
        let dependency = Dependency::new("primary");
        assert_eq!(dependency.last_reason(), "not reached yet");

        dependency.down("not connected, or not writing", &io::Error::other("no such user: x"));
        assert_eq!(dependency.last_reason(), "no such user: x");
        let answer = serde_json::to_string(&dependency.status())?;
        assert!(!answer.contains("user"), "{answer}");
        dependency.down("not migrated: run migrate", &io::Error::other("no such table"));
        dependency.up();

        assert_eq!(dependency.last_reason(), "not migrated: run migrate (no such table)");
        Ok(())
    }
}
