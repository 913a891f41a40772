//! Whether a run has to have an engine. Root always has one; `.ci/run` demands it, and an ordinary user's
//! `cargo stack test` does without.

use anyhow::{Result, bail};

/// The setting with which `.ci/run` demands it.
const SETTING: &str = "PARKING_TEST_CONTAINERS";

/// What this run does about containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Runs them. What is missing is installed, and what cannot be had is a failure.
    Run,
    /// Leaves them out, and says so.
    LeaveOut,
}

impl Demand {
    /// What the environment and the rights of this process ask for.
    ///
    /// # Errors
    /// Containers are demanded and the process is not root, or the setting has an unknown value.
    pub fn of_this_run() -> Result<Self> {
        let setting = std::env::var(SETTING).ok();
        decide(setting.as_deref(), rustix::process::geteuid().is_root())
    }
}

fn decide(setting: Option<&str>, root: bool) -> Result<Demand> {
    match (setting, root) {
        (None | Some("required"), true) => Ok(Demand::Run),
        (None, false) => Ok(Demand::LeaveOut),
        (Some("required"), false) => bail!("{SETTING}=required needs root, to start an engine of its own"),
        (Some(other), _) => bail!("{SETTING} is `required` or absent, not `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_user_does_without_containers_and_a_demand_is_never_ignored() {
        let cases = [
            (None, true, Some(Demand::Run), "root"),
            (None, false, Some(Demand::LeaveOut), "an ordinary user"),
            (Some("required"), true, Some(Demand::Run), "a demand"),
            (Some("required"), false, None, "a demand that cannot be met"),
            (Some("requierd"), true, None, "a mistyped demand"),
        ];

        for (setting, root, due, reason) in cases {
            assert_eq!(decide(setting, root).ok(), due, "{reason}");
        }
    }
}
