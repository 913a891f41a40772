//! How the services are, by their own word.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use stack::http::{self, Answer};

use super::{Part, Stack};

/// A probe answers at once. A service that takes longer counts as silent.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It does not answer.
    Silent,
    /// It answers, and waits for these parts, as it calls them.
    Waiting(Vec<String>),
    /// It and all that it needs is up.
    Ready,
}

#[derive(Deserialize)]
struct Readiness {
    status: String,
    #[serde(default)]
    dependencies: BTreeMap<String, PartState>,
}

#[derive(Deserialize)]
struct PartState {
    state: String,
}

impl Stack {
    /// What the service says about itself.
    pub(crate) fn health(&self, service: Part) -> Health {
        let probe = |path: &str| http::get(&format!("{}{path}", self.http_url(service)), PROBE_LIMIT);
        match probe("/readyz") {
            Some(Answer { body, .. }) => read_health(&body),
            None => match probe("/livez") {
                Some(Answer { status: 200, .. }) => Health::Waiting(vec!["its own start".to_owned()]),
                _ => Health::Silent,
            },
        }
    }
}

fn read_health(body: &str) -> Health {
    match serde_json::from_str::<Readiness>(body) {
        Ok(readiness) if readiness.status == "ready" => Health::Ready,
        Ok(readiness) => {
            let down = readiness
                .dependencies
                .into_iter()
                .filter(|(_, part)| part.state != "up")
                .map(|(name, _)| name);
            let down: Vec<String> = down.collect();
            Health::Waiting(if down.is_empty() {
                vec![format!("itself ({})", readiness.status)]
            } else {
                down
            })
        }
        Err(_) => Health::Waiting(vec!["a readable answer of /readyz".to_owned()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_what_it_waits_for() {
        for (body, health, reason) in [
            (r#"{"status":"ready","dependencies":{"primary":{"state":"up"}}}"#, Health::Ready, "all is up"),
            (
                r#"{"status":"degraded","dependencies":{"broker":{"state":"down","since":"x"},"primary":{"state":"up"}}}"#,
                Health::Waiting(vec!["broker".to_owned()]),
                "one dependency is down",
            ),
            (
                r#"{"status":"starting"}"#,
                Health::Waiting(vec!["itself (starting)".to_owned()]),
                "no dependency is named",
            ),
        ] {
            assert_eq!(read_health(body), health, "{reason}");
        }
    }
}
