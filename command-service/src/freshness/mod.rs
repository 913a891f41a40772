//! Freshness: how fresh a read is, and how a read that demands more waits for it.
//!
//! | module | holds |
//! |---|---|
//! | [`demand`] | what a read may demand, and whether a replica meets it |
//! | [`waiting`] | the reads that wait, woken by what the replica pushes |
//! | [`watch`] | whether the replica answers, and what it pushes |
//! | [`unmet`] | why a read has no answer |
//! | [`gate`] | the loop: reads, compares with the demand, waits |
//! | [`trace`] | what became of a write |
//!
//! Positions have no gap, so each demand compares integers. The push only wakes a read: the statement that returns
//! the rows also returns the status of their snapshot, and that decides.

pub mod demand;
pub mod waiting;
pub mod watch;
pub mod unmet;
pub mod gate;
pub mod trace;
