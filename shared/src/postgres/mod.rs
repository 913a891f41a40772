//! Sessions on PostgreSQL. The client bounds every answer by its own deadline.
//!
//! | module | holds |
//! |---|---|
//! | `fault` | what an error says about the next step |
//! | `deadline` | how long the server may be silent |
//! | `transaction` | a transaction with the deadline of its session |
//! | `session` | a session: each call has its deadline |
//! | `tls` | which URLs lead to a database without TLS |
//! | `url` | where a database is, and how a session is opened |
//! | [`columns`] | how the domain's types are read from columns |
//! | [`migration`] | schema migrations, by one process at a time |

mod fault;
mod deadline;
mod transaction;
mod session;
mod tls;
mod url;
pub mod columns;
pub mod migration;

pub use self::{
    fault::Fault,
    session::{Session, SessionKind},
    tls::DatabaseUrlError,
    transaction::{Param, Transaction},
    url::{CONNECT_DEADLINE, ConnectError, DatabaseUrl},
};

#[cfg(test)]
mod tests;
