//! Reads ask here where the log ends.

use shared::position::Position;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::{
    known_end::SharedEnd,
    session::{LOG_END_DEADLINE, LoggedWrite},
};
use crate::{
    primary::{clock::PrimaryClock, connection::Primary},
    register::{place::LogEnd, receipt::WriteReceipt},
};

/// Why a read gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogEndError {
    /// The primary is down, or did not answer in time.
    #[error("the primary database is down")]
    Down,
    /// Too many reads are waiting for an answer already.
    #[error("too many reads are waiting")]
    TooMany,
}

/// A read's question, with the channel for the answer.
#[derive(Debug)]
pub(super) enum Question {
    End(oneshot::Sender<LogEnd>),
    LastEvent(Position, oneshot::Sender<(LogEnd, Option<LoggedWrite>)>),
}

/// Sends questions to the [`LogEndReader`](super::LogEndReader). Clones share it.
#[derive(Clone, Debug)]
pub struct LogEndHandle {
    pub(super) primary: Primary,
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) known: SharedEnd,
}

impl LogEndHandle {
    /// The end of the log, as the primary reports it after this call.
    ///
    /// # Errors
    /// [`LogEndError`], at the latest after [`LOG_END_DEADLINE`].
    pub async fn end(&self) -> Result<LogEnd, LogEndError> {
        self.ask(Question::End).await
    }

    /// The end of the log, and the last event of a write; `None` if the log lacks that event.
    ///
    /// # Errors
    /// [`LogEndError`], at the latest after [`LOG_END_DEADLINE`].
    pub async fn last_event(
        &self,
        write: &WriteReceipt,
    ) -> Result<(LogEnd, Option<LoggedWrite>), LogEndError> {
        self.ask(|reply| Question::LastEvent(write.last, reply)).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, LogEndError> {
        let (reply, answer) = oneshot::channel();
        self.questions.try_send(question(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LogEndError::TooMany,
            mpsc::error::TrySendError::Closed(_) => LogEndError::Down,
        })?;
        timeout(LOG_END_DEADLINE, answer).await.ok().and_then(Result::ok).ok_or(LogEndError::Down)
    }

    /// The highest end of the log that this process knows, from the primary on the current connection or from an event
    /// seen since. The log may be longer now.
    #[must_use]
    pub fn known_end(&self) -> Option<LogEnd> {
        let end = self.known.get().end?;
        match self.primary.seen() {
            Some(seen) if seen.epoch == end.epoch => {
                Some(LogEnd { position: end.position.max(seen.position), ..end })
            }
            // The epoch changed: only the primary knows the end now.
            Some(_) => None,
            None => Some(end),
        }
    }

    /// The epoch that the primary reported last.
    #[must_use]
    pub fn known_epoch(&self) -> Option<Uuid> {
        self.known.get().epoch
    }

    /// The primary's clock; `None` until the primary first reports one.
    #[must_use]
    pub fn clock(&self) -> Option<PrimaryClock> {
        self.known.get().clock
    }
}
