//! What travels by the broker.
//!
//! | module | holds |
//! |---|---|
//! | [`event`] | an event as it stands in the log |
//! | [`wire`] | the form of events on the wire |
//! | [`watermark`] | how complete the log is while nothing happens |
//! | [`replay`] | how a replica asks for what it is missing |
//! | [`repair`] | how a replica is repaired |

pub mod event;
pub mod wire;
pub mod watermark;
pub mod replay;
pub mod repair;
