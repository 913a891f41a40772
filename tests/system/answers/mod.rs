//! Every answer of the API, from outside: what is refused, as what, why, and that nothing happened then.
//!
//! | module | holds |
//! |---|---|
//! | `problem` | what holds of every problem |
//! | `bodies` | JSON and what only looks like it |
//! | `values` | names and statuses |
//! | `sizes` | how large, how many, how slow |
//! | `media_types` | `Content-Type`, `Content-Encoding` |
//! | `parameters` | query parameters, cursors, uuids |
//! | `preconditions` | `If-Match`, `If-None-Match` |
//! | `idempotency_keys` | `Idempotency-Key` |
//! | `resources` | paths, methods, `HEAD`, pages of problems |
//! | `headers` | what answers carry beside their body |
//! | `expectations` | `Expect: 100-continue` |
//! | `half_closed` | clients that close their side |
//! | `outages` | problems while a dependency is down |

pub(crate) mod problem;
mod bodies;
mod values;
mod sizes;
mod media_types;
mod parameters;
mod preconditions;
mod idempotency_keys;
mod resources;
mod headers;
mod expectations;
mod half_closed;
mod outages;

use anyhow::{Result, ensure};
use system_tests::{Call, Pair, Reply};

use self::problem::{Inside, check_problem, status_of};

const SLOTS: &str = "/parking-slots";
const BATCH: &str = "/parking-slots/batch";

/// A call that must be refused.
struct Case {
    reason: &'static str,
    call: Call,
    problem: &'static str,
    pointers: Vec<&'static str>,
}

impl Case {
    /// `call` is refused as `problem`, for this reason.
    fn new(reason: &'static str, call: Call, problem: &'static str) -> Self {
        Self { reason, call, problem, pointers: Vec::new() }
    }

    /// The answer names these places, and no other.
    fn at(self, pointers: impl Into<Vec<&'static str>>) -> Self {
        Self { pointers: pointers.into(), ..self }
    }

    fn check(&self, reply: &Reply, inside: &Inside) -> Result<()> {
        check_problem(reply, inside)?;
        let (name, status) = (reply.problem(), reply.status.as_u16());
        ensure!(name == self.problem, "it is {name}: {}", reply.text);
        ensure!(Some(status) == status_of(self.problem), "its status is {status}");
        let mut named: Vec<&str> = reply.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|error| error["pointer"].as_str())
            .collect();
        let mut expected = self.pointers.clone();
        named.sort_unstable();
        expected.sort_unstable();
        ensure!(named == expected, "it names {named:?} instead of {expected:?}: {}", reply.text);
        Ok(())
    }
}

/// Makes every call of the table; each must be refused as it says, and when all are through, nothing has happened.
async fn check_refusals(pair: &Pair, cases: Vec<Case>) -> Result<()> {
    let address = pair.command_service().address();
    let inside = Inside::of(pair);
    let before = state(pair).await?;
    let mut failures = Vec::new();
    for case in &cases {
        let checked = match case.call.send(&address).await {
            Ok(reply) => case.check(&reply, &inside),
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            failures.push(format!("{} ({}): {error:#}", case.reason, case.call.line()));
        }
    }
    ensure!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    let after = state(pair).await?;
    ensure!(before == after, "something happened: {before:?} before, {after:?} after");
    Ok(())
}

/// The log's last position, how many slots there are, and the sum of their versions.
async fn state(pair: &Pair) -> Result<(i64, i64, i64)> {
    let sql = "SELECT (SELECT coalesce(max(position), 0) FROM parking_slot_events),
                      count(*), coalesce(sum(version), 0)::bigint
               FROM parking_slots";
    let row = pair.primary.sql().await?.query_one(sql, &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

/// A create with this body.
fn create(body: impl Into<Vec<u8>>) -> Call {
    Call::new("POST", SLOTS).json(body)
}

/// Several creates with this body.
fn batch(body: impl Into<Vec<u8>>) -> Call {
    Call::new("POST", BATCH).json(body)
}

/// A change of a slot, with this body.
fn patch(uuid: uuid::Uuid, body: impl Into<Vec<u8>>) -> Call {
    Call::new("PATCH", format!("{SLOTS}/{uuid}")).json(body)
}

fn get(target: impl Into<Vec<u8>>) -> Call {
    Call::new("GET", target)
}
