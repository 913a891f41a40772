//! Dependencies that go away in the middle of a rebuild: it waits, goes on, and gives up when nothing moves for too long.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Result, ensure};
use system_tests::{
    Pair, RECOVERY, Shape, assert_level, blocking, eventually,
    program::Run,
    proxy::{
        frames::Frame,
        rules::{Fate, Rule},
    },
    with_pair,
};

use super::{assert_nothing_left, fill, hold_in_the_middle, last_of, rebuild, rebuilt, slots};

/// Rebuilds, with `disturb` in the middle.
async fn goes_on_after(pair: &Pair, disturb: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let kept = fill(pair).await?;
    let running = rebuild(pair)?.start()?;
    let hold = hold_in_the_middle(pair, last_of(&kept)?).await?;

    disturb().await?;
    hold.release().await?;
    let done = rebuilt(running.end().await?)?;

    assert_eq!(done["slots"], slots());
    assert_level(pair).await?;
    assert_nothing_left(pair).await?;
    pair.ready().await
}

#[test]
fn a_rebuild_goes_on_when_its_connections_to_the_broker_were_lost() -> Result<()> {
    with_pair(async |pair| {
        goes_on_after(pair, async || {
            pair.links.consumer_broker.cut().await;
            pair.links.consumer_broker.restore()
        })
        .await
    })
}

#[test]
fn a_rebuild_goes_on_when_its_connections_to_the_replica_were_lost() -> Result<()> {
    with_pair(async |pair| {
        goes_on_after(pair, async || {
            pair.links.consumer_replica.cut().await;
            pair.links.consumer_replica.restore()
        })
        .await
    })
}

#[test]
fn a_rebuild_goes_on_when_the_replica_has_said_nothing_for_a_while() -> Result<()> {
    with_pair(async |pair| {
        goes_on_after(pair, async || {
            let link = &pair.links.consumer_replica;
            let before = link.connections();
            link.blackhole();
            // The session that directs the rebuild, and those of the consumer and of what fills the copy.
            eventually(RECOVERY, "everybody has given up their connections", async || {
                let opened = link.connections() - before;
                ensure!(opened >= 3, "{opened} connections were opened again");
                Ok(())
            })
            .await?;
            link.restore()
        })
        .await
    })
}

#[test]
fn a_rebuild_goes_on_when_the_broker_was_killed() -> Result<()> {
    Shape { own_broker: true, ..Shape::default() }.run(async |pair| {
        goes_on_after(pair, async || {
            let broker = pair.broker.broker.clone();
            blocking(move || {
                broker.crash()?;
                broker.start()
            })
            .await
        })
        .await
    })
}

/// Swallows the answer to the swap: the last commit of a rebuild, behind the only ALTER TABLE that is sent as such.
#[derive(Debug, Default)]
struct SwallowReplyToSwap {
    swap_seen: AtomicBool,
    swallowed: AtomicUsize,
}

impl Rule for SwallowReplyToSwap {
    fn judge(&self, frame: &Frame<'_>) -> Fate {
        if frame.is_completion_of("ALTER TABLE") {
            self.swap_seen.store(true, Ordering::Relaxed);
        }
        if !frame.is_completion_of("COMMIT") || !self.swap_seen.swap(false, Ordering::Relaxed) {
            return Fate::Pass;
        }
        self.swallowed.fetch_add(1, Ordering::Relaxed);
        Fate::SwallowAndReset
    }
}

#[test]
fn a_rebuild_that_lost_the_answer_to_its_swap_finds_out_that_it_is_done() -> Result<()> {
    with_pair(async |pair| {
        fill(pair).await?;
        let oid = "SELECT 'parking_slots'::regclass::oid::bigint";
        let before: i64 = pair.replica.sql().await?.query_one(oid, &[]).await?.try_get(0)?;
        let rule = Arc::new(SwallowReplyToSwap::default());
        pair.links.consumer_replica.set_rule(Some(rule.clone()));

        let done = rebuilt(rebuild(pair)?.end().await?)?;

        pair.links.consumer_replica.set_rule(None);
        assert_eq!(
            rule.swallowed.load(Ordering::Relaxed),
            1,
            "one answer was lost, and nothing was done twice"
        );
        let after: i64 = pair.replica.sql().await?.query_one(oid, &[]).await?.try_get(0)?;
        ensure!(before != after, "the tables are still the old ones");
        assert_eq!(done["slots"], slots());
        assert_level(pair).await?;
        assert_nothing_left(pair).await
    })
}

/// Rebuilds with little patience; this dependency must be named with this cause.
async fn gives_up(pair: &Pair, dependency: &str, cause: &str) -> Result<()> {
    let arguments = ["rebuild", "--patience", "2"];

    let ended = Run::event_consumer(pair, &arguments)?.end().await?.expect(3)?;

    assert_eq!(ended.text()?, "", "nothing was done");
    let line = format!("event-consumer: {dependency} is down: {cause}\n");
    ensure!(ended.errors.ends_with(&line), "it says {:?}", ended.errors);
    Ok(())
}

#[test]
fn a_rebuild_names_the_part_for_which_it_has_waited_in_vain() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Slot 1").await?;
        assert_level(pair).await?;

        let refused = "Connection refused (os error 111)";
        pair.links.consumer_broker.cut().await;
        gives_up(pair, "the broker", refused).await?;
        pair.links.consumer_broker.restore()?;
        pair.links.consumer_replica.cut().await;
        gives_up(pair, "the replica", refused).await?;
        pair.links.consumer_replica.restore()?;
        pair.command_service().stop().await?;
        gives_up(pair, "command-service, or its primary,", "no events of the log come").await?;

        assert_nothing_left(pair).await?;
        pair.command_service().start().await?;
        assert_level(pair).await?;
        pair.ready().await
    })
}
