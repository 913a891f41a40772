//! command-service: takes commands, commits slots and events to the primary, relays the events to the broker, and
//! answers reads from the replica. From the bottom up; each room knows only those above it in this list:
//!
//! | room | holds |
//! |---|---|
//! | [`register`] | what users and the log share: records, receipts, places in the log |
//! | [`commands`] | what is asked, what comes of it, and the queue between callers and the committer |
//! | [`primary`] | the way to the primary: sessions, epoch, commit lock, the log's end |
//! | [`write_model`] | group commit: everything that writes the primary |
//! | [`queries`] | everything that reads the replica for users |
//! | [`freshness`] | what a read demands of the replica, and the wait for it |
//! | [`relay`] | publishes the log to the broker, answers replays |
//! | [`verify`] | compares log, write model and replica, and repairs the replica |
//! | [`settings`] | with what the service is put together |
//! | [`http`], [`startup`], [`cli`] | the service and the command line |
//!
//! A request goes [`http`] → [`commands`] → [`shared::slot`] → [`write_model`] → [`relay`]; a read [`http`] →
//! [`freshness`] → [`queries`].

pub mod register;
pub mod commands;
pub mod primary;
pub mod write_model;
pub mod queries;
pub mod freshness;
pub mod relay;
pub mod verify;
pub mod settings;
pub mod http;
pub mod startup;
pub mod cli;
