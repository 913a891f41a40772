//! One read: what it demanded, what it showed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use uuid::Uuid;

use super::{book::Write, register::Place};
use crate::client::{Client, Page, Reply, Slot};

/// What is read.
#[derive(Clone, Debug)]
pub enum Scope {
    /// One slot.
    One(Uuid),
    /// A page of the list: the slots whose name contains `name`, after a place, at most `limit`.
    Page {
        /// In lower case.
        name: Option<String>,
        /// Where the page before ended, and its cursor.
        after: Option<(Place, String)>,
        /// How many slots at most.
        limit: usize,
    },
    /// The summary.
    Summary,
}

/// What a read asks for beyond what happens to be there.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// The writes whose receipts are given.
    pub writes: Vec<Arc<Write>>,
    /// `Freshness-Receipt` of an earlier answer.
    pub read_receipt: Option<String>,
    /// `consistency=strong`.
    pub strong: bool,
    /// `max_staleness_ms`.
    pub staleness: Option<Duration>,
    /// `wait_ms`.
    pub wait: Option<Duration>,
    /// `on_timeout=stale`.
    pub or_stale: bool,
    /// `GET /receipts/..` has said `applied` of this write, and the read itself demands nothing.
    pub said_applied: Option<Arc<Write>>,
}

/// What an answer said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing was demanded.
    Eventual,
    /// What was demanded holds.
    Satisfied,
    /// It does not.
    Stale,
}

/// What an answer showed.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Slots and their versions; with where a page ended, unless it was the last.
    Slots(HashMap<Uuid, i64>, Option<Place>),
    /// How many slots have each status.
    Counts(BTreeMap<String, i64>),
}

/// An answer that showed something.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `Freshness-Result`.
    pub claim: Claim,
    /// `Freshness-As-Of`.
    pub as_of: Option<Timestamp>,
    /// `Freshness-Receipt`.
    pub receipt: String,
    /// `Freshness-Missing`.
    pub missing: Option<String>,
    /// The body.
    pub shown: Shown,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// A read and what became of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was read.
    pub scope: Scope,
    /// What was demanded.
    pub demand: Demand,
    /// Of which sequence of reads it is, each of which hands its receipt on to the next.
    pub sequence: Option<usize>,
    /// When it was sent, by the clock that nobody sets.
    pub sent: Instant,
    /// When the answer had come.
    pub answered: Instant,
    /// The same by the clock of commit times.
    pub answered_at: Timestamp,
    /// The answer; or how it was refused.
    pub outcome: Result<Answer, Refusal>,
}

/// A refusal of a read that states of the system explain: 503 or 504.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The name of the problem, without `/problems/`; empty when it is none.
    pub problem: String,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}

impl Scope {
    /// The path and, if it has one, the query up to here.
    fn target(&self) -> (String, Vec<String>) {
        match self {
            Self::One(uuid) => (format!("/parking-slots/{uuid}"), Vec::new()),
            Self::Summary => ("/parking-slots/summary".to_owned(), Vec::new()),
            Self::Page { name, after, limit } => {
                let mut query = vec![format!("limit={limit}")];
                query.extend(name.as_ref().map(|name| format!("name={}", name.replace(' ', "%20"))));
                query.extend(after.as_ref().map(|(_, cursor)| format!("cursor={cursor}")));
                ("/parking-slots".to_owned(), query)
            }
        }
    }
}

impl Demand {
    /// Whether the read itself demands anything.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !self.writes.is_empty() || self.read_receipt.is_some() || self.strong || self.staleness.is_some()
    }

    /// Whether the read gives a receipt back.
    #[must_use]
    pub fn has_receipt(&self) -> bool {
        !self.writes.is_empty() || self.read_receipt.is_some()
    }

    fn parameters(&self) -> Vec<String> {
        let mut query: Vec<String> =
            self.writes.iter().map(|write| format!("receipt={}", write.receipt)).collect();
        query.extend(self.read_receipt.iter().map(|receipt| format!("receipt={receipt}")));
        query.extend(self.strong.then(|| "consistency=strong".to_owned()));
        query.extend(self.staleness.map(|bound| format!("max_staleness_ms={}", bound.as_millis())));
        query.extend(self.wait.map(|wait| format!("wait_ms={}", wait.as_millis())));
        query.extend(self.or_stale.then(|| "on_timeout=stale".to_owned()));
        query
    }
}

