//! Commands whose process is lost. No command may be carried out twice.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use stack::wait;
use system_tests::RECOVERY;

use super::{
    front::{Answer, Front},
    stand_in::{Conduct, StandIn},
};

const OK: Conduct = Conduct::Answer("200 OK");

/// Sends a command to two processes, both of which read it and give no answer.
fn lose(method: &str, conduct: Conduct) -> Result<()> {
    let (one, other, query) = (StandIn::new(conduct)?, StandIn::new(conduct)?, StandIn::new(OK)?);
    let front = Front::start(&[&query], &[&one, &other])?;

    let answer = front.tell(method, "/parking-slots/1", "{}")?;

    let problem = answer.expect_problem(503, "outcome-unknown")?;
    ensure!(problem["instance"] == "mine", "{method}: {problem}");
    let sent = one.count() + other.count();
    ensure!(sent == 1, "{method}, {conduct:?}: it was sent {sent} times");
    ensure!(query.count() == 0, "{method}: a query process got it");
    Ok(())
}

#[test]
fn a_command_whose_process_is_lost_is_sent_once_and_its_outcome_is_unknown() -> Result<()> {
    for method in ["POST", "PATCH", "DELETE", "PUT", "OPTIONS"] {
        lose(method, Conduct::Close)?;
    }
    Ok(())
}

#[test]
fn a_command_to_a_frozen_process_is_sent_once_and_its_outcome_is_unknown() -> Result<()> {
    thread::scope(|scope| {
        let waits = ["POST", "DELETE"].map(|method| scope.spawn(move || lose(method, Conduct::Freeze)));
        waits.into_iter().try_for_each(|wait| wait.join().map_err(|_| anyhow!("it panicked"))?)
    })
}

#[test]
fn a_command_that_reached_no_process_is_known_to_have_done_nothing() -> Result<()> {
    let (gone, well) = (StandIn::new(OK)?, StandIn::new(OK)?);
    let (query, addresses) = (StandIn::new(OK)?, [gone.address(), well.address()]);
    drop(gone);
    let front = Front::before(stack::gateway::Upstreams {
        reads: vec![query.address()],
        commands: addresses.to_vec(),
    })?;

    for method in ["POST", "PATCH", "POST", "PATCH"] {
        let answer = front.tell(method, "/parking-slots/1", "{}")?;
        ensure!(answer.status == 200, "{method} goes to the process that takes it: {answer:?}");
    }
    ensure!(well.count() == 4, "{}", well.count());
    drop(well);
    for method in ["POST", "PATCH", "DELETE", "OPTIONS"] {
        let refused = refused(&front, method)?;
        refused.expect_problem(503, "primary-unavailable")?;
    }
    ensure!(front.ask("GET", "/parking-slots", "")?.status == 200, "reads go on");
    Ok(())
}

/// The first answer after the stand-in has closed its port.
fn refused(front: &Front, method: &str) -> Result<Answer> {
    let answer = wait::until(RECOVERY, RECOVERY / 1000, || {
        Ok(Some(front.tell(method, "/", "{}")?).filter(|answer| answer.status != 200))
    })?;
    answer.ok_or_else(|| anyhow!("{method} is still taken"))
}
