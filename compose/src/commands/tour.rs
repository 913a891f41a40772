//! `tour`: the walk-through. It shows every command as a user would type it, runs it, and checks what it prints.

mod screen;
mod line;
mod answer;
mod pace;
mod guide;
mod steps;
mod traces;

use anyhow::{Context, Result, bail, ensure};

use self::{guide::Guide, pace::Pace, screen::Screen, steps::STEPS};
use crate::local::{Health, Home, Stack};

pub(crate) fn tour(home: &Home, yes: bool) -> Result<()> {
    let stack = Stack::open(home)?.context(NOTHING_RUNS)?;
    ensure_ready(&stack)?;
    let mut guide = Guide::new(&stack, Pace::watch(yes)?, Screen::of_stdout())?;
    guide.screen.say(&format!(
        "A tour in {} steps, with slots of its own, named `{} ...`. JSON is shown in several lines here.",
        STEPS.len(),
        guide.label
    ));
    let walked = walk(&mut guide);
    // A failed step or a Ctrl-C is no exception: the tour deletes what it made and starts what it stopped.
    let cleared = traces::clear(home, &stack, &guide.label, guide.consumer_is_stopped);
    let walked = if guide.pace.interrupted() { Err(anyhow::anyhow!("interrupted")) } else { walked };
    walked.and(cleared)?;
    println!();
    guide
        .screen
        .say("That was the tour. Its slots are gone again; their events stay in the log, which only grows.");
    Ok(())
}

const NOTHING_RUNS: &str = "nothing runs here: `cargo stack up` starts it";

/// The tour starts nothing by itself.
fn ensure_ready(stack: &Stack) -> Result<()> {
    ensure!(!stack.running().is_empty(), NOTHING_RUNS);
    for part in stack.shape().parts() {
        ensure!(stack.is_running(part), "{part} does not run: `cargo stack start {part}`");
    }
    for service in stack.shape().services() {
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
        let question = guide.screen.question(&format!("[Enter: step {number}]"));
        guide.pace.pause(&question)?;
        guide.screen.title(&format!("{number}. {}", step.title));
        guide.screen.say(step.why);
        (step.run)(guide).with_context(|| format!("step {number}, \"{}\"", step.title))?;
    }
    Ok(())
}
