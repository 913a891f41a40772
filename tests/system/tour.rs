//! `cargo stack tour`: what it shows is so, and what it made is gone afterwards, however it ended.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use stack::{
    Part, Shape,
    process::{Process, Signal},
};
use system_tests::{
    CargoStack, RECOVERY, assert_level, blocking,
    cargo_stack::said,
    eventually,
    servers::{Servers, servers},
    terminal::on_terminal,
    with_pair,
};

#[test]
fn the_tour_goes_through_the_flow_and_leaves_nothing() -> Result<()> {
    let stack = CargoStack::up()?;

    let shown = stack.run(&["tour"])?;

    for (number, title) in TITLES.iter().enumerate() {
        assert!(shown.contains(&format!("\n{}. {title}\n", number + 1)), "{title}: {shown}");
    }
    for part in ["If-Match: ", "Idempotency-Key: ", "?receipt=", "command-service verify"] {
        assert!(
            shown.lines().any(|line| line.starts_with("$ ") && line.contains(part)),
            "no {part}: {shown}"
        );
    }
    assert!(shown.contains("\n  \"status\": \"available\",\n"), "JSON is in lines: {shown}");
    assert!(!shown.contains('\x1b'), "no colours where no terminal is: {shown}");
    assert_eq!(prose(&shown).filter(|line| line.chars().count() > 80).count(), 0, "lines are short: {shown}");
    let events = "SELECT string_agg(type || ' ' || version, ', ' ORDER BY position) FROM parking_slot_events";
    assert_eq!(
        stack.sql(Part::Primary, events)?,
        "parking.create 1, parking.update 2, parking.update 3, parking.update 4, parking.create 1, \
         parking.create 1, parking.delete 5, parking.delete 2, parking.delete 2",
        "it did what it shows"
    );
    assert_cleared(&stack)
}

/// The lines that explain the steps: those between a title and the first command.
fn prose(shown: &str) -> impl Iterator<Item = &str> {
    let mut explains = true;
    shown.lines().filter(move |line| {
        let is_title = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        explains = is_title || (explains && !line.starts_with("$ "));
        explains
    })
}

#[test]
fn a_tour_on_a_terminal_has_its_width_and_its_colours() -> Result<()> {
    const COLUMNS: u16 = 50;
    let stack = CargoStack::up()?;
    let line = format!("{} tour --yes", stack.program().display());

    let coloured = on_terminal(COLUMNS, &line, |command| {
        command.envs(stack.environment());
    })?;
    let plain = on_terminal(COLUMNS, &line, |command| {
        command.envs(stack.environment()).env("NO_COLOR", "1");
    })?;

    ensure!(coloured.contains("\n\x1b[1m1. A slot is created\x1b[0m\n"), "{coloured}");
    ensure!(!plain.contains('\x1b'), "{plain}");
    let titles: Vec<String> = (1..).zip(TITLES).map(|(number, title)| format!("{number}. {title}")).collect();
    let own = |line: &&str| !titles.iter().any(|title| title == line);
    let long: Vec<&str> =
        prose(&plain).filter(own).filter(|line| line.chars().count() > usize::from(COLUMNS)).collect();
    ensure!(long.is_empty(), "wider than the terminal: {long:?}");
    let whole = "The answer to a change carries a Write-Receipt. A";
    ensure!(plain.lines().any(|line| line == whole), "lines are as long as can be: {plain}");
    assert_cleared(&stack)
}

#[test]
fn a_tour_that_sees_something_else_says_in_which_step_and_clears_up() -> Result<()> {
    let refuse = |name: &str| {
        let check = format!("ADD CONSTRAINT refused CHECK (name NOT LIKE '% {name}')");
        (format!("ALTER TABLE parking_slots {check}"), "ALTER TABLE parking_slots DROP CONSTRAINT refused")
    };
    let deaf = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN NEW.name := OLD.name; RETURN NEW; END $$;
                CREATE TRIGGER keep BEFORE UPDATE ON parking_slots FOR EACH ROW EXECUTE FUNCTION keep()";
    let frozen = "ALTER TABLE parking_slots ADD CONSTRAINT refused CHECK (status <> 'occupied')";
    let (no_one, no_three) = (refuse("one"), refuse("three"));
    let thaw = no_one.1;
    let cases = [
        (Part::Primary, no_one.0.as_str(), no_one.1, 1, "the create is refused"),
        (Part::REPLICA, deaf, "DROP FUNCTION keep CASCADE", 4, "the edit has no effect"),
        (Part::Primary, frozen, thaw, 6, "the change is refused"),
        (
            Part::Primary,
            no_three.0.as_str(),
            no_three.1,
            9,
            "event-consumer is stopped, and a create is refused",
        ),
    ];
    let stack = CargoStack::up()?;

    for (part, damage, repair, step, reason) in cases {
        stack.sql(part, damage)?;
        let tour = stack.command().arg("tour").output()?;
        stack.sql(part, repair)?;

        let errors = String::from_utf8_lossy(&tour.stderr).into_owned();
        assert_eq!(tour.status.code(), Some(1), "{reason}: {}", said(&tour));
        let place = format!("error: step {step}, \"{}\": ", TITLES[step - 1]);
        assert!(errors.contains(&place), "{reason}: {errors}");
        assert_cleared(&stack).context(reason)?;
    }
    Ok(())
}

