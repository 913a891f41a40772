//! The client's own deadline for answers: it ends the connection of a silent server.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_postgres::Error;

/// The deadline, and the task that drives the connection.
#[derive(Debug)]
pub(super) struct AnswerDeadline {
    silence_max: Duration,
    last_answer: Mutex<Instant>,
    driver: JoinHandle<()>,
}

impl AnswerDeadline {
    pub(super) fn new(silence_max: Duration, driver: JoinHandle<()>) -> Self {
        Self { silence_max, last_answer: Mutex::new(Instant::now()), driver }
    }

    /// Runs a call. It leaves on its first poll, so calls leave in the order of their first polls.
    ///
    /// # Errors
    /// Those of the call. When the server is silent for too long, the connection ends, and the call fails as
    /// on any lost connection.
    pub(super) fn bound<'c, T: 'c>(
        &'c self,
        call: impl Future<Output = Result<T, Error>> + 'c,
    ) -> impl Future<Output = Result<T, Error>> + 'c {
        // On the heap: a dozen of these futures run side by side, each of a kilobyte or more.
        self.watch(Box::pin(call))
    }

    async fn watch<T>(&self, mut call: impl Future<Output = Result<T, Error>> + Unpin) -> Result<T, Error> {
        let sent_at = Instant::now();
        loop {
            let until = self.silent_until(sent_at);
            match timeout_at(until, &mut call).await {
                Ok(answer) => {
                    *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    return answer;
                }
                // Another call got an answer meanwhile.
                Err(_) if self.silent_until(sent_at) > until => {}
                Err(_) => {
                    tracing::debug!(silent_for = ?self.silence_max, "the database is silent: connection ended");
                    self.end_connection();
                    return call.await;
                }
            }
        }
    }

    /// When a call sent at `sent_at` has waited too long. A call behind others counts from the last answer.
    fn silent_until(&self, sent_at: Instant) -> Instant {
        let last_answer = *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner);
        sent_at.max(last_answer) + self.silence_max
    }

    /// Ends the connection at once, without telling the server. Each call fails as on a lost connection.
    pub(super) fn end_connection(&self) {
        self.driver.abort();
    }
}
