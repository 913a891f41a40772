//! Freshness: how fresh a read is, and how a read that demands more waits for it.
//!
//! | module | holds |
//! |---|---|
//! | [`demand`] | what a read may demand, and whether a replica meets it |
//! | [`waiting`] | the reads that wait, woken by what the replica pushes |
//! | [`watch`] | whether the replica answers, and what it pushes |
//! | [`unmet`] | why a read has no answer, and which receipts the log does not reach |
//! | [`fresh`] | how fresh an answer is |
//! | `waiting_read` | a read whose demand is not met yet |
//! | [`gate`] | the loop: reads, compares with the demand, waits |
//! | [`trace`] | what became of a write |
//!
//! Positions have no gap, so each demand compares integers. The push only wakes a read: the statement that returns
//! the rows also returns the status of their snapshot, and that decides.

pub mod demand;
pub mod waiting;
pub mod watch;
pub mod unmet;
pub mod fresh;
mod waiting_read;
pub mod gate;
pub mod trace;