#[test]
fn an_interrupted_tour_starts_again_what_it_stopped_and_deletes_its_slots() -> Result<()> {
    let stack = CargoStack::up()?;
    let mut tour = stack.command().arg("tour").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(tour.stdout.take().context("no output")?).lines();
    let stopping = |line: &std::io::Result<String>| {
        line.as_ref().is_ok_and(|line| line == "$ cargo stack stop event-consumer")
    };
    ensure!(lines.any(|line| stopping(&line)), "it never stops event-consumer");

    let process = Process::of(i32::try_from(tour.id())?).context("it has ended")?;
    process.signal(Signal::INT)?;

    lines.by_ref().for_each(drop);
    let mut errors = String::new();
    tour.stderr.take().context("no errors")?.read_to_string(&mut errors)?;
    assert_eq!(tour.wait()?.code(), Some(1), "{errors}");
    assert!(errors.contains("error: interrupted"), "{errors}");
    assert_cleared(&stack)
}

#[test]
fn a_tour_starts_nothing_by_itself() -> Result<()> {
    let stack = CargoStack::up()?;
    stack.run(&["stop", "event-consumer"])?;
    let elsewhere = servers()?.new_directory("nothing")?;

    let without_consumer = stack.command().arg("tour").output()?;
    let without_anything = stack.command().env("STACK_DIRECTORY", &elsewhere).arg("tour").output()?;

    for (tour, advice) in
        [(without_consumer, "cargo stack start event-consumer"), (without_anything, "cargo stack up")]
    {
        assert_eq!(tour.status.code(), Some(1), "{}", said(&tour));
        assert!(String::from_utf8_lossy(&tour.stderr).contains(&format!("`{advice}`")), "{}", said(&tour));
    }
    assert_eq!(stack.status_of(Part::EVENT_CONSUMER)?["state"], "stopped");
    assert_eq!(
        stack.sql(Part::Primary, "SELECT count(*) FROM parking_slot_events")?,
        "0",
        "nothing was done"
    );
    assert!(std::fs::read_dir(elsewhere)?.next().is_none(), "nothing was made");
    Ok(())
}

#[test]
fn what_stands_in_for_curl_does_the_same() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address().get();
        let list = format!("{address}/parking-slots");
        let gone = format!("{list}/{}", uuid::Uuid::nil());
        let virtual_host = format!("{}api/vhosts/%2f?columns=name", pair.broker.broker.management_url());
        let json = ["-H", "Content-Type: application/json", "-d", r#"{"name":"Slot é"}"#];

        for (arguments, status) in [
            ([&["-si", list.as_str()][..], &json].concat(), "201"),
            (vec!["-si", &list], "200"),
            (vec!["-si", "-X", "DELETE", &gone], "404"),
        ] {
            // Both are to see the same list.
            assert_level(pair).await?;
            print_the_same(&arguments, status).await?;
        }
        // The broker now and then misses a virtual host for a moment while others come and go.
        let virtual_host = ["-s", &virtual_host];
        eventually(RECOVERY, "both are told of it", async || print_the_same(&virtual_host, "").await).await
    })
}

/// Curl, and what stands in for it; what they print says `status`.
async fn print_the_same(arguments: &[&str], status: &str) -> Result<()> {
    let [real, own] = both(servers()?, arguments).await?;
    ensure!(shape(&own) == shape(&real), "{arguments:?}: {own} and {real}");
    ensure!(own.contains(status), "{arguments:?}: {own}");
    Ok(())
}

/// What curl prints, and what stands in for it. Where curl is not installed there is nothing to compare.
async fn both(servers: &Servers, arguments: &[&str]) -> Result<[String; 2]> {
    let mut own = Command::new(&servers.binaries.stack);
    own.arg("curl").args(arguments);
    let mut real = Command::new("curl");
    real.args(arguments).env("no_proxy", "*");
    blocking(move || {
        let run = |command: &mut Command| -> std::io::Result<String> {
            Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
        };
        let own = run(&mut own)?;
        let real = match run(&mut real) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => own.clone(),
            real => real?,
        };
        Ok([real, own])
    })
    .await
}

/// The names of the headers, and the bodies without digits: times and uuids differ from call to call.
fn shape(text: &str) -> Vec<String> {
    let letters = |line: &str| line.chars().filter(|one| !one.is_ascii_hexdigit()).collect();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or(("", text));
    let mut shape: Vec<String> =
        head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect();
    shape.sort();
    shape.push(letters(body));
    shape
}

const TITLES: [&str; 12] = [
    "A slot is created",
    "Lists are read from the replica",
    "A receipt makes a read wait for a write",
    "A row of the replica is edited by hand",
    "verify finds the edit",
    "The next change of the slot heals it",
    "If-Match keeps two people from overwriting each other",
    "With an Idempotency-Key, a command sent twice happens once",
    "event-consumer is stopped, and commands go on",
    "event-consumer is started again",
    "The slots are deleted",
    "All is as before",
];

fn assert_cleared(stack: &CargoStack) -> Result<()> {
    stack.level()?;
    for part in [Part::Primary, Part::REPLICA] {
        assert_eq!(
            stack.sql(part, "SELECT count(*) FROM parking_slots")?,
            "0",
            "slots are left on the {part}"
        );
    }
    for part in Shape::default().parts() {
        let status = stack.status_of(part)?;
        assert_eq!((&status["state"], &status["ready"]), (&"running".into(), &true.into()), "{status}");
    }
    Ok(())
}
