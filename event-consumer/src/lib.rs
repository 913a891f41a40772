//! event-consumer: takes events from the broker and projects them into the replica. In the order of the flow:
//!
//! | step | module |
//! |---|---|
//! | receive, batch, settle | [`subscription`] |
//! | read the messages | [`batch`] |
//! | apply | [`projection`] |
//! | ask for what is missing | [`holes`] |
//! | all of it beside the replica, which is then replaced | [`rebuild`] |
//!
//! [`startup`] puts them together with [`probes`]; [`settings`] says with what; [`cli`] is the command line.

pub mod settings;
pub mod startup;
pub mod cli;
pub mod probes;
pub mod subscription;
pub mod batch;
pub mod projection;
pub mod holes;
pub mod rebuild;
