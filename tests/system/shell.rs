//! The commands of both programs as a shell sees them: what is printed, where, and the exit status.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::{
    Pair, assert_level,
    program::{Ended, Run},
    with_pair,
};
use uuid::Uuid;

const NOWHERE: &str = "01890000-0000-7000-8000-000000000000";

async fn run(pair: &Pair, arguments: &[&str]) -> Result<Ended> {
    Run::command_service(pair, arguments)?.end().await.with_context(|| format!("{arguments:?}"))
}

/// Checks that a command failed with this status, in one line on standard error.
fn check_failed(ended: Ended, program: &str, status: i32, reason: &str) -> Result<()> {
    let ended = ended.expect(status).with_context(|| reason.to_owned())?;
    ensure!(ended.output.is_empty(), "{reason}: messages belong on standard error");
    ensure!(ended.errors.starts_with(&format!("{program}: ")), "{reason}: {}", ended.errors);
    ensure!(ended.errors.lines().count() == 1, "{reason}: one line: {}", ended.errors);
    Ok(())
}

#[test]
fn a_slot_that_is_created_is_printed_in_three_lines() -> Result<()> {
    with_pair(async |pair| {
        for command in ["create-parking-slot", "create_parking_slot"] {
            let ended =
                run(pair, &[command, "--name", " Slot 1 ", "--status", "reserved"]).await?.expect(0)?;

            let uuid =
                ended.text()?.strip_prefix("uuid:   ").and_then(|rest| rest.get(..36)).context("no uuid")?;
            assert_eq!(uuid.parse::<Uuid>()?.get_version_num(), 7);
            assert_eq!(ended.text()?, format!("uuid:   {uuid}\nname:   Slot 1\nstatus: reserved\n"));
            assert_eq!(ended.errors, "");
            assert_level(pair).await?;
            let shown = pair.client().get(uuid.parse()?).await?.slot(200)?;
            assert_eq!(
                (shown.name.as_str(), shown.status.as_str(), shown.version),
                ("Slot 1", "reserved", 1)
            );
        }
        Ok(())
    })
}

#[test]
fn the_list_is_one_object_a_line_with_its_keys_in_order() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (one, two) = (client.created("Äpfel \"1\"").await?, client.created("Birnen").await?);
        client.change(two.uuid, json!({ "status": "blocked" })).await?.expect(200)?;
        assert_level(pair).await?;
        let first = format!(
            "{{\"uuid\":\"{}\",\"name\":\"Äpfel \\\"1\\\"\",\"status\":\"available\",\"version\":1}}\n",
            one.uuid
        );
        let second = format!(
            "{{\"uuid\":\"{}\",\"name\":\"Birnen\",\"status\":\"blocked\",\"version\":2}}\n",
            two.uuid
        );
        let both = format!("{first}{second}");
        let cases: [(&[&str], &str, &str); 8] = [
            (&["parking-slot-list"], &both, "all"),
            (&["parking_slot_list"], &both, "the other spelling"),
            (&["parking-slot-list", "--limit", "1"], &first, "one"),
            (&["parking-slot-list", "--limit", "2"], &both, "as many as there are"),
            (&["parking-slot-list", "--status", "blocked"], &second, "by status"),
            (&["parking-slot-list", "--name", "äPFEL"], &first, "by name"),
            (&["parking-slot-list", "--name", "a\u{308}pf"], &first, "by name, decomposed"),
            (&["parking-slot-list", "--name", "%"], "", "a percent sign means itself"),
        ];

        for (arguments, expected, reason) in cases {
            let ended = run(pair, arguments).await?.expect(0)?;

            assert_eq!(ended.text()?, expected, "{reason}");
            assert_eq!(ended.errors, "", "{reason}");
        }
        Ok(())
    })
}

