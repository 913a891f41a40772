//! Reads whose process fails.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stack::wait;

use super::{
    front::Front,
    stand_in::{Conduct, StandIn},
};

const OK: Conduct = Conduct::Answer("200 OK");
const UNAVAILABLE: Conduct = Conduct::Answer("503 Service Unavailable");
const BEHIND: Conduct = Conduct::Answer("504 Gateway Timeout");

/// For how long a failed process is left out.
const LEFT_OUT: Duration = Duration::from_secs(3);

#[test]
fn a_read_is_tried_on_another_process_and_the_failed_one_is_left_out_for_some_seconds() -> Result<()> {
    for failure in [UNAVAILABLE, Conduct::Answer("502 Bad Gateway"), Conduct::Close] {
        let (failing, well, command) = (StandIn::new(failure)?, StandIn::new(OK)?, StandIn::new(OK)?);
        let front = Front::start(&[&failing, &well], &[&command])?;
        let begun = Instant::now();

        for method in ["GET", "HEAD", "GET", "GET", "GET", "GET"] {
            let answer = front.ask(method, "/parking-slots", "")?;
            ensure!(answer.status == 200, "{failure:?}: {answer:?}");
        }

        // The first failure is known to both nginx workers.
        ensure!(failing.count() == 1 || begun.elapsed() > LEFT_OUT, "{failure:?}: {}", failing.count());
        ensure!(command.count() == 0, "a read went to a command process");
        failing.behave(OK);
        let back = wait::until(LEFT_OUT * 3, LEFT_OUT / 30, || {
            front.ask("GET", "/parking-slots", "")?;
            Ok((failing.count() > 1).then_some(()))
        })?;
        ensure!(back.is_some(), "{failure:?}: it is tried again");
        ensure!(begun.elapsed() >= LEFT_OUT, "{failure:?}: after {:?} already", begun.elapsed());
    }
    Ok(())
}

#[test]
fn a_frozen_process_holds_up_a_plain_read_for_its_deadline_only() -> Result<()> {
    let (frozen, well) = (StandIn::new(Conduct::Freeze)?, StandIn::new(OK)?);
    let front = Front::start(&[&frozen, &well], &[&well])?;

    let begun = Instant::now();
    for _ in 0..4 {
        let answer = front.ask("GET", "/parking-slots", "")?;
        ensure!(answer.status == 200, "{answer:?}");
    }

    ensure!(frozen.count() == 1, "it was asked {} times", frozen.count());
    ensure!(begun.elapsed() < Duration::from_secs(9), "it took {:?}", begun.elapsed());
    Ok(())
}

#[test]
fn reads_that_no_query_process_answers_are_a_problem() -> Result<()> {
    let (one, other, command) = (StandIn::new(OK)?, StandIn::new(OK)?, StandIn::new(OK)?);
    let front = Front::start(&[&one, &other], &[&command])?;
    drop((one, other));
    for target in ["/parking-slots", "/parking-slots?receipt=x", "/readyz"] {
        let gone = wait::until(LEFT_OUT, LEFT_OUT / 30, || {
            Ok(Some(front.ask("GET", target, "X-Request-Id: mine\r\n")?)
                .filter(|answer| answer.status == 503))
        })?;
        let answer = gone.unwrap_or(front.ask("GET", target, "")?);

        let problem = answer.expect_problem(503, "replica-unavailable")?;

        ensure!(problem["instance"] == "mine", "{target}: {problem}");
        let quoted = front.ask("GET", target, "X-Request-Id: a\"b\\\r\n")?;
        quoted.expect_problem(503, "replica-unavailable")?;
        ensure!(front.ask("HEAD", target, "")?.status == 503, "{target}");
    }
    ensure!(front.tell("POST", "/", "{}")?.status == 200, "commands go on");
    Ok(())
}

/// The primary may be down while the replica is well: that must not cost the other reads a process.
#[test]
fn an_unmet_demand_passes_as_it_is_and_leaves_no_process_out() -> Result<()> {
    let (one, other) = (StandIn::new(UNAVAILABLE)?, StandIn::new(UNAVAILABLE)?);
    let front = Front::start(&[&one, &other], &[&one])?;
    for target in
        ["/parking-slots?consistency=strong", "/parking-slots?consistenc%79=strong", "/receipts/x", "/readyz"]
    {
        let before = one.count() + other.count();

        let answer = front.ask("GET", target, "")?;

        ensure!(answer.status == 503 && answer.body == "{}", "{target}: {answer:?}");
        ensure!(answer.header("Retry-After") == Some("7"), "{target}: {answer:?}");
        ensure!(one.count() + other.count() == before + 2, "{target}: both are asked");
    }
    for process in [&one, &other] {
        process.behave(BEHIND);
    }
    let behind = front.ask("GET", "/parking-slots?receipt=x", "")?;
    for process in [&one, &other] {
        process.behave(OK);
    }
    for _ in 0..4 {
        ensure!(front.ask("GET", "/parking-slots", "")?.status == 200, "plain reads have both processes");
    }

    ensure!(behind.status == 504 && behind.body == "{}", "it is not retried: {behind:?}");
    let plain = |process: &StandIn| {
        process.heads().iter().filter(|head| head.starts_with("GET /parking-slots H")).count()
    };
    ensure!(plain(&one) > 0 && plain(&other) > 0, "{} {}", plain(&one), plain(&other));
    Ok(())
}
