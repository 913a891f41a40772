//! The steps, in the order of the flow: what is done, what one should see, and why.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    guide::{Guide, answer},
    line::Line,
    traces::runs_release,
};
use crate::local::Part;

/// One step.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    pub(super) run: fn(&mut Guide) -> Result<()>,
}

pub(super) const STEPS: [Step; 8] = [
    Step {
        title: "A slot is created",
        why: "\
command-service writes the slot and its event to the primary in one transaction, and answers when both are durable:
201, with the slot at version 1.",
        run: create,
    },
    Step {
        title: "Lists are read from the replica",
        why: "\
The event went by way of the broker to event-consumer, which wrote the row to the replica. So the list has the slot,
and both databases hold the same.",
        run: list,
    },
    Step {
        title: "A row of the replica is edited by hand",
        why: "\
The list shows the edit at once, for that is where it reads. The primary knows nothing of it.",
        run: edit,
    },
    Step {
        title: "The next change of the slot heals it",
        why: "\
An event carries the whole slot, so the replica is made what the primary is: the old name, the new status, version 2.",
        run: heal,
    },
    Step {
        title: "event-consumer is stopped, and commands go on",
        why: "\
The create is answered with 201 as before. The list does not have the slot yet: its event waits in the replica's queue
(the broker counts every 5 s), and `status` says that the replica is behind.",
        run: stop,
    },
    Step {
        title: "event-consumer is started again",
        why: "It takes what has waited, and the slot is in the list. Nothing was lost.",
        run: start,
    },
    Step {
        title: "The slots are deleted",
        why: "\
204 each. They leave the list when the events have arrived; a second delete finds nothing: 404.",
        run: delete,
    },
    Step { title: "How it stands", why: "All parts run, and the replica has followed.", run: status },
];

fn create(guide: &mut Guide) -> Result<()> {
    create_slot(guide, "one")
}

fn create_slot(guide: &mut Guide, name: &str) -> Result<()> {
    let name = format!("{} {name}", guide.label);
    let body = json!({ "name": name }).to_string();
    let url = guide.url("/parking-slots");
    let line = Line::curl(["-si", &url, "-H", "Content-Type: application/json", "-d", &body]);
    let slot: Value = serde_json::from_str(&answer(&guide.run(&line)?, 201)?.body)?;
    let uuid = slot["uuid"].as_str().with_context(|| format!("no uuid in {slot}"))?;
    ensure!(slot["name"] == name && slot["version"] == 1, "another slot was created: {slot}");
    guide.slots.push(uuid.to_owned());
    Ok(())
}

fn list(guide: &mut Guide) -> Result<()> {
    guide.list_until(&[("one", "available", 1)])?;
    for database in ["primary", "replica"] {
        check_row(guide, database, "one|available|1")?;
    }
    Ok(())
}

/// The first slot in a database, as `psql` shows it.
fn check_row(guide: &Guide, database: &str, expected: &str) -> Result<()> {
    let sql = format!("SELECT name, status, version FROM parking_slots WHERE uuid = '{}'", first(guide)?);
    let row = guide.run(&Line::stack(["psql", database, "-Atc", &sql]))?;
    let expected = format!("{} {expected}", guide.label);
    ensure!(
        row.trim_end() == expected,
        "the {database} should hold `{expected}`, but holds `{}`",
        row.trim_end()
    );
    Ok(())
}

fn edit(guide: &mut Guide) -> Result<()> {
    let (name, uuid) = (format!("{} edited by hand", guide.label), first(guide)?);
    let sql = format!("UPDATE parking_slots SET name = '{name}' WHERE uuid = '{uuid}'");
    let edited = guide.run(&Line::stack(["psql", "replica", "-c", &sql]))?;
    ensure!(edited.trim_end() == "UPDATE 1", "one row should have been edited: {edited}");
    guide.list_now(&[("edited by hand", "available", 1)])?;
    check_row(guide, "primary", "one|available|1")
}

fn heal(guide: &mut Guide) -> Result<()> {
    let uuid = first(guide)?.to_owned();
    let update = ["exec", "command-service", "update-parking-slot", &uuid, "--status", "occupied"];
    let printed = guide.run(&Line::stack(update))?;
    let expected = format!("uuid:   {uuid}\nname:   {} one\nstatus: occupied\n", guide.label);
    ensure!(printed == expected, "it should print:\n{expected}");
    guide.list_until(&[("one", "occupied", 2)])
}

fn stop(guide: &mut Guide) -> Result<()> {
    // Noted first: a stop that fails may have stopped it all the same.
    guide.consumer_is_stopped = true;
    guide.run(&Line::stack(["stop", Part::EventConsumer.name()]))?;
    create_slot(guide, "two")?;
    guide.list_now(&[("one", "occupied", 2)])?;
    let queue = format!(
        "{}api/queues/%2f/parking.replica.main?columns=name,messages",
        guide.stack.rabbitmq()?.management_url()
    );
    guide.run_until(&Line::curl(["-s", &queue]), |text| {
        let queue: Value = serde_json::from_str(text).context("not JSON")?;
        ensure!(
            queue["messages"].as_u64() > Some(0),
            "a message should wait in the queue, but it says {queue}"
        );
        Ok(())
    })?;
    let status = guide.run(&Line::stack(["status"]))?;
    let stopped = |line: &str| line.starts_with(Part::EventConsumer.name()) && line.contains(" stopped ");
    ensure!(status.lines().any(stopped), "event-consumer should be stopped");
    Ok(())
}

fn start(guide: &mut Guide) -> Result<()> {
    let line = Line::stack(["start", Part::EventConsumer.name()]);
    guide.run(&if runs_release(guide.stack) { line.and("--release") } else { line })?;
    guide.consumer_is_stopped = false;
    guide.list_until(&[("one", "occupied", 2), ("two", "available", 1)])
}

fn delete(guide: &mut Guide) -> Result<()> {
    let lines: Vec<Line> = guide
        .slots
        .iter()
        .map(|uuid| Line::curl(["-si", "-X", "DELETE", &guide.url(&format!("/parking-slots/{uuid}"))]))
        .collect();
    for line in &lines {
        answer(&guide.run(line)?, 204)?;
    }
    guide.list_until(&[])?;
    answer(&guide.run(&lines[0])?, 404).map(|_| ())
}

fn status(guide: &mut Guide) -> Result<()> {
    let status = guide.run(&Line::stack(["status"]))?;
    for part in Part::ALL {
        let runs = |line: &str| line.starts_with(part.name()) && line.contains(" running ");
        ensure!(status.lines().any(runs), "{part} should be running");
    }
    let sentence = status.lines().last().unwrap_or_default();
    ensure!(sentence.starts_with("replica main: "), "it should end by saying how far the replica is");
    Ok(())
}

fn first<'g>(guide: &'g Guide) -> Result<&'g str> {
    guide.slots.first().map(String::as_str).context("no slot was created")
}
