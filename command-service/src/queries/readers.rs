//! A reader: takes all questions that wait, and answers them together. Questions that come meanwhile form the next group,
//! so groups grow with the load, and nobody waits for a group to fill.

use std::{sync::Arc, time::Duration};

use shared::{
    postgres::{DatabaseUrl, Fault, Session, SessionKind},
    process::dependency_state::Dependency,
};
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::Statement;
use tokio_util::sync::CancellationToken;

use super::{
    asked::{Asked, Unanswered, refuse_all},
    list::{self, PAGES},
    one::{self, BY_UUID},
    question::{Group, ReadQuestion},
    read_error::{BadRow, ReadError, SharedCause},
    settled::{self, SETTLED},
    silence::Silence,
    summary::{self, BY_STATUS},
};

/// Time limit of a read, including the wait for a reader.
pub const READ_DEADLINE: Duration = Duration::from_secs(5);

/// A replica that answers nothing for 5 s is down, and the reader connects again. A plan is made once for each
/// statement: making it takes longer than to execute it.
const KIND: SessionKind = SessionKind {
    step: "query",
    options: "-c statement_timeout=4s -c default_transaction_read_only=on \
              -c max_parallel_workers_per_gather=0 -c plan_cache_mode=force_generic_plan",
    deadline: READ_DEADLINE,
};

/// How often a group is asked: twice, when its connection turns out to be dead.
const TRIES_MAX: usize = 2;

/// A connection with its statements.
struct ReadSession {
    session: Session,
    pages: Statement,
    by_uuid: Statement,
    by_status: Statement,
    settled: Statement,
}

impl ReadSession {
    async fn open(replica: &DatabaseUrl) -> Result<Self, ReadError> {
        let session = replica.connect(KIND).await.map_err(|error| ReadError::Down(SharedCause::of(error)))?;
        let prepared = tokio::try_join!(
            session.prepare(PAGES),
            session.prepare(BY_UUID),
            session.prepare(BY_STATUS),
            session.prepare(SETTLED),
        );
        match prepared {
            Ok((pages, by_uuid, by_status, settled)) => {
                Ok(Self { session, pages, by_uuid, by_status, settled })
            }
            Err(error) => Err(refusal(error.into(), &session)),
        }
    }
}

/// Answers groups of questions, one after the other.
#[derive(Debug)]
pub(super) struct Reader {
    replica: DatabaseUrl,
    dependency: Dependency,
    questions: Arc<Mutex<mpsc::Receiver<ReadQuestion>>>,
}

impl Reader {
    pub(super) fn new(
        replica: DatabaseUrl,
        dependency: Dependency,
        questions: Arc<Mutex<mpsc::Receiver<ReadQuestion>>>,
    ) -> Self {
        Self { replica, dependency, questions }
    }

    /// Answers until `shutdown` is cancelled or nobody can ask any more.
    pub(super) async fn run(self, silence: Silence, shutdown: CancellationToken) {
        let answering = async {
            let mut session = None;
            while let Some(group) = self.next_group().await {
                // A silent replica: the group is dropped with its connection, and so refused.
                session = silence.unless(self.answer(group, session)).await.flatten();
            }
        };
        shutdown.run_until_cancelled(Box::pin(answering)).await;
    }

    /// Waits for a question; takes all others that wait too.
    async fn next_group(&self) -> Option<Group> {
        let mut questions = self.questions.lock().await;
        let mut group = Group::default();
        group.add(questions.recv().await?);
        while !group.is_full()
            && let Ok(question) = questions.try_recv()
        {
            group.add(question);
        }
        Some(group)
    }

    /// Answers a group; returns the session if it can be used again.
    async fn answer(&self, mut group: Group, session: Option<ReadSession>) -> Option<ReadSession> {
        let mut session = session;
        for _ in 0..TRIES_MAX {
            let open = match session.take().filter(|open| !open.session.is_closed()) {
                Some(open) => open,
                None => match ReadSession::open(&self.replica).await {
                    Ok(open) => open,
                    Err(error) => {
                        self.report(&error);
                        group.refuse(&error);
                        return None;
                    }
                },
            };
            group = self.ask(&open, group).await;
            if group.is_empty() {
                return Some(open);
            }
        }
        let error = ReadError::Down(SharedCause::of(ConnectionLost));
        self.report(&error);
        group.refuse(&error);
        None
    }

    /// Sends a statement for each kind of question at once; returns the questions whose connection was lost.
    async fn ask(&self, open: &ReadSession, group: Group) -> Group {
        let Group { pages, slots, summaries, settled, .. } = group;
        let session = &open.session;
        let answered = tokio::join!(
            if_any(pages, |asked| list::answer(session, &open.pages, asked)),
            if_any(slots, |asked| one::answer(session, &open.by_uuid, asked)),
            if_any(summaries, |asked| summary::answer(session, &open.by_status, asked)),
            if_any(settled, |asked| settled::answer(session, &open.settled, asked)),
        );
        Group::of(
            self.left(session, answered.0),
            self.left(session, answered.1),
            self.left(session, answered.2),
            self.left(session, answered.3),
        )
    }

    /// The questions to ask again on another connection. Those that the replica refused are told so.
    fn left<Q, T>(&self, session: &Session, answered: Result<(), Unanswered<Q, T>>) -> Vec<Asked<Q, T>> {
        let Err((error, asked)) = answered else {
            self.dependency.up();
            return Vec::new();
        };
        if is_lost(&error, session) {
            return asked;
        }
        let error = refusal(error, session);
        self.report(&error);
        refuse_all(asked, &error);
        Vec::new()
    }

    fn report(&self, error: &ReadError) {
        match error {
            ReadError::Down(_) => self.dependency.down("not connected", error),
            ReadError::Sql(_) | ReadError::Overloaded => self.dependency.up(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the connection was lost twice")]
struct ConnectionLost;

/// Sends nothing where nothing is asked.
async fn if_any<A, E>(asked: Vec<A>, answer: impl AsyncFnOnce(Vec<A>) -> Result<(), E>) -> Result<(), E> {
    if asked.is_empty() { Ok(()) } else { answer(asked).await }
}

pub(super) fn is_lost(error: &BadRow, session: &Session) -> bool {
    matches!(error, BadRow::Sql(error) if session.fault(error) == Fault::ConnectionLost)
}

/// What the callers are told of an error.
pub(super) fn refusal(error: BadRow, session: &Session) -> ReadError {
    match &error {
        BadRow::Sql(sql) => match session.fault(sql) {
            Fault::ConnectionLost | Fault::Unable | Fault::Retryable => {
                ReadError::Down(SharedCause::of(error))
            }
            Fault::Data | Fault::Other => ReadError::Sql(SharedCause::of(error)),
        },
        BadRow::Status(_) => ReadError::Sql(SharedCause::of(error)),
    }
}
