//! What is lost on the way is asked for and sent again: whatever becomes of queues, the pair is level again by itself.

mod plan;
mod losses;
mod truth;
mod requests;
mod replicas;
mod standby;

use anyhow::{Result, ensure};
use lapin::Channel;
use system_tests::{Pair, RECOVERY, broker::waiting_in, eventually};

const QUEUE: &str = "parking.replica.main";

/// Waits until this many messages wait in the replica's queue.
async fn messages_wait(channel: &Channel, least: u32) -> Result<u32> {
    eventually(RECOVERY, "messages wait in the queue", async || {
        let waiting = waiting_in(channel, QUEUE).await?;
        ensure!(waiting >= least, "{waiting} of {least}");
        Ok(waiting)
    })
    .await
}

/// Runs `lose` while the consumer is held up in the middle of a batch, and messages wait behind it.
async fn while_messages_wait(
    pair: &Pair,
    channel: &Channel,
    lose: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let hold = pair.replica.hold_status().await?;
    messages_wait(channel, 10).await?;
    lose().await?;
    hold.release().await
}
