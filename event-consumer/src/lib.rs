//! event-consumer: takes events from the broker and projects them into the replica. From the bottom up; each room knows
//! only those above it in this list:
//!
//! | room | holds |
//! |---|---|
//! | [`batch`] | messages read into a batch of events and repairs |
//! | [`projection`] | a batch into rows, in one transaction |
//! | [`holes`] | asks for what is missing |
//! | [`subscription`] | receives, has it applied, acknowledges |
//! | [`rebuild`] | all of it beside the replica, which is then replaced |
//! | [`settings`] | with what the consumer is put together |
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
