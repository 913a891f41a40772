//! A private primary, a private replica and a private broker, with both services on top.
//!
//! `cargo stack` and the system tests use this one implementation. The servers are the system's own programs
//! ([`programs`]) with their own data, passwords and ports. Servers that the system runs are left alone.
//!
//! Every call blocks. All state is on disk, so a handle such as [`Postgres`] can be opened by another process, shared
//! between threads, and used after a server was killed.

#[cfg(not(target_os = "linux"))]
compile_error!("the stack finds and identifies processes through /proc and therefore needs Linux");

pub mod part;
pub mod port;
pub mod shape;
pub mod setting;
pub mod account;
pub mod programs;
pub mod install;
pub mod ports;
pub mod process;
pub mod daemon;
pub mod postgres;
pub mod rabbitmq;
pub mod gateway;
pub mod test_servers;
pub mod build;
pub mod files;
pub mod http;
pub mod wait;
mod keeper;

pub use account::Account;
pub use gateway::Gateway;
pub use part::Part;
pub use port::Port;
pub use postgres::{Postgres, Role};
pub use programs::Programs;
pub use rabbitmq::RabbitMq;
pub use setting::Setting;
pub use shape::Shape;
pub use test_servers::TestServers;
