//! The way to ask where the log ends.

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

/// Why there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogEndError {
    /// The primary is down, or did not answer in time.
    #[error("the primary database is down")]
    Down,
    /// Too many reads ask already.
    #[error("too many reads are waiting")]
    TooMany,
}

/// What a read asks, with the way back.
#[derive(Debug)]
pub(super) enum Question {
    End(oneshot::Sender<LogEnd>),
    LastEvent(Position, oneshot::Sender<(LogEnd, Option<LoggedWrite>)>),
}

/// The way to ask. Clones are the same.
#[derive(Clone, Debug)]
pub struct LogEndHandle {
    pub(super) primary: Primary,
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) known: SharedEnd,
}

impl LogEndHandle {
    /// Where the log ends, as the primary says after this was called.
    ///
    /// # Errors
    /// [`LogEndError`], at the latest after [`LOG_END_DEADLINE`].
    pub async fn end(&self) -> Result<LogEnd, LogEndError> {
        self.ask(Question::End).await
    }

    /// Where the log ends, and what it says of a write; `None` if it ends before.
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

    /// Where the log ended when this process last heard of it on the connection that it has, or has written it since. It
    /// may be longer now.
    #[must_use]
    pub fn known_end(&self) -> Option<LogEnd> {
        let end = self.known.get().end?;
        match self.primary.seen() {
            Some(seen) if seen.epoch == end.epoch => {
                Some(LogEnd { position: end.position.max(seen.position), ..end })
            }
            // An event of another epoch shows that the end has to be asked for.
            Some(_) => None,
            None => Some(end),
        }
    }

    /// The epoch when this process last heard of it.
    #[must_use]
    pub fn known_epoch(&self) -> Option<Uuid> {
        self.known.get().epoch
    }

    /// The primary's clock; `None` while it has not been asked yet.
    #[must_use]
    pub fn clock(&self) -> Option<PrimaryClock> {
        self.known.get().clock
    }
}
