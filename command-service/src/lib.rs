//! command-service: takes commands, commits slots and events to the primary, relays the events to the broker, and
//! answers reads from the replica. Its rooms, from the bottom up; each room uses only the rooms above it in this table:
//!
//! | room | holds |
//! |---|---|
//! | [`register`] | what users and the log share: records, receipts, places in the log |
//! | [`commands`] | commands, their outcomes, and the queue between callers and the committer |
//! | [`primary`] | access to the primary: sessions, epoch, commit lock, the log's end |
//! | [`write_model`] | group commit: everything that writes the primary |
//! | [`queries`] | everything that reads the replica for users |
//! | [`freshness`] | what a read demands of the replica, and the wait for it |
//! | [`relay`] | publishes the log to the broker, answers replays |
//! | [`verify`] | compares log, write model and replica, and repairs the replica |
//! | [`roles`] | which parts of the service a process runs |
//! | [`settings`] | the settings of the service |
//! | [`access`] | what each role may connect to |
//! | [`http`], [`startup`], [`cli`] | the service and the command line |
//!
//! A write goes [`http`] → [`commands`] → [`shared::slot`] → [`write_model`] → [`relay`]. A read goes [`http`] →
//! [`freshness`] → [`queries`].

pub mod register;
pub mod commands;
pub mod primary;
pub mod write_model;
pub mod queries;
pub mod freshness;
pub mod relay;
pub mod verify;
pub mod roles;
pub mod settings;
pub mod access;
pub mod http;
pub mod startup;
pub mod cli;
