//! `cargo stack up --query 2 --replicas 2 --gateway`: what each process does, and what the others do without it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::{
    Shape, files,
    process::{Process, Signal},
    wait,
};
use system_tests::{RECOVERY, cargo_stack::said};

use super::front::{Answer, send};
use crate::cargo_stack::own_stack::OwnStack;

const POLL: std::time::Duration = std::time::Duration::from_millis(50);
const SHAPE: Shape = Shape { query: 2, replicas: 2, gateway: true };

/// The stack, and what its clients need.
pub(super) struct Scaled {
    pub(super) stack: OwnStack,
    pub(super) gateway: u16,
}

impl Scaled {
    pub(super) fn up() -> Result<Self> {
        let stack = OwnStack::new()?;
        let mut up = OwnStack::up_on_free_ports()?;
        up.extend(["--query", "2", "--replicas", "2", "--gateway"].map(str::to_owned));
        stack.run(&up.iter().map(String::as_str).collect::<Vec<_>>())?;
        let gateway = port_of(&stack, "gateway")?;
        Ok(Self { stack, gateway })
    }

    pub(super) fn status_of(&self, name: &str) -> Result<Value> {
        let parts = self.stack.parts()?;
        parts.into_iter().find(|part| part["name"] == name).with_context(|| format!("no {name}"))
    }

