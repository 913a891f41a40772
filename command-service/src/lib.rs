//! command-service: takes commands, commits slots and events to the primary, relays the events to the broker, and
//! answers reads from the replica. In the order of the flow:
//!
//! | step | module |
//! |---|---|
//! | command | [`commands`] |
//! | decision | [`shared::slot`] |
//! | group commit | [`write_model`] |
//! | relay | [`relay`] |

pub mod commands;
pub mod write_model;
pub mod relay;
pub mod record;
