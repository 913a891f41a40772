//! `create-parking-slot --wait`: the row as the replica has it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use system_tests::{Pair, assert_level, blocking, servers::servers, with_pair};

use crate::command_line::run_command;

async fn output(pair: &Pair, arguments: &[&str]) -> Result<Output> {
    let program = servers()?.binaries.command_service.clone();
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(pair.command_environment()).stdin(Stdio::null());
    blocking(move || command.output().context("cannot run command-service")).await
}

#[test]
fn a_create_that_waits_prints_the_row_of_the_replica() -> Result<()> {
    with_pair(async |pair| {
        let relabel = "
            CREATE FUNCTION relabel() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.name := NEW.name || ', as the replica has it';
                NEW.document := NULL;
                RETURN NEW;
            END
            $$;
            CREATE TRIGGER relabel BEFORE INSERT ON parking_slots FOR EACH ROW EXECUTE FUNCTION relabel();";
        pair.replica.sql().await?.batch_execute(relabel).await?;

        let arguments = ["create-parking-slot", "--name", "Slot 1", "--status", "reserved", "--wait"];
        let printed = run_command(pair, &arguments).await?;
        let json =
            run_command(pair, &["create-parking-slot", "--name", "Slot 2", "--wait", "--json"]).await?;

        let uuid =
            printed.lines().next().and_then(|line| line.strip_prefix("uuid:   ")).context("no uuid")?;
        let expected = format!("uuid:   {uuid}\nname:   Slot 1, as the replica has it\nstatus: reserved\n");
        assert_eq!(printed, expected);
        let json: serde_json::Value = serde_json::from_str(&json)?;
        assert_eq!((&json["name"], &json["version"]), (&"Slot 2, as the replica has it".into(), &1.into()));
        Ok(())
    })
}

#[test]
fn a_create_that_waits_in_vain_says_that_the_slot_was_created_all_the_same() -> Result<()> {
    with_pair(async |pair| {
        pair.event_consumer().stop().await?;

        let output = output(pair, &["create-parking-slot", "--name", "Slot 1", "--wait"]).await?;

        let error = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success(), "it did not see the row, and ended with {}", output.status);
        assert_eq!(output.status.code(), Some(3), "a dependency is down: {error}");
        pair.event_consumer().start().await?;
        let everything = assert_level(pair).await?;
        let uuid = everything.events[0].slot_uuid.to_string();
        let said = format!("{error}{}", String::from_utf8(output.stdout)?);
        ensure!(said.contains(&uuid), "who is not told the uuid would create another: {said}");
        let vain = format!(
            "command-service: parking slot {uuid} is created, but not yet seen on the replica: \
             it has the log up to position 0 and lacks position 1: does its event-consumer run?"
        );
        assert_eq!(error, format!("{}\n{vain}\n", notice(&uuid)), "what was missing");
        Ok(())
    })
}

fn notice(uuid: &str) -> String {
    format!("command-service: parking slot {uuid} is created; waiting up to 30 s until the replica shows it")
}

#[test]
fn a_create_that_waits_says_so_and_goes_on_to_wait() -> Result<()> {
    with_pair(async |pair| {
        pair.event_consumer().stop().await?;
        let mut create = std::process::Command::new(&servers()?.binaries.command_service);
        create.args(["create-parking-slot", "--name", "Slot 1", "--wait"]);
        create.env_clear().envs(pair.command_environment()).stdin(Stdio::null());
        let mut waiting = create.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut errors = BufReader::new(waiting.stderr.take().context("no standard error")?);

        let (said, mut errors) = blocking(move || {
            let mut line = String::new();
            errors.read_line(&mut line)?;
            Ok((line, errors))
        })
        .await?;
        pair.event_consumer().start().await?;
        let output = blocking(move || waiting.wait_with_output().context("it does not end")).await?;

        let shown = String::from_utf8(output.stdout)?;
        let uuid = shown.strip_prefix("uuid:   ").and_then(|rest| rest.get(..36)).context("no uuid")?;
        assert_eq!(said, format!("{}\n", notice(uuid)));
        assert_eq!(shown, format!("uuid:   {uuid}\nname:   Slot 1\nstatus: available\n"));
        ensure!(output.status.success(), "it saw the row, and ended with {}", output.status);
        let mut rest = String::new();
        errors.read_to_string(&mut rest)?;
        assert_eq!(rest, "", "nothing went wrong");
        Ok(())
    })
}
