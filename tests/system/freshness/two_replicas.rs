//! Two instances, each with a replica of its own: who hands the receipt of a read on never goes back in time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use system_tests::{
    RECOVERY, Shape,
    bridge::{Bridge, Disorder},
    eventually,
    freshness::{Trial, Verdict, Writing, trial::Fault},
    level::Everything,
    random::seed,
};

const DEADLINE: Duration = Duration::from_secs(180);

#[test]
fn reads_that_hand_on_their_receipt_never_go_back_in_time_across_two_replicas() -> Result<()> {
    let shape = Shape {
        command_services: 2,
        event_consumers: 2,
        second_replica: true,
        bridged: true,
        started: false,
        ..Shape::default()
    };
    shape.run(async |pair| {
        let seed = seed();
        let bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;
        let trial = Trial {
            writing: Writing::IN_BURSTS,
            readers: 4,
            handing_on: 4,
            wandering: 3,
            fault: Fault::Stop(0),
            seed,
        };
        let enough = |verdict: &Verdict| {
            verdict.checks.handed_on >= 200 && verdict.checks.went_back >= 20 && verdict.faults >= 2
        };

        let verdict = trial.run(pair, DEADLINE, enough).await?;

        assert_eq!(verdict.violation, None);
        ensure!(enough(&verdict), "too little was shown: {verdict}");
        println!(
            "{} reads handed their receipt on and none went back; {} reads without one did",
            verdict.checks.handed_on, verdict.checks.went_back
        );
        let second = pair.second_replica.as_ref().context("no second replica")?;
        for replica in [&pair.replica, second] {
            eventually(RECOVERY, "both replicas are level", async || {
                Everything::read(&pair.primary, replica).await?.check()
            })
            .await?;
        }
        let last = Everything::read(&pair.primary, second).await?.events.len();
        let crossings = bridge.close_after(i64::try_from(last)?).await?;
        ensure!(crossings.inversions >= 50, "{} inversions", crossings.inversions);
        Ok(())
    })
}