impl Sample {
    /// Reads.
    ///
    /// # Errors
    /// No answer, or one that no read may get here.
    pub async fn take(
        client: &Client,
        scope: Scope,
        demand: Demand,
        sequence: Option<usize>,
    ) -> Result<Self> {
        let (path, mut query) = scope.target();
        query.extend(demand.parameters());
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let sent = Instant::now();
        let reply = client.get_path(&path).await?;
        let (answered, answered_at) = (Instant::now(), Timestamp::now());
        let outcome = read_reply(&reply, &scope, &demand).with_context(|| format!("GET {path}"))?;
        Ok(Self { scope, demand, sequence, sent, answered, answered_at, outcome })
    }

    /// From the request to the last byte of its answer.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.answered - self.sent
    }

    /// The slot, of a read of one.
    #[must_use]
    pub fn slot(&self) -> Option<Uuid> {
        match self.scope {
            Scope::One(uuid) => Some(uuid),
            Scope::Page { .. } | Scope::Summary => None,
        }
    }
}

impl Refusal {
    fn of(reply: &Reply) -> Self {
        let retry_after = reply.header("retry-after").and_then(|seconds| seconds.parse().ok());
        Self { status: reply.status.as_u16(), problem: reply.problem().to_owned(), retry_after }
    }
}

fn read_reply(reply: &Reply, scope: &Scope, demand: &Demand) -> Result<Result<Answer, Refusal>> {
    match reply.status.as_u16() {
        200 => {}
        404 if matches!(scope, Scope::One(_)) && reply.problem() == "not-found" => {}
        504 => {
            ensure!(demand.is_some() && !demand.or_stale, "504 to who can do with less");
            ensure!(reply.problem() == "replica-behind", "504 is {}", reply.body);
            return Ok(Err(Refusal::of(reply)));
        }
        503 => return Ok(Err(Refusal::of(reply))),
        status => bail!("{status}: {}", reply.body),
    }
    let claim = match reply.header("freshness-result") {
        Some("eventual") if !demand.is_some() => Claim::Eventual,
        Some("satisfied") if demand.is_some() => Claim::Satisfied,
        Some("stale") if demand.is_some() && demand.or_stale => Claim::Stale,
        other => bail!("Freshness-Result is {other:?}, and demanded was {demand:?}"),
    };
    let as_of = reply.header("freshness-as-of").map(str::parse).transpose().context("Freshness-As-Of")?;
    let (shown, next_cursor) = read_body(reply, scope)?;
    let receipt = reply.header("freshness-receipt").context("no Freshness-Receipt")?.to_owned();
    let missing = reply.header("freshness-missing").map(str::to_owned);
    Ok(Ok(Answer { claim, as_of, receipt, missing, shown, next_cursor }))
}

fn read_body(reply: &Reply, scope: &Scope) -> Result<(Shown, Option<String>)> {
    let slots = |slots: &[Slot]| slots.iter().map(|slot| (slot.uuid, slot.version)).collect();
    match scope {
        Scope::One(_) if reply.status.as_u16() == 404 => Ok((Shown::Slots(HashMap::new(), None), None)),
        Scope::One(_) => {
            let slot: Slot = serde_json::from_value(reply.body.clone())?;
            Ok((Shown::Slots(slots(&[slot]), None), None))
        }
        Scope::Page { .. } => {
            let page: Page = serde_json::from_value(reply.body.clone())?;
            let end = page.items.last().filter(|_| page.next_cursor.is_some());
            let end = end.map(|slot| (slot.created_at, slot.uuid));
            Ok((Shown::Slots(slots(&page.items), end), page.next_cursor))
        }
        Scope::Summary => {
            let counts: BTreeMap<String, i64> = serde_json::from_value(reply.body["by_status"].clone())?;
            ensure!(reply.body["total"] == counts.values().sum::<i64>(), "the sum is wrong: {}", reply.body);
            Ok((Shown::Counts(counts), None))
        }
    }
}
