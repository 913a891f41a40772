//! A searcher: answers pages with a filter, one at a time, on a connection of its own. A search whose callers are all
//! gone ends on the server too.

use std::{pin::pin, sync::Arc, time::Duration};

use shared::{
    postgres::{DatabaseUrl, Fault, Session, SessionKind},
    process::dependency_state::Dependency,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    asked::{Unanswered, handed_back_by, refuse_all, reply_all},
    filtered::Searching,
    list::PageQuery,
    page::Page,
    read_error::{BadRow, ReadError, SharedCause, is_lost, refusal},
    search_statements::search_options,
    searches::{Search, Searches},
    silence::Silence,
};

/// A search may take 4 s. A replica that answers nothing for 5 s is down.
const KIND: SessionKind = SessionKind {
    step: "search",
    options: concat!(
        "-c statement_timeout=4s -c default_transaction_read_only=on -c max_parallel_workers_per_gather=0 ",
        search_options!()
    ),
    deadline: Duration::from_secs(5),
};

/// How often a search is sent: twice, when its connection turns out to be dead.
const TRIES_MAX: usize = 2;

/// A connection with its statements.
struct SearchSession {
    session: Session,
    searching: Searching,
}

impl SearchSession {
    async fn open(replica: &DatabaseUrl) -> Result<Self, ReadError> {
        let session = replica.connect(KIND).await.map_err(|error| ReadError::Down(SharedCause::of(error)))?;
        match Searching::prepare(&session).await {
            Ok(searching) => Ok(Self { session, searching }),
            Err(error) => Err(too_long_or(error.into(), &session)),
        }
    }
}

/// Answers one search after the other.
#[derive(Debug)]
pub(super) struct Searcher {
    replica: DatabaseUrl,
    dependency: Dependency,
    searches: Arc<Searches>,
}

impl Searcher {
    pub(super) fn new(replica: DatabaseUrl, dependency: Dependency, searches: Arc<Searches>) -> Self {
        Self { replica, dependency, searches }
    }

    /// Searches until `shutdown` is cancelled.
    pub(super) async fn run(self, silence: Silence, shutdown: CancellationToken) {
        let searching = async {
            let mut session = None;
            loop {
                let asked = self.searches.next().await;
                // A silent replica: they are dropped with the connection, and so refused.
                session = silence.unless(self.answer(asked, session)).await.flatten();
            }
        };
        shutdown.run_until_cancelled(searching).await;
    }

    /// Answers equal searches; returns the session if it can be used again.
    async fn answer(&self, mut asked: Vec<Search>, session: Option<SearchSession>) -> Option<SearchSession> {
        let mut session = session;
        let mut error = ReadError::Overloaded;
        for _ in 0..TRIES_MAX {
            let open = match session.take().filter(|open| !open.session.is_closed()) {
                Some(open) => open,
                None => match SearchSession::open(&self.replica).await {
                    Ok(open) => open,
                    Err(refused) => {
                        error = refused;
                        break;
                    }
                },
            };
            match open.search(asked).await {
                Ok(()) => {
                    self.dependency.up();
                    return Some(open);
                }
                Err((cause, left)) if is_lost(&cause, &open.session) => {
                    error = refusal(cause, &open.session);
                    asked = left;
                }
                Err((cause, left)) => {
                    refuse_all(left, &too_long_or(cause, &open.session));
                    return Some(open);
                }
            }
        }
        if let ReadError::Down(_) = &error {
            self.dependency.down("not connected", &error);
        }
        refuse_all(asked, &error);
        None
    }
}

impl SearchSession {
    /// Searches. When all callers are gone, ends the statement on the server, and returns when it has ended.
    async fn search(&self, mut asked: Vec<Search>) -> Result<(), Unanswered<PageQuery, Page>> {
        let (handed_back, receipts) = handed_back_by(&asked);
        let Some(query) = asked.first().map(|first| first.query.clone()) else { return Ok(()) };
        let sent_at = Instant::now();
        let mut searching = pin!(self.searching.search(&self.session, &query, &handed_back));
        let found = tokio::select! {
            found = &mut searching => found,
            () = all_gone(&mut asked) => {
                self.session.cancel().await;
                searching.await
            }
        };
        reply_all(asked, &receipts, sent_at, found, |page, _, _, _| page.clone())
    }
}

async fn all_gone(asked: &mut [Search]) {
    for search in asked {
        search.reply.closed().await;
    }
}

/// A search that its time limit or its callers ended says nothing against the replica.
fn too_long_or(error: BadRow, session: &Session) -> ReadError {
    match &error {
        BadRow::Sql(sql) if session.fault(sql) == Fault::Retryable => ReadError::Overloaded,
        _ => refusal(error, session),
    }
}
