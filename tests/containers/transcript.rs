//! The walk-through that the document shows, run as it stands.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use stack::{Port, wait};
use system_tests::{
    cargo_stack::said,
    engine::{Project, checkout},
    transcript::{IN_CONTAINERS, Variables, transcript},
};

/// How long the test waits, before each command, until the replica has the last write. A reader types more slowly.
const LEVEL_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

pub(crate) fn the_transcript_of_compose_is_what_one_sees(project: &mut Project) -> Result<()> {
    let (document, section) = IN_CONTAINERS;
    let text = fs::read_to_string(checkout().join(document)).context(document)?;
    let shown = transcript(&text, section)?;
    ensure!(shown.len() >= 7, "this is not the whole transcript: {shown:?}");
    let mut variables = Variables::default();
    for step in &shown {
        level(project)?;
        // The only difference to what a person types: the ports of this run.
        let (default, own) = (Port::Http.default_value(), project.port(Port::Http));
        let command = variables.put_into(&step.command).replace(&format!(":{default}/"), &format!(":{own}/"));
        let mut shell = project.shell(&command);
        let ran = shell.env("no_proxy", "*").stdin(Stdio::null()).output()?;

        ensure!(ran.status.success(), "{command}: {}", said(&ran));
        let seen = String::from_utf8(ran.stdout)?;
        if let Err(difference) = variables.check(&step.output, seen.trim_end_matches('\n')) {
            panic!(
                "$ {command}\n{difference}\n{document} shows:\n{}\nbut the command prints:\n{seen}",
                step.output
            );
        }
    }
    Ok(())
}

/// Waits until the replica has applied all that was written.
fn level(project: &Project) -> Result<()> {
    let psql = |service: &str, database: &str, sql: &str| {
        project.compose(&["exec", "-T", service, "psql", "-U", "postgres", "-d", database, "-Atc", sql])
    };
    let level = wait::until(LEVEL_LIMIT, POLL, || {
        let written =
            psql("primary", "parking", "SELECT coalesce(max(position), 0) FROM parking_slot_events")?;
        let applied = psql("replica", "parking_replica", "SELECT applied_through FROM replication_status")?;
        Ok((written == applied).then_some(()))
    })?;
    level.context("the replica does not follow")
}
