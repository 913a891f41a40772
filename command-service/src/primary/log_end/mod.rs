//! Finds where the primary's log ends. Reads that ask at the same time share one snapshot, which the reader requests
//! after the last of them asked.
//!
//! | module | holds |
//! |---|---|
//! | `session` | the session that reads the end of the log |
//! | `known_end` | the end that this process knows |
//! | `handle` | the handle through which reads ask |
//! | `reader` | the task that asks the primary |

mod session;
mod known_end;
mod handle;
mod reader;

pub(super) use self::session::{END, LAST_EVENT};
pub use self::{
    handle::{LogEndError, LogEndHandle},
    reader::LogEndReader,
    session::{LOG_END_DEADLINE, LoggedWrite},
};