#[test]
fn a_slot_is_shown_changed_and_deleted() -> Result<()> {
    with_pair(async |pair| {
        let uuid = pair.client().created("Slot 1").await?.uuid.to_string();
        let stands = |name: &str, status: &str, version: u8| {
            format!("uuid:   {uuid}\nname:   {name}\nstatus: {status}\nversion: {version}\n")
        };
        let cases: [(&[&str], String, &str); 7] = [
            (&["parking-slot-details", &uuid], stands("Slot 1", "available", 1), "shown"),
            (&["parking_slot_details", &uuid], stands("Slot 1", "available", 1), "by the other spelling"),
            (
                &["update-parking-slot", &uuid, "--status", "blocked"],
                stands("Slot 1", "blocked", 2),
                "version 2",
            ),
            (
                &["update-parking-slot", &uuid, "--name", "Slot 2"],
                stands("Slot 2", "blocked", 3),
                "version 3",
            ),
            (&["update-parking-slot", &uuid], stands("Slot 2", "blocked", 3), "nothing is to be changed"),
            (
                &["update-parking-slot", &uuid, "--name", "Slot 3", "--if-version", "3"],
                stands("Slot 3", "blocked", 4),
                "it is at that version",
            ),
            (&["delete-parking-slot", &uuid, "--if-version", "4"], "removed\n".to_owned(), "its end"),
        ];

        for (arguments, expected, reason) in cases {
            assert_level(pair).await?;
            let ended = run(pair, arguments).await?.expect(0)?;

            assert_eq!(ended.text()?, expected, "{reason}");
            assert_eq!(ended.errors, "", "{reason}");
        }
        assert_eq!(assert_level(pair).await?.tombstones[0].version, 5);
        Ok(())
    })
}

#[test]
fn every_command_that_ends_has_a_form_for_programs() -> Result<()> {
    with_pair(async |pair| {
        let created =
            run(pair, &["create-parking-slot", "--name", "Slot 1", "--json"]).await?.expect(0)?.json()?;
        let uuid = created["uuid"].as_str().context("no uuid")?.to_owned();
        assert_level(pair).await?;

        let details = run(pair, &["parking-slot-details", &uuid, "--json"]).await?.expect(0)?.json()?;
        let by_http = pair.client().get(uuid.parse()?).await?.expect(200)?.body;
        let updated = run(pair, &["update-parking-slot", &uuid, "--status", "occupied", "--json"]).await?;
        let deleted = run(pair, &["delete-parking-slot", &uuid, "--json"]).await?.expect(0)?.json()?;
        let migrated = run(pair, &["migrate", "--json"]).await?.expect(0)?.json()?;

        assert_eq!(created, details, "as the replica shows it");
        assert_eq!(details, by_http, "and as HTTP does");
        let updated = updated.expect(0)?.json()?;
        assert_eq!((&updated["status"], &updated["version"]), (&json!("occupied"), &json!(2)));
        assert_eq!(deleted, json!({ "removed": true, "version": 3 }));
        assert_eq!(migrated, json!({ "migrations_applied": 0 }));
        let consumer = Run::event_consumer(pair, &["migrate", "--json"])?.end().await?;
        assert_eq!(consumer.expect(0)?.json()?, json!({ "migrations_applied": 0 }));
        Ok(())
    })
}

#[test]
fn health_is_asked_of_the_running_services() -> Result<()> {
    with_pair(async |pair| {
        let port_of = |address: String| address.rsplit(':').next().map(str::to_owned).context("no port");
        let command_port = port_of(pair.command_service().address().get())?;
        let consumer_port = port_of(pair.event_consumer().address().get())?;
        let command = |arguments: &[&str]| -> Result<Run> {
            Ok(Run::command_service(pair, arguments)?.with("PARKING__HTTP__PORT", Some(&command_port)))
        };
        let consumer = |arguments: &[&str]| -> Result<Run> {
            Ok(Run::event_consumer(pair, arguments)?
                .with("PARKING__CONSUMER__HTTP_PORT", Some(&consumer_port)))
        };

        for healthcheck in [command(&["healthcheck"])?, consumer(&["healthcheck"])?] {
            assert_eq!(healthcheck.end().await?.expect(0)?.text()?, "ready\n");
        }
        for healthcheck in [command(&["healthcheck", "--json"])?, consumer(&["healthcheck", "--json"])?] {
            assert_eq!(healthcheck.end().await?.expect(0)?.json()?["status"], "ready");
        }
        pair.command_service().kill()?;
        pair.event_consumer().kill()?;
        check_failed(command(&["healthcheck"])?.end().await?, "command-service", 3, "nobody listens")?;
        check_failed(consumer(&["healthcheck"])?.end().await?, "event-consumer", 3, "nobody listens")
    })
}