    /// Sends a request through the gateway; also the id that it has in the logs.
    fn call(&self, method: &str, target: &str, body: &str) -> Result<(Answer, String)> {
        let id = files::random_hex(8)?;
        let length = body.len();
        let answer = send(
            self.gateway,
            &format!(
                "{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Request-Id: {id}\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )?;
        Ok((answer, id))
    }

    fn get(&self, target: &str) -> Result<Answer> {
        Ok(self.call("GET", target, "")?.0)
    }

    /// Creates a slot through the gateway: its path, the receipt, and the id of the request.
    fn create(&self, name: &str) -> Result<(String, String, String)> {
        let (answer, id) = self.call("POST", "/parking-slots", &format!("{{\"name\":\"{name}\"}}"))?;
        ensure!(answer.status == 201, "{answer:?}");
        let receipt = answer.header("Write-Receipt").context("no receipt")?.to_owned();
        let slot: Value = serde_json::from_str(&answer.body)?;
        let uuid = slot["uuid"].as_str().context("no uuid")?;
        Ok((format!("/parking-slots/{uuid}"), receipt, id))
    }

    /// Whether the log of a service has this request.
    fn has_answered(&self, service: &str, id: &str) -> Result<bool> {
        let log = self.stack.directory().join(".stack").join(format!("{service}.log"));
        Ok(fs::read_to_string(log)?.contains(id))
    }

    /// The name of the first slot, by one service's own port.
    fn name_at(&self, service: &str, path: &str) -> Result<String> {
        let answer = send(port_of(&self.stack, service)?, &get(path))?;
        let slot: Value = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
        Ok(slot["name"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) fn start(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| self.stack.run(&["start", name]).map(|_| ()))
    }

    pub(super) fn stop(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| self.stack.run(&["stop", name]).map(|_| ()))
    }

    /// Reads many times through the gateway; each must be answered.
    fn all_reads_are_answered(&self, path: &str) -> Result<()> {
        for target in [path, "/parking-slots", "/parking-slots/summary"].iter().cycle().take(30) {
            let answer = self.get(target)?;
            ensure!(answer.status == 200, "{target}: {answer:?}");
        }
        Ok(())
    }

    fn rows_of(&self, database: &str) -> Result<String> {
        let rows = self.stack.print(&["psql", database, "-Atc", "SELECT count(*) FROM parking_slots"])?;
        Ok(rows.trim().to_owned())
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

fn port_of(stack: &OwnStack, name: &str) -> Result<u16> {
    let parts = stack.parts()?;
    let part = parts.iter().find(|part| part["name"] == name).with_context(|| format!("no {name}"))?;
    let url = part["url"].as_str().context("no url")?;
    Ok(url.rsplit_once(':').context("no port")?.1.parse()?)
}

#[test]
fn two_query_processes_and_two_replicas_behind_a_gateway_stand_in_for_each_other() -> Result<()> {
    let scaled = Scaled::up()?;
    all_parts_are_ready(&scaled)?;
    let (path, receipt, created_by) = scaled.create("Slot 1")?;
    each_process_has_its_requests(&scaled, &format!("{path}?receipt={receipt}"), &created_by)?;
    the_problems_of_the_gateway_are_those_of_the_services(&scaled)?;
    a_replica_that_was_stopped_catches_up(&scaled, &path)?;
    an_edit_by_hand_shows_where_a_query_process_reads(&scaled, &path)?;
    the_command_line_has_every_dependency(&scaled)?;
    reads_need_one_query_process(&scaled, &path)?;
    commands_need_command_service(&scaled, &path)?;
    another_shape_is_refused_while_it_runs(&scaled)?;
    a_gateway_whose_master_was_killed_starts_again(&scaled)?;
    nothing_runs_after_a_wipe(&scaled)
}

fn all_parts_are_ready(scaled: &Scaled) -> Result<()> {
    let parts = scaled.stack.parts()?;
    let names: Vec<String> =
        parts.iter().filter_map(|part| Some(part["name"].as_str()?.to_owned())).collect();
    let due: Vec<String> = SHAPE.parts().into_iter().map(stack::Part::name).collect();
    assert_eq!(names, due);
    for part in &parts {
        ensure!(part["state"] == "running" && part["ready"] == true, "{part}");
    }
    for consumer in ["event-consumer", "event-consumer-2"] {
        ensure!(scaled.status_of(consumer)?["applied_through"].is_u64(), "{consumer} says how far it is");
    }
    let status = scaled.stack.print(&["status"])?;
    let sentences: Vec<&str> = status.lines().rev().take(2).collect();
    ensure!(sentences[1].starts_with("replica main: "), "{status}");
    ensure!(sentences[0].starts_with("replica replica-2: "), "{status}");
    Ok(())
}

fn each_process_has_its_requests(scaled: &Scaled, read: &str, created_by: &str) -> Result<()> {
    let mut reads = Vec::new();
    let both = wait::until(RECOVERY, POLL, || {
        let (answer, id) = scaled.call("GET", read, "")?;
        ensure!(answer.status == 200, "the receipt holds on both replicas: {answer:?}");
        ensure!(answer.header("Freshness-Result") == Some("satisfied"), "{answer:?}");
        reads.push(id);
        let has_any = |service| {
            reads
                .iter()
                .try_fold(false, |any, id| Ok::<_, anyhow::Error>(any | scaled.has_answered(service, id)?))
        };
        Ok((has_any("query-1")? && has_any("query-2")?).then_some(()))
    })?;
    ensure!(both.is_some(), "one query process gets no reads");
    for id in &reads {
        ensure!(!scaled.has_answered("command-service", id)?, "a read went to command-service");
    }
    ensure!(scaled.has_answered("command-service", created_by)?, "the create");
    for query in ["query-1", "query-2"] {
        ensure!(!scaled.has_answered(query, created_by)?, "a command went to {query}");
    }
    let misdirected = send(port_of(&scaled.stack, "command-service")?, &get("/parking-slots"))?;
    ensure!(misdirected.status == 421, "command-service answers no reads: {misdirected:?}");
    Ok(())
}

/// Each type has one title, wherever the problem comes from.
fn the_problems_of_the_gateway_are_those_of_the_services(scaled: &Scaled) -> Result<()> {
    let configuration = include_str!("../../../compose/gateway/nginx.conf");
    let problems = configuration.lines().filter_map(|line| line.split_once("'{")?.1.strip_suffix("}';"));
    let problems: Vec<Value> = problems
        .map(|members| Ok(serde_json::from_str(&format!("{{{members}}}"))?))
        .collect::<Result<_>>()?;
    ensure!(problems.len() == 8, "are they looked for in the right way? {problems:#?}");
    for problem in problems {
        let text = |member: &str| problem[member].as_str().unwrap_or_default();
        let page = scaled.get(text("type"))?;
        let first = format!("{} ({}", text("type").trim_start_matches("/problems/"), problem["status"]);
        ensure!(page.status == 200 && page.body.starts_with(&first), "{problem}: {page:?}");
        ensure!(page.body.contains(&format!("\n{}. ", text("title"))), "{problem}: {page:?}");
    }
    Ok(())
}

fn a_replica_that_was_stopped_catches_up(scaled: &Scaled, path: &str) -> Result<()> {
    scaled.stop(&["replica-2"])?;
    scaled.create("Slot 2")?;
    scaled.all_reads_are_answered(path)?;
    scaled.start(&["replica-2"])?;
    let level = wait::until(RECOVERY, POLL, || Ok((scaled.rows_of("replica-2")? == "2").then_some(())))?;
    ensure!(level.is_some(), "replica-2 does not catch up");
    assert_eq!(scaled.rows_of("replica")?, "2");
    Ok(())
}

fn an_edit_by_hand_shows_where_a_query_process_reads(scaled: &Scaled, path: &str) -> Result<()> {
    let edit = "UPDATE parking_slots SET name = 'edited' WHERE name = 'Slot 1'";
    scaled.stack.print(&["psql", "replica-2", "-c", edit])?;
    assert_eq!(scaled.name_at("query-1", path)?, "Slot 1");
    assert_eq!(scaled.name_at("query-2", path)?, "edited");

    scaled.stack.run(&["exec", "event-consumer-2", "rebuild"])?;

    assert_eq!(scaled.name_at("query-2", path)?, "Slot 1", "the rebuild was that of replica-2");
    Ok(())
}

/// Its own process only takes commands and relays.
fn the_command_line_has_every_dependency(scaled: &Scaled) -> Result<()> {
    let exec = |arguments: &[&str]| scaled.stack.print(&[&["exec", "command-service"], arguments].concat());
    let created = exec(&["create-parking-slot", "--name", "Slot 3", "--wait"])?;
    let listed = exec(&["parking-slot-list"])?;
    let verified = exec(&["verify"])?;

    ensure!(created.contains("name:   Slot 3"), "{created}");
    assert_eq!(listed.lines().count(), 3, "{listed}");
    ensure!(verified.contains("no differences"), "{verified}");
    Ok(())
}

fn reads_need_one_query_process(scaled: &Scaled, path: &str) -> Result<()> {
    scaled.stop(&["query-1"])?;
    scaled.all_reads_are_answered(path)?;
    scaled.stop(&["query-2"])?;
    scaled.get(path)?.expect_problem(503, "replica-unavailable")?;
    scaled.get("/parking-slots?consistency=strong")?.expect_problem(503, "replica-unavailable")?;
    ensure!(scaled.status_of("gateway")?["ready"] == false, "nothing is ready behind the gateway");
    scaled.create("Slot 4")?;
    scaled.start(&["query-1", "query-2", "gateway"])?;
    let again = wait::until(RECOVERY, POLL, || Ok((scaled.get(path)?.status == 200).then_some(())))?;
    ensure!(again.is_some(), "reads do not come back");
    Ok(())
}

fn commands_need_command_service(scaled: &Scaled, path: &str) -> Result<()> {
    scaled.stop(&["command-service"])?;
    for (method, target) in [("POST", "/parking-slots"), ("PATCH", path), ("DELETE", path)] {
        let (refused, _) = scaled.call(method, target, "{\"name\":\"Nobody\"}")?;
        refused.expect_problem(503, "primary-unavailable")?;
    }
    scaled.all_reads_are_answered(path)?;
    scaled.start(&["command-service"])?;
    scaled.create("Slot 5").map(|_| ())
}

fn another_shape_is_refused_while_it_runs(scaled: &Scaled) -> Result<()> {
    for (arguments, expected) in [
        (&["up", "--detach", "--query", "1"][..], "error: query-2 runs, and this shape has no query-2"),
        (&["up", "--detach", "--replicas", "1"], "error: there are 2 replicas"),
        (
            &["start", "query-3"],
            "error: there is no query-3 in this stack: `cargo stack up --query N` adds it",
        ),
    ] {
        let output = scaled.stack.command(arguments).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let is_refused = output.status.code() == Some(1) && errors.lines().count() == 1;
        ensure!(is_refused && errors.starts_with(expected), "{arguments:?}: {}", said(&output));
    }
    scaled.stack.run(&["up", "--detach", "--no-install"])?;
    all_parts_are_ready(scaled)
}

/// Its workers still hold the port then.
fn a_gateway_whose_master_was_killed_starts_again(scaled: &Scaled) -> Result<()> {
    let pid = scaled.status_of("gateway")?["pid"].as_i64().context("no pid")?;
    let master = Process::of(i32::try_from(pid)?).context("no master")?;
    master.signal(Signal::KILL)?;
    ensure!(master.wait_for_end(RECOVERY), "it cannot be killed");
    ensure!(scaled.status_of("gateway")?["state"] == "stopped", "it was killed");

    scaled.start(&["gateway"])?;

    ensure!(scaled.get("/parking-slots")?.status == 200, "it answers again");
    Ok(())
}

fn nothing_runs_after_a_wipe(scaled: &Scaled) -> Result<()> {
    let pids = scaled.stack.parts()?.into_iter().filter_map(|part| part["pid"].as_i64());
    let processes: Vec<Process> =
        pids.filter_map(|pid| i32::try_from(pid).ok()).filter_map(Process::of).collect();
    assert_eq!(processes.len(), SHAPE.parts().len());

    let stopped = scaled.stack.run(&["down", "--wipe"])?;

    ensure!(stopped.contains("query-2, event-consumer, event-consumer-2, gateway"), "{stopped}");
    ensure!(!processes.iter().any(Process::is_alive), "something still runs");
    assert_eq!(scaled.stack.parts()?.len(), 0);
    Ok(())
}
