//! Steps that create, change and delete slots.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::files;

use super::super::{answer::Answer, guide::Guide, line::Line};

pub(super) fn create(guide: &mut Guide) -> Result<()> {
    create_slot(guide, "one")
}

pub(super) fn create_slot(guide: &mut Guide, name: &str) -> Result<()> {
    let name = format!("{} {name}", guide.label);
    let text = guide.run(&post(guide, &name))?;
    note_created(guide, &name, &Answer::expect(&text, 201)?.json()?)
}

fn post(guide: &Guide, name: &str) -> Line {
    let body = json!({ "name": name }).to_string();
    Line::curl(["-si", &guide.url("/parking-slots"), "-H", "Content-Type: application/json", "-d", &body])
}

fn note_created(guide: &mut Guide, name: &str, slot: &Value) -> Result<()> {
    let uuid = slot["uuid"].as_str().with_context(|| format!("no uuid in {slot}"))?;
    guide.slots.push(uuid.to_owned());
    ensure!(slot["name"] == name && slot["version"] == 1, "another slot was created: {slot}");
    Ok(())
}

pub(super) fn heal(guide: &mut Guide) -> Result<()> {
    let uuid = guide.first()?.to_owned();
    let update = ["exec", "command-service", "update-parking-slot", &uuid, "--status", "occupied"];
    let printed = guide.run(&Line::stack(update))?;
    for line in
        [format!("uuid:   {uuid}"), format!("name:   {} one", guide.label), "status: occupied".to_owned()]
    {
        ensure!(printed.lines().any(|printed| printed == line), "it should print `{line}`");
    }
    guide.list_until(&[("one", "occupied", 3)])
}

/// A change of the first slot's status by HTTP; more may follow.
pub(super) fn patch(guide: &Guide, status: &str) -> Result<Line> {
    let body = json!({ "status": status }).to_string();
    let line = Line::curl(["-si", "-X", "PATCH", &guide.url(&guide.first_path()?), "-d", &body]);
    Ok(line.and("-H").and("Content-Type: application/json"))
}

pub(super) fn change_a_version(guide: &mut Guide) -> Result<()> {
    let patch = patch(guide, "available")?;
    let refused = guide.run(&patch.clone().and("-H").and("If-Match: \"1\""))?;
    Answer::expect(&refused, 412)?;
    let changed = guide.run(&patch.and("-H").and("If-Match: \"3\""))?;
    let slot = Answer::expect(&changed, 200)?.json()?;
    ensure!(slot["version"] == 4, "the slot should have version 4: {slot}");
    Ok(())
}

pub(super) fn send_twice(guide: &mut Guide) -> Result<()> {
    let name = format!("{} two", guide.label);
    let key = format!("Idempotency-Key: {}", files::random_hex(8)?);
    let line = post(guide, &name).and("-H").and(&key);
    let first = guide.run(&line)?;
    let created = Answer::expect(&first, 201)?.json()?;
    note_created(guide, &name, &created)?;
    let second = guide.run(&line)?;
    let second = Answer::expect(&second, 201)?;
    ensure!(second.json()? == created, "the second answer should be the first one again");
    let replayed = second.header("idempotency-replayed")?;
    ensure!(replayed == "true", "the second answer should say that it is one, but says {replayed}");
    // The next step stops event-consumer, and lists what the replica has by then: this change and that of step 7.
    guide.list_until(&[("one", "available", 4), ("two", "available", 1)])
}

pub(super) fn delete(guide: &mut Guide) -> Result<()> {
    let lines: Vec<Line> = guide
        .slots
        .iter()
        .map(|uuid| Line::curl(["-si", "-X", "DELETE", &guide.url(&format!("/parking-slots/{uuid}"))]))
        .collect();
    for line in &lines {
        Answer::expect(&guide.run(line)?, 204)?;
    }
    guide.list_until(&[])?;
    let line = lines.first().context("no slot was created")?;
    Answer::expect(&guide.run(line)?, 404).map(|_| ())
}
