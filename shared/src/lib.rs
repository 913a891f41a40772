//! What both services share, from the bottom up: domain, messages, broker, PostgreSQL, process.
//!
//! | module | holds |
//! |---|---|
//! | [`slot`] | the rules of a parking slot: `decide` and `evolve`, pure |
//! | [`position`] | the position of an event in the log |
//! | [`time`] | the text form of times |
//! | [`document`] | a slot as the JSON document that the API answers with |
//! | [`replica_name`] | the names of replicas, and the recipients of events |
//! | [`messages`] | the messages on the broker |
//! | [`broker`] | a connection to RabbitMQ; every name and option of its exchange and queues |
//! | [`postgres`] | a connection to PostgreSQL, columns, migrations |
//! | [`process`] | settings, logs, states of dependencies, probes, shutdown |

pub mod slot;
pub mod position;
pub mod time;
pub mod document;
pub mod replica_name;
pub mod messages;
pub mod broker;
pub mod postgres;
pub mod process;
