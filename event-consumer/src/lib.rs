//! event-consumer: takes events from the broker and projects them into the replica. Each room in this list uses only
//! the rooms above it:
//!
//! | room | holds |
//! |---|---|
//! | [`batch`] | reads messages into a batch of events and repairs |
//! | [`projection`] | turns a batch into rows, in one transaction |
//! | [`holes`] | requests missing positions |
//! | [`subscription`] | receives messages, has them applied, acknowledges them |
//! | [`rebuild`] | builds a new copy beside the replica, then replaces the replica by it |
//! | [`settings`] | the consumer's settings |
//! | [`probes`], [`startup`], [`cli`] | the service and the command line |

pub mod batch;
pub mod projection;
pub mod holes;
pub mod subscription;
pub mod rebuild;
pub mod settings;
pub mod probes;
pub mod startup;
pub mod cli;
