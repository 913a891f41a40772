//! The way to the replica: reads ask, readers answer.

use std::sync::Arc;

use shared::{
    postgres::DatabaseUrl,
    process::{dependency_state::Dependency, tasks::Tasks},
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use super::{asked::Read, read_error::ReadError, readers::READ_DEADLINE};
use super::{
    asked::{Asked, ReadAnswer},
    cursor::Cursor,
    list::{Filter, Page, PageQuery},
    question::ReadQuestion,
    read_error::{QuestionDropped, SharedCause},
    readers::Reader,
    searchers::Searcher,
    searches::Searches,
    settled::Settled,
    silence::Silence,
    status::HandedBack,
    summary::Summary,
};
use crate::register::{receipt::WriteReceipt, record::SlotRecord};

/// Readers, each with a connection of its own. Two keep both the replica and this process at work: one decodes while
/// the other waits.
const READERS: usize = 2;

/// Searchers, each with a connection of its own: a search that takes long holds up no other read.
const SEARCHERS: usize = 2;

/// Reads that may wait for a reader.
const WAITING_MAX: usize = 4_096;

/// Asks the replica. Clones share its readers.
#[derive(Clone, Debug)]
pub struct Replica {
    questions: mpsc::Sender<ReadQuestion>,
    searches: Arc<Searches>,
    silence: Silence,
}

impl Replica {
    /// Starts the readers, which connect when they are asked and report to `dependency`. Call it on the main runtime.
    pub fn open(
        replica: &DatabaseUrl,
        dependency: &Dependency,
        tasks: &mut Tasks,
        stop_tasks: &CancellationToken,
    ) -> Self {
        let (questions, asked) = mpsc::channel(WAITING_MAX);
        let asked = Arc::new(Mutex::new(asked));
        let silence = Silence::default();
        for _ in 0..READERS {
            let reader = Reader::new(replica.clone(), dependency.clone(), Arc::clone(&asked));
            tasks.spawn("reader", reader.run(silence.clone(), stop_tasks.clone()));
        }
        let searches = Arc::new(Searches::default());
        for _ in 0..SEARCHERS {
            let searcher = Searcher::new(replica.clone(), dependency.clone(), Arc::clone(&searches));
            tasks.spawn("searcher", searcher.run(silence.clone(), stop_tasks.clone()));
        }
        Self { questions, searches, silence }
    }

    /// Where a watch of the replica reports its silence. Without a report, every read waits for its deadline.
    #[must_use]
    pub fn silence(&self) -> Silence {
        self.silence.clone()
    }

    /// Reads the first `limit` slots behind `cursor` that pass the filter. `handed_back` are the writes that the caller
    /// wants to see.
    ///
    /// # Errors
    /// [`ReadError`], at the latest after [`READ_DEADLINE`].
    pub async fn list(
        &self,
        filter: &Filter,
        cursor: Cursor,
        limit: u16,
        handed_back: &HandedBack,
    ) -> Result<Read<Page>, ReadError> {
        let query = PageQuery { filter: filter.clone(), cursor, limit };
        if query.filter.is_empty() {
            return self.ask(query, handed_back, ReadQuestion::Page).await;
        }
        let (asked, answer) = Asked::new(query, handed_back.clone());
        self.searches.add(asked)?;
        in_time(answer, |_| ReadError::Overloaded).await
    }

    /// Reads the slot, if the replica has it. `handed_back` are the writes that the caller wants to see.
    ///
    /// # Errors
    /// [`ReadError`], at the latest after [`READ_DEADLINE`].
    pub async fn slot(
        &self,
        uuid: Uuid,
        handed_back: &HandedBack,
    ) -> Result<Read<Option<SlotRecord>>, ReadError> {
        self.ask(uuid, handed_back, ReadQuestion::Slot).await
    }

    /// Reads the summary. `handed_back` are the writes that it must count.
    ///
    /// # Errors
    /// [`ReadError`], at the latest after [`READ_DEADLINE`].
    pub async fn summary(&self, handed_back: &HandedBack) -> Result<Read<Summary>, ReadError> {
        self.ask((), handed_back, ReadQuestion::Summary).await
    }

    /// Asks what the replica has done with the events of a write.
    ///
    /// # Errors
    /// [`ReadError`], at the latest after [`READ_DEADLINE`].
    pub async fn settled(&self, write: &WriteReceipt) -> Result<Read<Settled>, ReadError> {
        let handed_back = HandedBack { firsts: vec![write.first.get()], lasts: vec![write.last.get()] };
        self.ask(*write, &handed_back, ReadQuestion::Settled).await
    }

    async fn ask<Q, T>(
        &self,
        query: Q,
        handed_back: &HandedBack,
        question: impl FnOnce(Asked<Q, T>) -> ReadQuestion,
    ) -> Result<Read<T>, ReadError> {
        let (asked, answer) = Asked::new(query, handed_back.clone());
        self.questions.try_send(question(asked)).map_err(|_| ReadError::Overloaded)?;
        in_time(answer, |late| ReadError::Down(SharedCause::of(late))).await
    }
}

/// Waits for an answer. Dropping the wait tells the reader that the caller is gone.
async fn in_time<T>(
    answer: oneshot::Receiver<ReadAnswer<T>>,
    too_late: impl FnOnce(tokio::time::error::Elapsed) -> ReadError,
) -> Result<Read<T>, ReadError> {
    match timeout(READ_DEADLINE, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ReadError::Down(SharedCause::of(QuestionDropped))),
        Err(late) => Err(too_late(late)),
    }
}
