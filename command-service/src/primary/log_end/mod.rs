//! Where the primary's log ends. Reads that ask at the same time share one snapshot, as long as it is sent after each of
//! them asked.
//!
//! | module | holds |
//! |---|---|
//! | `session` | the session on which the log is looked at |
//! | `known_end` | what this process knows of the end |
//! | `handle` | the way to ask |
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
