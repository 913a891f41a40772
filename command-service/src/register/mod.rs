//! What users and the log share. No I/O.
//!
//! | module | holds |
//! |---|---|
//! | [`record`] | a parking slot as users see it |
//! | [`receipt`] | what a caller hands back to see at least as much as before |
//! | [`place`] | places in the log |

pub mod record;
pub mod receipt;
pub mod place;
