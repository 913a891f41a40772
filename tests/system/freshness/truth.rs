//! No answer is early, whatever the order in which events come, however often, and whoever is killed meanwhile.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context, Result, ensure};
use system_tests::{
    Pair, RECOVERY, Shape, assert_level,
    bridge::{Bridge, Disorder},
    eventually,
    freshness::{
        Trial, Verdict, Writing,
        trial::{Fault, make_commits_slow},
    },
    random::seed,
};

/// Long enough for every check to be made often on a busy machine; mostly it takes much less.
const DEADLINE: Duration = Duration::from_secs(180);

/// How often a wrong push is sent to who waits.
const FORGED_EVERY: Duration = Duration::from_millis(25);

/// Two command-services on one replica behind a bridge, not started yet.
pub(super) fn behind_a_bridge() -> Shape {
    Shape { command_services: 2, bridged: true, started: false, ..Shape::default() }
}

/// Much of everything.
pub(super) fn everything_at_once(seed: u64) -> Trial {
    Trial { writing: Writing::IN_BURSTS, readers: 16, handing_on: 2, wandering: 0, fault: Fault::None, seed }
}

/// Slow commits, so that a watermark may be taken while one is under way: a single writer per instance, no other load.
pub(super) fn slow_commits(seed: u64) -> Trial {
    let writing = Writing {
        writers: 1,
        batch_max: 1,
        slots_max: 20,
        pause: Duration::from_millis(900),
        burst: Duration::from_secs(3600),
        silence: Duration::ZERO,
    };
    Trial { writing, readers: 6, handing_on: 1, wandering: 0, fault: Fault::None, seed }
}

/// Keeps the first event from the replica until others have overtaken it.
pub(super) async fn release_the_first_late(bridge: &Bridge) -> Result<()> {
    eventually(RECOVERY, "many events wait behind the first", async || {
        let received = bridge.crossings().received.len();
        ensure!(received >= 60, "{received} events have come");
        Ok(())
    })
    .await?;
    bridge.release();
    Ok(())
}

/// Says again and again that the replica is far ahead.
async fn forge_pushes(pair: &Pair) -> Result<Infallible> {
    let sql = pair.replica.sql().await?;
    let mut every = tokio::time::interval(FORGED_EVERY);
    let far_ahead = r#"{"applied_through":999999999,"as_of_micros":4000000000000000,"epoch":null,"last_dead_letter":null}"#;
    for payload in [far_ahead, "", "nonsense"].into_iter().cycle() {
        every.tick().await;
        sql.execute("SELECT pg_notify('replication_status', $1)", &[&payload]).await?;
    }
    anyhow::bail!("there are no more numbers")
}

async fn beside_forged_pushes(pair: &Pair, trial: impl Future<Output = Result<Verdict>>) -> Result<Verdict> {
    tokio::select! {
        verdict = trial => verdict,
        failed = forge_pushes(pair) => match failed? {},
    }
}

#[test]
fn no_answer_is_early_whatever_comes_late_twice_or_in_another_order_and_whoever_is_killed() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        const FLOOR: usize = 60;
        let seed = seed();
        let bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;
        bridge.hold(|position| position == 1);
        let trial = Trial { fault: Fault::Kill(0), ..everything_at_once(seed) };
        let enough = |verdict: &Verdict| {
            verdict.checks.reach(FLOOR) && verdict.faults >= 4 && bridge.crossings().overtaking >= 2
        };

        let (verdict, released) = tokio::join!(
            beside_forged_pushes(pair, trial.run(pair, DEADLINE, enough)),
            release_the_first_late(&bridge),
        );

        released?;
        let verdict = verdict?;
        assert_eq!(verdict.violation, None);
        ensure!(enough(&verdict), "too little was checked: {verdict}");
        let everything = assert_level(pair).await?;
        let last = everything.events.last().context("nothing was written")?.position;
        let crossings = bridge.close_after(last).await?;
        println!(
            "{} events in {} messages: {} inversions, {} duplicates, {} watermarks of which {} overtook an event",
            crossings.delivered.len(),
            crossings.messages,
            crossings.inversions,
            crossings.duplicates,
            crossings.watermarks,
            crossings.overtaking
        );
        ensure!(crossings.inversions >= 100 && crossings.duplicates >= 100, "order was not broken");
        ensure!(crossings.overtaking >= 2, "watermarks did not overtake events");
        Ok(())
    })
}

#[test]
fn no_answer_is_early_while_a_commit_is_under_way() -> Result<()> {
    behind_a_bridge().run(async |pair| {
        let seed = seed();
        make_commits_slow(pair).await?;
        let bridge = Bridge::open_before(pair, Disorder::NONE, seed).await?;
        let enough = |verdict: &Verdict| {
            verdict.writes >= 8
                && verdict.checks.as_of >= 300
                && verdict.checks.strong >= 20
                && bridge.crossings().watermarks >= 2
        };

        let verdict = slow_commits(seed).run(pair, DEADLINE, enough).await?;

        assert_eq!(verdict.violation, None);
        ensure!(enough(&verdict), "too little was checked: {verdict}");
        let everything = assert_level(pair).await?;
        let last = everything.events.last().context("nothing was written")?.position;
        let crossings = bridge.close_after(last).await?;
        ensure!(crossings.watermarks >= 2, "{} watermarks were sent", crossings.watermarks);
        Ok(())
    })
}
