//! HTTP: parses requests into commands and queries, and makes answers of what comes back. No SQL, no AMQP.
//!
//! | module | holds |
//! |---|---|
//! | [`routes`] | every path and method in one place |
//! | [`envelope`] | what every answer carries |
//! | [`unread`] | bodies that nobody reads to their end |
//! | [`slots`] | the commands |
//! | [`reads`] | the queries |
//! | [`freshness`] | how fresh an answer is, and what became of a write |
//! | [`probes`] | health |
//! | [`fields`] | a JSON object's members, each fault named |
//! | [`parameters`] | query parameters and path segments |
//! | [`preconditions`] | `If-Match`, `If-None-Match`, `ETag` |
//! | [`idempotency`] | `Idempotency-Key` |
//! | [`trace_context`] | `traceparent` |
//! | [`problem`] | every error answer |

pub mod routes;
pub mod envelope;
pub mod unread;
pub mod slots;
pub mod reads;
pub mod freshness;
pub mod probes;
pub mod fields;
pub mod parameters;
pub mod preconditions;
pub mod idempotency;
pub mod trace_context;
pub mod problem;
