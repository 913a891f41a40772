//! `tour`: the walk-through. Every command is shown as one would type it, run, and held against what it should print.

mod line;
mod pace;
mod guide;
mod steps;
mod traces;

use anyhow::{Context, Result, bail, ensure};

use self::{guide::Guide, pace::Pace, steps::STEPS};
use crate::local::{Health, Home, Part, Stack};

pub(crate) fn tour(home: &Home, yes: bool) -> Result<()> {
    let stack = Stack::open(home)?.context(NOTHING_RUNS)?;
    ensure_ready(&stack)?;
    let mut guide = Guide::new(&stack, Pace::watch(yes)?)?;
    println!("A tour in {} steps, with slots of its own, named `{} ...`.", STEPS.len(), guide.label);
    let walked = walk(&mut guide);
    // Also after a step that failed, or at a Ctrl-C: what the tour made goes, and what it stopped starts again.
    let cleared = traces::clear(home, &stack, &guide.label, guide.consumer_is_stopped);
    let walked = if guide.pace.interrupted() { Err(anyhow::anyhow!("interrupted")) } else { walked };
    walked.and(cleared)?;
    println!(
        "\nThat was the tour. Its slots are gone again; their events stay in the log, which only grows."
    );
    Ok(())
}

const NOTHING_RUNS: &str = "nothing runs here: `cargo stack up` starts it";

/// The tour starts nothing by itself.
fn ensure_ready(stack: &Stack) -> Result<()> {
    ensure!(!stack.running().is_empty(), NOTHING_RUNS);
    for part in Part::ALL {
        ensure!(stack.is_running(part), "{part} does not run: `cargo stack start {part}`");
    }
    for service in Part::SERVICES {
        match stack.health(service) {
            Health::Ready => {}
            Health::Waiting(parts) => bail!("{service} is not ready: it waits for {}", parts.join(", ")),
            Health::Silent => bail!("{service} does not answer: `cargo stack restart {service}`"),
        }
    }
    Ok(())
}

fn walk(guide: &mut Guide) -> Result<()> {
    for (index, step) in STEPS.iter().enumerate() {
        let number = index + 1;
        guide.pace.pause(number)?;
        println!("\n{number}. {}\n{}", step.title, step.why);
        (step.run)(guide).with_context(|| format!("step {number}, \"{}\"", step.title))?;
    }
    Ok(())
}
