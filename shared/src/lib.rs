//! What both services use, from the bottom up: the words, what travels, the broker, PostgreSQL, the process.
//!
//! | module | holds |
//! |---|---|
//! | [`slot`] | the rules of a parking slot: `decide` and `evolve`, pure |
//! | [`position`] | a place in the log |
//! | [`time`] | how times look |
//! | [`replica_name`] | who a replica is |
//! | [`messages`] | what travels by the broker |
//! | [`broker`] | a connection to RabbitMQ; every name and option of its exchange and queues |
//! | [`postgres`] | a connection to PostgreSQL, columns, migrations |
//! | [`process`] | settings, logs, states of dependencies, probes, shutdown |

pub mod slot;
pub mod position;
pub mod time;
pub mod replica_name;
pub mod messages;
pub mod broker;
pub mod postgres;
pub mod process;
