//! The runtime on which a service's connections live.

use std::thread;

use tokio::runtime::{Builder, Runtime};

/// A multi-thread runtime with a thread for every second core: PostgreSQL and the HTTP workers need the others, and a
/// connection's task and its caller wake each other soonest on one thread.
///
/// # Errors
/// The system gives no threads.
pub fn build() -> std::io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread().worker_threads(cores.div_ceil(2)).enable_all().build()
}
