//! kill -9 of either service in the middle of a load, again and again.

use anyhow::{Result, ensure};
use system_tests::{
    Shape,
    level::assert_level_with,
    load::{History, Load, MIXED},
    random::seed,
    with_pair,
};

const CLIENTS: usize = 16;
const KILLS: usize = 6;
const COMMANDS_BETWEEN_KILLS: usize = 150;

#[test]
fn a_command_service_killed_under_load_loses_nothing_that_it_acknowledged() -> Result<()> {
    with_pair(async |pair| {
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());

        for _ in 0..KILLS {
            load.progress(COMMANDS_BETWEEN_KILLS).await?;
            pair.command_service().kill()?;
            pair.command_service().start().await?;
        }
        load.progress(COMMANDS_BETWEEN_KILLS).await?;
        let history = load.finish().await?;

        ensure!(history.unknown() > 0, "no kill met a command, so nothing was tried");
        assert_level_with(pair, &history).await?;
        pair.ready().await
    })
}

#[test]
fn an_event_consumer_killed_under_load_applies_everything_in_the_end() -> Result<()> {
    with_pair(async |pair| {
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());

        for _ in 0..KILLS {
            load.progress(COMMANDS_BETWEEN_KILLS).await?;
            pair.event_consumer().kill()?;
            pair.event_consumer().start().await?;
        }
        load.progress(COMMANDS_BETWEEN_KILLS).await?;
        let history = load.finish().await?;

        ensure!(
            history.unknown() + history.refused(|status| status >= 500) == 0,
            "a consumer's death is no concern of a command"
        );
        assert_level_with(pair, &history).await?;
        pair.ready().await
    })
}

#[test]
fn both_services_killed_at_once_under_load_lose_nothing() -> Result<()> {
    with_pair(async |pair| {
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());

        for _ in 0..KILLS {
            load.progress(COMMANDS_BETWEEN_KILLS).await?;
            pair.event_consumer().kill()?;
            pair.command_service().kill()?;
            pair.event_consumer().start().await?;
            pair.command_service().start().await?;
        }
        load.progress(COMMANDS_BETWEEN_KILLS).await?;
        let history = load.finish().await?;

        assert_level_with(pair, &history).await?;
        pair.ready().await
    })
}

#[test]
fn two_consumers_killed_in_turn_under_load_apply_everything() -> Result<()> {
    let two = Shape { event_consumers: 2, ..Shape::default() };
    two.run(async |pair| {
        let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());

        for turn in 0..KILLS {
            load.progress(COMMANDS_BETWEEN_KILLS).await?;
            let consumer = &pair.event_consumers[turn % 2];
            consumer.kill()?;
            // The other one works alone for a while.
            load.progress(COMMANDS_BETWEEN_KILLS).await?;
            consumer.start().await?;
        }
        let history = load.finish().await?;

        ensure!(
            history.unknown() + history.refused(|status| status >= 500) == 0,
            "a consumer's death is no concern of a command"
        );
        assert_level_with(pair, &history).await?;
        Ok(())
    })
}

#[test]
fn services_that_are_asked_to_stop_under_load_answer_what_they_carry_out() -> Result<()> {
    with_pair(async |pair| {
        let mut history = History::default();
        for _ in 0..3 {
            let load = Load::start(&[pair.client()], CLIENTS, MIXED, seed());
            load.progress(COMMANDS_BETWEEN_KILLS).await?;

            let stopped = (pair.command_service().stop().await?, pair.event_consumer().stop().await?);
            history.entries.extend(load.finish().await?.entries);

            ensure!(stopped.0.success(), "command-service ended with {}", stopped.0);
            ensure!(stopped.1.success(), "event-consumer ended with {}", stopped.1);
            pair.command_service().start().await?;
            pair.event_consumer().start().await?;
        }

        let everything = assert_level_with(pair, &history).await?;
        // A call that meets a connection which is just being closed has no answer; then it must have no effect.
        let lost = history.lost_answers(&everything.events);
        ensure!(lost.is_empty(), "these were carried out, and their answers were lost: {lost:?}");
        Ok(())
    })
}
