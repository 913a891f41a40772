//! What the system tests are made of: a running pair per test with a proxy on each link, a client, a load with a
//! history, and the checks that say whether the two sides are level.
//!
//! | module | holds |
//! |---|---|
//! | [`servers`] | the databases and the broker of a test run, and the programs under test |
//! | [`database`] | one database of a test, open to the superuser |
//! | [`backup`] | copies of a server's files, and dumps |
//! | [`broker`] | one virtual host of a test |
//! | [`detour`] | a way on which messages overtake each other and are repeated |
//! | [`proxy`] | a link that can be cut, held, and cut at one exact message |
//! | [`service`] | a service as a child process |
//! | [`program`] | a program run to its end, as in a shell |
//! | [`pair`] | all of it together |
//! | [`cargo_stack`] | `cargo stack` on the servers of this run |
//! | [`terminal`] | a program that runs on a terminal |
//! | [`shape`] | what a test starts with, and how it is run |
//! | [`mod@scale`] | how large it is |
//! | [`random`] | random choices that a seed repeats |
//! | [`wait`] | waiting for a condition |
//! | [`promptness`] | whether answers come in time |
//! | [`client`] | the calls of the HTTP interface |
//! | [`bridge`] | events from one virtual host to another, late, out of order and more than once |
//! | [`freshness`] | reads beside writes, and whether any answer claimed to be fresher than it was |
//! | [`wire`] | calls byte by byte |
//! | [`load`] | many clients at once, and what became of each of their commands |
//! | [`level`] | the checks |
//! | [`transcript`] | the commands that documents show, and what they print |
//! | [`engine`] | a Docker engine of the tests' own, and the Compose project on it |
//!
//! Nothing here sleeps for a fixed time: [`eventually`] waits for a condition, with a deadline.

pub mod wait;
pub mod servers;
pub mod database;
pub mod backup;
pub mod broker;
pub mod detour;
pub mod proxy;
pub mod service;
pub mod program;
pub mod pair;
pub mod cargo_stack;
pub mod terminal;
pub mod shape;
pub mod scale;
pub mod client;
pub mod promptness;
pub mod wire;
pub mod load;
pub mod level;
pub mod random;
pub mod bridge;
pub mod freshness;
pub mod transcript;
pub mod engine;

pub use cargo_stack::CargoStack;
pub use client::{Client, Reply, Slot};
pub use level::assert_level;
pub use pair::Pair;
pub use promptness::{answered_within, in_time};
pub use scale::scale;
pub use shape::{RoleProcess, Shape, with_pair};
pub use wait::{RECOVERY, blocking, eventually};
pub use wire::Call;
