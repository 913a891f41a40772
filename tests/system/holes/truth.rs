//! What reads say while queues are lost: nothing too early, and nobody waits in vain.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use system_tests::{
    Pair, RECOVERY, Shape, assert_level, eventually,
    freshness::{Trial, Verdict, Writing, trial::Fault},
    random::seed,
};

use super::losses::Loss;

/// How soon after a loss a replica is complete again.
const CONVERGENCE: Duration = Duration::from_secs(15);

/// Long enough for every loss and every check on a busy machine.
const DEADLINE: Duration = Duration::from_secs(200);

/// How often each is checked at least.
const FLOOR: usize = 20;

/// Waits until the replica is complete as of now, as a read says that demands it; how long that took.
pub(super) async fn until_complete(pair: &Pair) -> Result<Duration> {
    let begun = Instant::now();
    let client = pair.client();
    eventually(CONVERGENCE, "a strong read is satisfied", async || {
        let read = client.list("?consistency=strong&wait_ms=15000&limit=1").await?;
        ensure!(read.status == 200, "{}", read.body);
        Ok(())
    })
    .await?;
    Ok(begun.elapsed())
}

async fn lose_one_after_the_other(pair: &Pair, made_up_for: &AtomicUsize) -> Result<()> {
    for loss in Loss::ALL {
        loss.happen(pair).await?;
        let took = until_complete(pair).await.with_context(|| format!("{loss:?}"))?;
        println!("{loss:?}: complete again after {took:?}");
        made_up_for.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn no_answer_is_early_and_none_is_stuck_while_queues_are_lost_under_load() -> Result<()> {
    Shape { command_services: 2, ..Shape::default() }.run(async |pair| {
        let (writing, seed) = (Writing::IN_BURSTS, seed());
        let trial = Trial { writing, readers: 16, handing_on: 2, wandering: 0, fault: Fault::None, seed };
        let made_up_for = AtomicUsize::new(0);
        let enough = |verdict: &Verdict| {
            verdict.checks.reach(FLOOR) && made_up_for.load(Ordering::Relaxed) == Loss::ALL.len()
        };

        let (verdict, losses) =
            tokio::join!(trial.run(pair, DEADLINE, enough), lose_one_after_the_other(pair, &made_up_for),);

        losses?;
        let verdict = verdict?;
        assert_eq!(verdict.violation, None);
        ensure!(enough(&verdict), "too little was checked: {verdict}");
        assert_level(pair).await?;
        eventually(RECOVERY, "nothing is said to be missing", async || pair.ready().await).await
    })
}
