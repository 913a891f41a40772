//! The messages on the broker.
//!
//! | module | holds |
//! |---|---|
//! | [`event`] | an event as stored in the log |
//! | [`wire`] | the form of events on the wire |
//! | [`watermark`] | how complete the log is while no events come |
//! | [`replay`] | how a replica asks for missing positions |
//! | [`repair`] | how a replica is repaired |

pub mod event;
pub mod wire;
pub mod watermark;
pub mod replay;
pub mod repair;
