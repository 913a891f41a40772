//! Watches background tasks. A service is useless without any one of them, so the end of one ends the
//! process.

use std::{collections::HashMap, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tracing::Instrument;

/// A background task that ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The task returned.
    #[error("the background task `{0}` ended")]
    Ended(&'static str),
    /// The task panicked.
    #[error("the background task `{name}` panicked")]
    Panicked {
        /// The task.
        name: &'static str,
        /// The runtime's error.
        #[source]
        error: JoinError,
    },
}

/// The background tasks of a service, by name. Dropping it ends them at once.
#[derive(Debug, Default)]
pub struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task on the current runtime. Its log lines carry its name.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.running.spawn(task.instrument(tracing::error_span!("task", name)));
        self.names.insert(handle.id(), name);
    }

    /// Waits for the next task to end; for ever if no task runs.
    ///
    /// # Errors
    /// [`TaskError::Panicked`].
    async fn next_end(&mut self) -> Result<&'static str, TaskError> {
        match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => Ok(self.names.remove(&id).unwrap_or("unknown")),
            Some(Err(error)) => {
                let name = self.names.remove(&error.id()).unwrap_or("unknown");
                Err(TaskError::Panicked { name, error })
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until a task fails: it panics, or it ends while `is_stopping` returns false. Cancel-safe.
    pub async fn failure(&mut self, is_stopping: impl Fn() -> bool) -> TaskError {
        loop {
            match self.next_end().await {
                Ok(name) if !is_stopping() => return TaskError::Ended(name),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Waits until the task with this name has ended. Returns at once if it does not run.
    ///
    /// # Errors
    /// [`TaskError::Panicked`], of any task.
    pub async fn end_of(&mut self, name: &str) -> Result<(), TaskError> {
        while self.names.values().any(|running| *running == name) {
            self.next_end().await?;
        }
        Ok(())
    }

    /// Waits until every task has ended, at most for `patience`. Returns the names of the tasks that still
    /// run.
    ///
    /// # Errors
    /// [`TaskError::Panicked`].
    pub async fn end_of_all(&mut self, patience: Duration) -> Result<Vec<&'static str>, TaskError> {
        let ending = async {
            while !self.running.is_empty() {
                self.next_end().await?;
            }
            Ok(())
        };
        match timeout(patience, ending).await {
            Ok(ended) => ended.map(|()| Vec::new()),
            Err(_) => Ok(self.names.values().copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_too_early_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn("brief", async {});
        assert_eq!(tasks.failure(|| false).await.to_string(), "the background task `brief` ended");

        tasks.spawn("faulty", async { panic!("on purpose") });
        assert_eq!(tasks.failure(|| true).await.to_string(), "the background task `faulty` panicked");
    }

    #[tokio::test]
    async fn tasks_that_were_asked_to_end_are_waited_for_and_the_others_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn("brief", async {});

        tasks.end_of("brief").await.expect("it ends well");
        tasks.end_of("unknown").await.expect("it does not run");

        assert_eq!(tasks.end_of_all(Duration::from_millis(10)).await.expect("none panics"), ["patient"]);
    }
}
