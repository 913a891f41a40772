//! Everything that reads the replica. The role under which it connects can do nothing else.
//!
//! | module | holds |
//! |---|---|
//! | [`replica`] | the connections, and one read on them |
//! | [`list`] | a page of slots in creation order |
//! | [`cursor`] | a place in that order |
//! | [`one`] | one slot |
//! | [`summary`] | how many slots have each status |
//! | [`settled`] | what became of a write on the replica |
//! | [`status`] | what the replica holds, in the snapshot of the query |

pub mod replica;
pub mod cursor;
pub mod list;
pub mod one;
pub mod summary;
pub mod settled;
pub mod status;

/// Every statement that reads the replica, for the test that prepares them against the schema.
pub const STATEMENTS: [&str; 4] = [list::PAGE, one::BY_UUID, summary::BY_STATUS, settled::SETTLED];
