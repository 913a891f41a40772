//! What is to happen at which message.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::frames::{Frame, Sender};

/// What becomes of a message.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It disappears, and both ends of the connection are reset.
    SwallowAndReset,
    /// The client's end is reset at once. The server's end stays open and gets the message when the token is
    /// cancelled: a request that was on its way while its client went down.
    Strand(CancellationToken),
}

/// Decides on every message of every connection of a proxy.
pub trait Rule: Send + Sync + std::fmt::Debug {
    /// What becomes of `frame`.
    fn judge(&self, frame: &Frame<'_>) -> Fate;
}

/// Swallows the replies to the next `n` COMMITs, each with a reset: the transaction is committed, and its client
/// cannot know.
#[derive(Debug)]
pub struct SwallowCommitReply {
    left: AtomicU64,
    swallowed: AtomicU64,
}

impl SwallowCommitReply {
    /// For the next `times` replies.
    #[must_use]
    pub fn times(times: u64) -> Self {
        Self { left: AtomicU64::new(times), swallowed: AtomicU64::new(0) }
    }

    /// How many were swallowed.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.swallowed.load(Ordering::Relaxed)
    }
}

impl Rule for SwallowCommitReply {
    fn judge(&self, frame: &Frame<'_>) -> Fate {
        // A transaction that failed answers COMMIT with ROLLBACK, so this is only ever that of a committed one.
        if !frame.is_completion_of("COMMIT") || !take_one(&self.left) {
            return Fate::Pass;
        }
        self.swallowed.fetch_add(1, Ordering::Relaxed);
        Fate::SwallowAndReset
    }
}

/// Resets the client at its next COMMIT, and lets the server have that COMMIT only when [`StrandCommit::release`] is
/// called: a transaction whose outcome is still open while its client already tries again.
#[derive(Debug)]
pub struct StrandCommit {
    left: AtomicU64,
    stranded: CancellationToken,
    release: CancellationToken,
}

impl StrandCommit {
    /// For the next COMMIT.
    #[must_use]
    pub fn once() -> Self {
        Self {
            left: AtomicU64::new(1),
            stranded: CancellationToken::new(),
            release: CancellationToken::new(),
        }
    }

    /// Waits until a COMMIT is on its way and its client has been reset.
    pub async fn stranded(&self) {
        self.stranded.cancelled().await;
    }

    /// Lets the COMMIT arrive.
    pub fn release(&self) {
        self.release.cancel();
    }
}

impl Rule for StrandCommit {
    fn judge(&self, frame: &Frame<'_>) -> Fate {
        if !frame.is_simple_query("COMMIT") || !take_one(&self.left) {
            return Fate::Pass;
        }
        self.stranded.cancel();
        Fate::Strand(self.release.clone())
    }
}

/// Swallows the next `n` AMQP methods of one kind, each with a reset: the broker's confirm, or the consumer's ack.
#[derive(Debug)]
pub struct SwallowMethod {
    class: u16,
    method: u16,
    from: Sender,
    left: AtomicU64,
    swallowed: AtomicU64,
}

impl SwallowMethod {
    /// The next `times` confirms of the broker, or acks of a consumer: `basic.ack` from that side.
    #[must_use]
    pub fn acks_from(from: Sender, times: u64) -> Self {
        Self { class: 60, method: 80, from, left: AtomicU64::new(times), swallowed: AtomicU64::new(0) }
    }

    /// How many were swallowed.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.swallowed.load(Ordering::Relaxed)
    }
}

impl Rule for SwallowMethod {
    fn judge(&self, frame: &Frame<'_>) -> Fate {
        let matches = frame.sender == self.from && frame.is_method(self.class, self.method);
        if !matches || !take_one(&self.left) {
            return Fate::Pass;
        }
        self.swallowed.fetch_add(1, Ordering::Relaxed);
        Fate::SwallowAndReset
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
}
