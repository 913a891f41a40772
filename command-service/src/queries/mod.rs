//! Every query on the replica for users. The database role of these connections can only read.
//!
//! | module | holds |
//! |---|---|
//! | [`replica`] | the connections, and one read on them |
//! | [`list`] | a page of slots in creation order |
//! | [`cursor`] | a place in that order |
//! | [`one`] | one slot |
//! | [`summary`] | how many slots have each status |
//! | [`settled`] | what the replica has done with a write |
//! | [`status`] | how far the replica has come, in the snapshot of the query |

pub mod replica;
pub mod cursor;
pub mod list;
pub mod one;
pub mod summary;
pub mod settled;
pub mod status;

/// Every statement that reads the replica. A test prepares them against the schema.
pub const STATEMENTS: [&str; 4] = [list::PAGE, one::BY_UUID, summary::BY_STATUS, settled::SETTLED];
