//! Processes that share the roles of command-service: what each does, refuses, connects to and needs.
//!
//! | module | holds |
//! |---|---|
//! | `together` | the roles as separate processes do what one process does |
//! | `calls` | which role answers which call |
//! | `readiness` | what `/readyz` says of each role |
//! | `reach` | what a role connects to |
//! | `without_primary` | a query process that does not know the primary |
//! | `faults` | a primary that is stopped, a relay that is killed |
//! | `urls` | which URL is needed when |

mod together;
mod calls;
mod readiness;
mod reach;
mod without_primary;
mod faults;
mod urls;

use anyhow::{Result, bail};
use system_tests::{Pair, RoleProcess, Shape, service::Service};

/// Three processes with a role each, in the order of the flow. All get every setting.
pub(crate) fn split() -> Shape {
    let role_processes = ["command", "query", "relay"].map(RoleProcess::with_every_setting).to_vec();
    Shape { role_processes, ..Shape::default() }
}

/// The processes of [`split`], by role.
pub(crate) struct Split<'p> {
    pub(crate) command: &'p Service,
    pub(crate) query: &'p Service,
    pub(crate) relay: &'p Service,
}

impl<'p> Split<'p> {
    pub(crate) fn of(pair: &'p Pair) -> Result<Self> {
        let [command, query, relay, ..] = &pair.command_services[..] else { bail!("there are not three") };
        Ok(Self { command, query, relay })
    }
}
