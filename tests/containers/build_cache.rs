//! A build after a change.

use std::{
    fs::OpenOptions,
    io::Write,
    time::{Instant, SystemTime},
};

use anyhow::{Result, ensure};
use system_tests::{cargo_stack::said, engine::Project};

pub(crate) fn a_second_build_compiles_only_what_has_changed(project: &mut Project) -> Result<()> {
    let copy = project.copy_of_sources()?;
    let mut source = OpenOptions::new().append(true).open(copy.join("event-consumer/src/main.rs"))?;
    // The engine keeps what it has built: the same line again would be found there.
    writeln!(source, "\n// One line more, {:?}.", SystemTime::now())?;
    drop(source);

    let began = Instant::now();
    let built = project.compose_in(&copy, &["build", "event-consumer"]).output()?;

    ensure!(built.status.success(), "{}", said(&built));
    let log = said(&built);
    let compiled: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once("Compiling ")?.1)).collect();
    println!("a build after a change of event-consumer took {:.0} s", began.elapsed().as_secs_f64());
    ensure!(
        compiled.len() == 1 && compiled[0].starts_with("event-consumer "),
        "compiled after a change of event-consumer alone: {compiled:?}\n{log}"
    );
    Ok(())
}
