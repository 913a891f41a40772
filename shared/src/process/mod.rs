//! What makes a program a service.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | settings from defaults, a TOML file and the environment |
//! | `log_line` | bounds each log line in bytes |
//! | `json_members` | fields as members of a JSON object |
//! | `json_line` | a log line as JSON |
//! | `paced_writer` | collects log lines, to write them together |
//! | [`telemetry`] | logs on standard error |
//! | [`cause`] | the innermost cause of an error, in one line |
//! | [`dependency_state`] | which of the dependencies are up, for `/readyz` |
//! | [`probe`] | asks a service for its state |
//! | [`backoff`] | the pauses between two attempts to reach a dependency |
//! | [`runtime`] | the runtime on which connections live |
//! | [`tasks`] | background tasks that are watched |
//! | [`shutdown`] | the end, on a signal |
//! | [`exit_status`] | the exit statuses of both programs |

pub mod settings;
mod log_line;
mod json_members;
mod json_line;
mod paced_writer;
pub mod telemetry;
pub mod cause;
pub mod dependency_state;
pub mod probe;
pub mod backoff;
pub mod runtime;
pub mod tasks;
pub mod shutdown;
pub mod exit_status;
