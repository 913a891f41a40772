//! command-service: takes commands, commits slots and events to the primary, relays the events to the broker, and
//! answers reads from the replica. In the order of the flow:
//!
//! | step | module |
//! |---|---|
//! | HTTP request, command line | [`http`], [`cli`] |
//! | command | [`commands`] |
//! | decision | [`shared::slot`] |
//! | group commit | [`write_model`] |
//! | relay | [`relay`] |
//! | query | [`queries`] |
//! | freshness | [`freshness`] |
//! | is the copy right | [`verify`] |
//!
//! [`startup`] puts them together; [`settings`] says with what.

pub mod settings;
pub mod startup;
pub mod cli;
pub mod http;
pub mod commands;
pub mod write_model;
pub mod relay;
pub mod queries;
pub mod freshness;
pub mod verify;
pub mod record;
