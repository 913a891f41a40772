//! What both services use, in the order of the flow.
//!
//! | module | holds |
//! |---|---|
//! | [`slot`] | the rules of a parking slot: `decide` and `evolve`, pure |
//! | [`event`] | an event as it stands in the log, and its JSON form on the wire |
//! | [`watermark`] | how complete the log is while nothing happens |
//! | [`replay`] | how a replica asks for what it is missing |
//! | [`repair`] | how a replica is repaired |
//! | [`topology`] | the broker's exchange and queues, every option with its reason |
//! | [`runtime`] | the runtime on which connections live |
//! | [`retry`] | the pauses between two attempts to reach a part |
//! | [`broker`] | a connection to RabbitMQ with a deadline on each step |
//! | [`postgres`] | a connection to PostgreSQL that says when it is lost |
//! | [`columns`] | how the domain's types are read from columns |
//! | [`migration`] | schema migrations, one process at a time |
//! | [`parts`] | which of the parts around a service are up, for `/readyz` |
//! | [`probe`] | asks a service how it is |
//! | [`shutdown`] | the end, asked for by a signal |
//! | [`settings`] | settings from the environment, each error in one line |
//! | [`telemetry`] | logs on standard error |

pub mod slot;
pub mod event;
pub mod watermark;
pub mod replay;
pub mod repair;
pub mod topology;
pub mod runtime;
pub mod retry;
pub mod broker;
pub mod postgres;
pub mod columns;
pub mod migration;
pub mod parts;
pub mod probe;
pub mod shutdown;
pub mod settings;
pub mod telemetry;
