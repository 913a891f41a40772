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
    /// This process has no access to the primary.
    #[error("this process has no access to the primary")]
    NoAccess,
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
    /// `None` in a process without access to the primary.
    pub(super) asking: Option<Asking>,
    pub(super) known: SharedEnd,
}

/// The way to the reader.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) primary: Primary,
    pub(super) questions: mpsc::Sender<Question>,
}

impl LogEndHandle {
    /// A handle in a process without access to the primary. It knows nothing of the log, and each question fails at
    /// once.
    #[must_use]
    pub fn without_primary() -> Self {
        Self { asking: None, known: SharedEnd::default() }
    }

    /// Whether this process may ask the primary.
    #[must_use]
    pub fn has_access(&self) -> bool {
        self.asking.is_some()
    }

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
        let Asking { questions, .. } = self.asking.as_ref().ok_or(LogEndError::NoAccess)?;
        let (reply, answer) = oneshot::channel();
        questions.try_send(question(reply)).map_err(|error| match error {
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
        match self.asking.as_ref()?.primary.seen() {
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
