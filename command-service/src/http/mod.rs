//! HTTP: parses requests into commands and queries, and turns their outcomes into answers. No SQL, no AMQP.
//!
//! | module | holds |
//! |---|---|
//! | [`headers`] | the names of this API's own headers |
//! | [`problem_types`] | the types of problems |
//! | [`problem_pages`] | the page of each type |
//! | [`problem`] | every error answer |
//! | [`bare_refusals`] | refusals of the HTTP parser, as problems |
//! | [`client_stream`] | a client's connection, below the parser |
//! | [`server`] | the HTTP server |
//! | `memo` | the last result of a pure function |
//! | [`labels`] | what handlers leave for the envelope |
//! | [`unread`] | bodies of requests that were refused before they were read |
//! | [`body`] | a request's body: media type, size, time |
//! | [`fields`] | a JSON object's members and their faults |
//! | [`parameters`] | query parameters and path segments |
//! | [`preconditions`] | `If-Match`, `If-None-Match`, `ETag` |
//! | [`idempotency`] | `Idempotency-Key` |
//! | [`trace_context`] | `traceparent` |
//! | `request_log` | the log of requests |
//! | [`envelope`] | what every answer carries |
//! | [`writes`] | the commands |
//! | [`reads`] | the queries |
//! | [`receipts`] | how far a write has come |
//! | [`probes`] | health |
//! | [`routes`] | all paths and methods |
//! | [`handler_state`] | what the handlers share |

pub mod headers;
pub mod problem_types;
pub mod problem_pages;
pub mod problem;
pub mod bare_refusals;
pub mod client_stream;
pub mod server;
mod memo;
pub mod labels;
pub mod unread;
pub mod body;
pub mod fields;
pub mod parameters;
pub mod preconditions;
pub mod idempotency;
pub mod trace_context;
mod request_log;
pub mod envelope;
pub mod writes;
pub mod reads;
pub mod receipts;
pub mod probes;
pub mod routes;
pub mod handler_state;
