//! Which of the parts around a service are up, and since when. Whoever works with a part reports here; `/readyz`
//! and the handlers read.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::time;

/// When a caller may try again after a part was away or too much was waiting, in seconds. Parts are looked for about
/// once a second.
pub const RETRY_AFTER_SECS: u32 = 1;

/// Whether a part answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    /// It answered last time.
    Up,
    /// It has not been reached yet, or it was lost.
    Away,
}

/// What is known of a part.
#[derive(Clone, Debug, Serialize)]
pub struct PartStatus {
    /// Whether it answers.
    pub state: PartState,
    /// Since when that is so.
    #[serde(with = "time")]
    pub since: Timestamp,
    /// What is waited for, in words that name no host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Cow<'static, str>>,
    /// Whether it has answered since the service started.
    #[serde(skip)]
    pub was_reached: bool,
}

/// One part, as seen by one service. Clones share the same state.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    status: Arc<Mutex<PartStatus>>,
}

impl Part {
    /// A part that has not been reached yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let status = PartStatus {
            state: PartState::Away,
            since: Timestamp::now(),
            detail: Some("not reached yet".into()),
            was_reached: false,
        };
        Self { name, status: Arc::new(Mutex::new(status)) }
    }

    /// The part's name in `/readyz`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is known now.
    #[must_use]
    pub fn status(&self) -> PartStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the part answered last time.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.status().state == PartState::Up
    }

    /// Reports that the part answers. Logged when that is news.
    pub fn up(&self) {
        if self.set(PartState::Up, None) {
            tracing::info!(part = self.name, "part is up");
        }
    }

    /// Reports that the part does not answer, and what is waited for. Logged when that is news.
    pub fn away(&self, detail: &'static str, cause: &(dyn std::error::Error + 'static)) {
        if self.set(PartState::Away, Some(detail.into())) {
            tracing::warn!(part = self.name, detail, cause, "part is away");
        }
    }

    /// Reports that the part lacks something, and what. Logged when that is news.
    pub fn lacking(&self, what: String) {
        if self.set(PartState::Away, Some(what.clone().into())) {
            tracing::warn!(part = self.name, detail = what, "part is away");
        }
    }

    fn set(&self, state: PartState, detail: Option<Cow<'static, str>>) -> bool {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let news = status.state != state || status.detail != detail;
        if status.state != state {
            status.since = Timestamp::now();
        }
        status.state = state;
        status.detail = detail;
        status.was_reached |= state == PartState::Up;
        news
    }
}

/// How a service is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyStatus {
    /// Every part is up.
    Ready,
    /// Some part is away.
    Degraded,
    /// Of no use yet: some part has not been reached since the start.
    Starting,
    /// About to end: no new work, please.
    Draining,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// How the service is.
    pub status: ReadyStatus,
    /// How each part is, by name.
    pub parts: BTreeMap<&'static str, PartStatus>,
    #[serde(skip)]
    useful: bool,
}

impl Readiness {
    /// Sums up the parts. `useful` says whether the service can do its work with the parts that are up.
    #[must_use]
    pub fn of(parts: &[&Part], useful: bool, draining: bool) -> Self {
        let parts: BTreeMap<_, _> = parts.iter().map(|part| (part.name(), part.status())).collect();
        let status = if draining {
            ReadyStatus::Draining
        } else if parts.values().all(|part| part.state == PartState::Up) {
            ReadyStatus::Ready
        } else if !useful && parts.values().any(|part| !part.was_reached) {
            ReadyStatus::Starting
        } else {
            ReadyStatus::Degraded
        };
        Self { status, parts, useful: useful && !draining }
    }

    /// Whether to send work: the answer is 200, else 503.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.useful
    }
}