#[test]
fn settings_are_printed_with_their_source_a_line_each() -> Result<()> {
    with_pair(async |pair| {
        let (commands, consumers) = (pair.command_environment(), pair.consumer_environment());
        let programs = [
            (Run::command_service(pair, &["settings"])?, "PARKING__HTTP__PORT", commands),
            (Run::event_consumer(pair, &["settings"])?, "PARKING__CONSUMER__HTTP_PORT", consumers),
        ];

        for (settings, own, environment) in programs {
            let text = settings.clone().end().await?.expect(0)?;
            let objects = settings.and("--json").end().await?.expect(0)?;

            let lines: Vec<&str> = text.text()?.lines().collect();
            let objects: Vec<Value> =
                objects.text()?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            assert_eq!(lines.len(), objects.len());
            for (line, object) in lines.iter().zip(&objects) {
                let (name, value) =
                    (object["name"].as_str(), object["value"].as_str().unwrap_or("[not set]"));
                let said = format!("{} = {value} ", name.context("no name")?);
                ensure!(line.starts_with(&said), "{line} is not {object}");
                let set = environment.iter().any(|(variable, _)| Some(variable.as_str()) == name);
                assert_eq!(object["source"], if set { "environment" } else { "default" }, "{object}");
            }
            ensure!(objects.iter().any(|object| object["name"] == own), "{own} is missing");
        }
        Ok(())
    })
}

#[test]
fn what_the_register_refuses_ends_with_status_1() -> Result<()> {
    with_pair(async |pair| {
        let uuid = pair.client().created("Slot 1").await?.uuid.to_string();
        let cases: [(&[&str], &str); 5] = [
            (&["parking-slot-details", NOWHERE], "no such slot to show"),
            (&["update-parking-slot", NOWHERE, "--name", "x"], "none to change"),
            (&["delete-parking-slot", NOWHERE], "none to delete"),
            (&["update-parking-slot", &uuid, "--name", "x", "--if-version", "2"], "it is at another version"),
            (&["delete-parking-slot", &uuid, "--if-version", "7"], "it is at another version"),
        ];

        for (arguments, reason) in cases {
            check_failed(run(pair, arguments).await?, "command-service", 1, reason)?;
        }
        assert_eq!(assert_level(pair).await?.events.len(), 1, "nothing happened");
        Ok(())
    })
}

#[test]
fn what_cannot_be_understood_ends_with_status_2() -> Result<()> {
    with_pair(async |pair| {
        let long = "x".repeat(201);
        let cases: [&[&str]; 22] = [
            &["create"],
            &["create-parking-slot"],
            &["create-parking-slot", "--name", ""],
            &["create-parking-slot", "--name", " "],
            &["create-parking-slot", "--name", &long],
            &["create-parking-slot", "--name", "a\tb"],
            &["create-parking-slot", "--name", "\u{200b}"],
            &["create-parking-slot", "--name", "a\u{202e}b"],
            &["create-parking-slot", "--name", "x", "--status", "gone"],
            &["create-parking-slot", "--name", "x", "--name", "y"],
            &["parking-slot-list", "--limit", "-1"],
            &["parking-slot-list", "--limit", "0"],
            &["parking-slot-list", "--limit", "1.5"],
            &["replay", "--from", "0"],
            &["parking-slot-list", "--name", ""],
            &["parking-slot-list", "--name", &long],
            &["parking-slot-list", "--status", "all"],
            &["parking-slot-details", "1"],
            &["update-parking-slot", NOWHERE, "--if-version", "0"],
            &["delete-parking-slot"],
            &["import-parking-slots"],
            &["import-parking-slots", "-", "--skip", "x"],
        ];

        for arguments in cases {
            let ended = run(pair, arguments).await?.expect(2).with_context(|| format!("{arguments:?}"))?;

            ensure!(ended.output.is_empty(), "{arguments:?}: messages belong on standard error");
            ensure!(ended.errors.starts_with("error: "), "{arguments:?}: {}", ended.errors);
        }
        let export = run(pair, &["export-parking-slots", "--json"]).await?;
        check_failed(export, "command-service", 2, "rows and an object cannot both be printed")?;
        let replay = run(pair, &["replay", "--from", "5", "--to", "2"]).await?;
        assert_eq!(replay.errors, "command-service: --to must not be less than --from\n");
        check_failed(replay, "command-service", 2, "nothing lies between the two")?;
        let consumer = Run::event_consumer(pair, &["stop"])?.end().await?.expect(2)?;
        ensure!(consumer.output.is_empty(), "messages belong on standard error");
        let command = Run::command_service(pair, &["parking-slot-list"])?.with("REPLICA_DATABASE_URL", None);
        check_failed(command.end().await?, "command-service", 2, "a setting is missing")?;
        let consumer =
            Run::event_consumer(pair, &["migrate"])?.with("REPLICA_DATABASE_URL", Some("mysql://x"));
        check_failed(consumer.end().await?, "event-consumer", 2, "a setting is wrong")?;
        assert_eq!(assert_level(pair).await?.events.len(), 0, "nothing happened");
        Ok(())
    })
}

