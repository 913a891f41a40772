//! One way through the list, page by page, and what a reader has to remember of it.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use system_tests::{Client, Pair, RECOVERY, Slot, client::Page, eventually};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A place in the order of creation.
pub(crate) type Place = (Timestamp, Uuid);

pub(crate) fn place_of(slot: &Slot) -> Place {
    (slot.created_at, slot.uuid)
}

/// What a reader asks for on every page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) limit: usize,
    pub(crate) status: Option<&'static str>,
    /// ASCII letters, digits and blanks only.
    pub(crate) name: Option<&'static str>,
}

impl Query {
    pub(crate) fn all(limit: usize) -> Self {
        Self { limit, status: None, name: None }
    }

    pub(crate) fn is_filtered(&self) -> bool {
        self.status.is_some() || self.name.is_some()
    }

    pub(crate) fn matches(&self, name: &str, status: &str) -> bool {
        let contains = |part: &str| name.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
        self.status.is_none_or(|wanted| wanted == status) && self.name.is_none_or(contains)
    }

    /// The query string for the page behind `cursor`.
    pub(crate) fn text(&self, cursor: Option<&str>) -> String {
        let status = self.status.map(|status| format!("&status={status}"));
        let name = self.name.map(|name| format!("&name={}", name.replace(' ', "%20")));
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}"));
        let parts = [status, name, cursor].map(Option::unwrap_or_default).concat();
        format!("?limit={}{parts}", self.limit)
    }
}

/// A cursor that was given out, and the place that it stands for: that of the last slot of its page.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) cursor: String,
    pub(crate) place: Place,
}

/// One way through the list, from its beginning to a page without `next_cursor`.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) query: Query,
    /// What the replica had applied before the first page: all up to here was visible.
    pub(crate) applied_before: i64,
    /// How long the log was after the last page: what is beyond was not even written.
    pub(crate) logged_after: i64,
    pub(crate) pages: Vec<Vec<Slot>>,
    pub(crate) given: Vec<Given>,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

impl Walk {
    /// Walks through the list, each page asked of the next of `instances`.
    pub(crate) async fn through(pair: &Pair, instances: &[Client], query: Query) -> Result<Self> {
        let started = Instant::now();
        let applied = "SELECT applied_through FROM replication_status";
        let applied_before = pair.replica.sql().await?.query_one(applied, &[]).await?.try_get(0)?;
        let (mut pages, mut given): (Vec<_>, Vec<Given>) = (Vec::new(), Vec::new());
        for instance in instances.iter().cycle() {
            let from = given.last();
            let page = page(instance, query, from.map(|from| from.cursor.as_str())).await?;
            // Else the walk might never end.
            let goes_on = |first: &Slot| from.is_none_or(|from| place_of(first) > from.place);
            ensure!(page.items.first().is_none_or(goes_on), "a page begins before its cursor");
            if let Some(cursor) = page.next_cursor {
                ensure!(page.items.len() == query.limit, "more is promised by a page that is not full");
                let place = place_of(page.items.last().context("a page of nothing")?);
                given.push(Given { cursor, place });
                pages.push(page.items);
            } else {
                ensure!(page.items.len() <= query.limit, "more than asked for");
                pages.push(page.items);
                break;
            }
        }
        let ended = Instant::now();
        let logged = "SELECT coalesce(max(position), 0) FROM parking_slot_events";
        let logged_after = pair.primary.sql().await?.query_one(logged, &[]).await?.try_get(0)?;
        Ok(Self { query, applied_before, logged_after, pages, given, started, ended })
    }

    /// Walks again and again, at least once, until the token is cancelled.
    pub(crate) async fn again_and_again(
        pair: &Pair,
        instances: &[Client],
        query: Query,
        stop: &CancellationToken,
    ) -> Result<Vec<Self>> {
        let mut walks = Vec::new();
        while walks.is_empty() || !stop.is_cancelled() {
            let walk = Self::through(pair, instances, query).await;
            walks.push(walk.with_context(|| format!("walk {} with {query:?}", walks.len()))?);
        }
        Ok(walks)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.pages.iter().flatten()
    }
}

/// One page. An instance that is being started again is asked until it answers: a cursor survives that.
async fn page(instance: &Client, query: Query, cursor: Option<&str>) -> Result<Page> {
    let text = query.text(cursor);
    let reply = eventually(RECOVERY, "a page comes", async || instance.list(&text).await).await?;
    Ok(serde_json::from_value(reply.expect(200)?.body)?)
}
