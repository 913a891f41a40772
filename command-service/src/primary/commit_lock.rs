//! The commit lock: every transaction that appends to the log holds it until its commit.

/// The transaction-level advisory lock that serialises commits.
pub const COMMIT_LOCK: i64 = 0x7061_726b_5f6c_6f67;

/// Takes the commit lock in an open transaction. It is a separate statement: inside the write, the snapshot would be
/// older than the wait for the lock.
pub(crate) fn take_commit_lock() -> String {
    format!("SELECT pg_advisory_xact_lock({COMMIT_LOCK})")
}

/// Begins a transaction and takes the commit lock: two statements, sent as one message.
pub(crate) fn begin_with_commit_lock() -> String {
    format!("BEGIN; {}", take_commit_lock())
}
