//! Whether the replica is silent: a frozen server or a lost network answers nothing, and refuses nothing either.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether the replica is silent. Its watch reports it. Meanwhile readers and searchers refuse every read at once, so no
/// read waits for an answer that cannot come. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Silence(Arc<watch::Sender<bool>>);

impl Silence {
    /// Reports that the replica is silent: reads in progress end too.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Reports that the replica answers again.
    pub fn end(&self) {
        self.0.send_replace(false);
    }

    /// Does `work` unless the replica is silent; drops it when the replica falls silent. `None`: it is not done.
    pub(super) async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut silent = self.0.subscribe();
        tokio::select! {
            biased;
            _ = silent.wait_for(|silent| *silent) => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_ends_when_the_silence_begins_and_is_done_again_when_it_ends() {
        let silence = Silence::default();
        let mut work = Box::pin(silence.unless(pending::<()>()));
        assert_eq!((&mut work).now_or_never(), None, "the replica may yet answer");

        silence.clone().begin();

        assert_eq!(work.await, None, "work in progress");
        assert_eq!(silence.unless(ready(())).await, None, "work that is new");
        silence.end();
        assert_eq!(silence.unless(ready(())).await, Some(()));
    }
}