#[test]
fn a_part_that_is_down_ends_with_status_3() -> Result<()> {
    with_pair(async |pair| {
        let uuid = pair.client().created("Slot 1").await?.uuid.to_string();
        assert_level(pair).await?;
        for link in [&pair.links.command_primary, &pair.links.command_replica, &pair.links.consumer_replica] {
            link.cut().await;
        }
        let cases: [&[&str]; 8] = [
            &["create-parking-slot", "--name", "Slot 2"],
            &["update-parking-slot", &uuid, "--name", "Slot 2"],
            &["delete-parking-slot", &uuid],
            &["import-parking-slots", "-"],
            &["migrate"],
            &["parking-slot-list"],
            &["parking-slot-details", &uuid],
            &["export-parking-slots"],
        ];

        for arguments in cases {
            let ended =
                Run::command_service(pair, arguments)?.fed(b"name,status\nSlot 2,available\n").end().await?;

            check_failed(ended, "command-service", 3, &format!("{arguments:?}"))?;
        }
        let consumer = Run::event_consumer(pair, &["migrate"])?.end().await?;
        check_failed(consumer, "event-consumer", 3, "the replica is down")?;
        pair.links.command_primary.restore()?;
        pair.links.command_replica.restore()?;
        pair.links.consumer_replica.restore()?;
        assert_eq!(assert_level(pair).await?.events.len(), 1, "nothing happened");
        Ok(())
    })
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_quietly() -> Result<()> {
    with_pair(async |pair| {
        // More than a pipe holds.
        let rows: String =
            (1..=3000).map(|number| format!("A name that is rather long {number},available\n")).collect();
        let import = Run::command_service(pair, &["import-parking-slots", "-"])?;
        import.fed(format!("name,status\n{rows}").as_bytes()).end().await?.expect(0)?;
        assert_level(pair).await?;

        for (arguments, line) in
            [(["parking-slot-list"], "{\"uuid\":"), (["export-parking-slots"], "name,status\n")]
        {
            let mut running = Run::command_service(pair, &arguments)?.start_unread()?;
            let first = running.read_line()?;
            let ended = running.end().await?.expect(0).with_context(|| format!("{arguments:?}"))?;

            ensure!(first.starts_with(line), "{arguments:?} printed {first}");
            assert_eq!(ended.errors, "", "{arguments:?}");
        }
        Ok(())
    })
}

#[test]
fn a_command_whose_output_nobody_reads_does_its_work_all_the_same() -> Result<()> {
    with_pair(async |pair| {
        let uuid = pair.client().created("Slot 1").await?.uuid.to_string();
        assert_level(pair).await?;
        let commands: [&[&str]; 9] = [
            &["create-parking-slot", "--name", "Slot 2"],
            &["parking-slot-list"],
            &["parking-slot-details", &uuid],
            &["update-parking-slot", &uuid, "--name", "Slot 3"],
            &["import-parking-slots", "-"],
            &["export-parking-slots"],
            &["delete-parking-slot", &uuid],
            &["migrate"],
            &["settings"],
        ];

        for arguments in commands {
            let run = Run::command_service(pair, arguments)?.fed(b"name,status\nSlot 4,available\n");
            let ended = run.unread().end().await?.expect(0).with_context(|| format!("{arguments:?}"))?;
            assert_eq!(ended.errors, "", "{arguments:?}");
        }
        for argument in ["migrate", "settings"] {
            let ended = Run::event_consumer(pair, &[argument])?.unread().end().await?.expect(0)?;
            assert_eq!(ended.errors, "", "{argument}");
        }
        assert_eq!(assert_level(pair).await?.events.len(), 5, "three creates, a change, and a delete");
        Ok(())
    })
}
