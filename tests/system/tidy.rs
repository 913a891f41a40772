//! Rules of the source that the compiler does not know.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::prose::documents;

const MEMBERS: [&str; 5] = ["shared", "command-service", "event-consumer", "compose", "tests"];

/// Where SQL may stand: the steps that own it, and migrations.
const SQL_PLACES: [&str; 11] = [
    "command-service/src/primary/",
    "command-service/src/write_model/",
    "command-service/src/queries/",
    "command-service/src/freshness/watch.rs",
    "command-service/src/relay/",
    "command-service/src/verify/primary_side.rs",
    "command-service/src/verify/replica_side.rs",
    "event-consumer/src/projection/",
    "event-consumer/src/holes/missing.rs",
    "event-consumer/src/rebuild/copy/",
    "shared/src/postgres/migration/",
];

/// Where lapin may be named: the steps that speak to the broker, and the two that keep what a message came with.
const LAPIN_PLACES: [&str; 6] = [
    "command-service/src/relay/",
    "shared/src/broker/",
    "event-consumer/src/subscription/",
    "event-consumer/src/batch/",
    "event-consumer/src/holes/",
    "event-consumer/src/projection/dead_letters/mod.rs",
];

/// Where connections to PostgreSQL are opened: sessions, whose deadline is their own.
const CONNECTION_PLACES: [&str; 1] = ["shared/src/postgres/"];

const FILE_MAX_LINES: usize = 400;

struct Source {
    path: String,
    text: String,
}

fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout")?;
    Ok(root.to_owned())
}

/// The Rust sources of `members`, with paths from the root of the checkout.
fn sources(members: &[&str]) -> Result<Vec<Source>> {
    let root = root()?;
    let mut directories: Vec<PathBuf> = members.iter().map(|member| root.join(member)).collect();
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                let path = path.strip_prefix(&root)?.to_string_lossy().into_owned();
                sources.push(Source { path, text });
            }
        }
    }
    ensure!(sources.len() >= members.len(), "these are not the sources: {}", root.display());
    Ok(sources)
}

impl Source {
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Its lines without comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    fn lines_with(&self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        let found = self.code().filter(|(_, line)| matches(line));
        found.map(|(number, line)| format!("{}:{number}: {line}", self.path)).collect()
    }
}

/// Whether a line of code holds the beginning of a statement, at its own beginning or at that of a string.
fn holds_sql(line: &str) -> bool {
    const STATEMENTS: [&str; 12] = [
        "SELECT ",
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "WITH ",
        "LISTEN ",
        "NOTIFY ",
        "TRUNCATE ",
        "CREATE ",
        "ALTER ",
        "BEGIN",
        "COMMIT",
    ];
    let begins = |text: &str| {
        STATEMENTS.iter().any(|statement| {
            text.strip_prefix(statement).is_some_and(|rest| statement.ends_with(' ') || rest.starts_with('"'))
        })
    };
    begins(line)
        || line.split('"').skip(1).step_by(2).any(|string| begins(&format!("{}\"", string.trim_start())))
}

#[test]
fn sql_stands_only_in_the_steps_that_own_it() -> Result<()> {
    let sources = sources(&["shared", "command-service", "event-consumer"])?;

    let strays: Vec<String> = sources
        .iter()
        .filter(|source| !source.is_in(&SQL_PLACES))
        .flat_map(|source| source.lines_with(holds_sql))
        .collect();

    assert!(strays.is_empty(), "SQL outside of {SQL_PLACES:?}:\n{}", strays.join("\n"));
    for place in SQL_PLACES {
        let holds =
            |source: &Source| source.is_in(&[place]) && source.code().any(|(_, line)| holds_sql(line));
        assert!(sources.iter().any(holds), "no SQL is seen in {place}: is it looked for in the right way?");
    }
    Ok(())
}

#[test]
fn lapin_is_named_only_where_the_broker_is_spoken_to() -> Result<()> {
    let sources = sources(&["shared", "command-service", "event-consumer"])?;
    let names_lapin = |line: &str| line.contains("lapin::") || line.contains("use lapin");

    let strays: Vec<String> = sources
        .iter()
        .filter(|source| !source.is_in(&LAPIN_PLACES))
        .flat_map(|source| source.lines_with(names_lapin))
        .collect();

    assert!(strays.is_empty(), "lapin outside of {LAPIN_PLACES:?}:\n{}", strays.join("\n"));
    for place in LAPIN_PLACES {
        let names =
            |source: &Source| source.is_in(&[place]) && source.code().any(|(_, line)| names_lapin(line));
        assert!(sources.iter().any(names), "{place} does not need to be an exception");
    }
    Ok(())
}

#[test]
fn nobody_speaks_to_postgresql_without_a_deadline() -> Result<()> {
    let sources = sources(&["shared", "command-service", "event-consumer"])?;
    let words = |line: &str| -> Vec<String> {
        line.split(|one: char| !one.is_alphanumeric()).map(ToOwned::to_owned).collect()
    };
    // What opens a connection, and what is opened.
    let opens = |line: &str| {
        let words = words(line);
        let names = |name: &str| words.iter().any(|word| word == name);
        names("NoTls")
            || names("MakeTlsConnect")
            || (names("postgres") && (names("Client") || names("Config")))
    };

    let strays: Vec<String> = sources
        .iter()
        .filter(|source| !source.is_in(&CONNECTION_PLACES))
        .flat_map(|source| source.lines_with(opens))
        .collect();

    assert!(strays.is_empty(), "connections without a deadline:\n{}", strays.join("\n"));
    for place in CONNECTION_PLACES {
        let names = |source: &Source| source.is_in(&[place]) && source.code().any(|(_, line)| opens(line));
        assert!(sources.iter().any(names), "{place} does not need to be an exception");
    }
    Ok(())
}

#[test]
fn the_rules_of_a_slot_and_the_commands_know_neither_http_nor_broker_nor_sql() -> Result<()> {
    let sources = sources(&["shared", "command-service"])?;
    let pure = ["shared/src/slot/", "command-service/src/commands"];

    for place in pure {
        let own: Vec<&Source> = sources.iter().filter(|source| source.is_in(&[place])).collect();
        ensure!(!own.is_empty(), "there is nothing in {place}");
        for stranger in ["actix", "lapin", "tokio_postgres"] {
            let strays: Vec<String> =
                own.iter().flat_map(|source| source.lines_with(|line| line.contains(stranger))).collect();
            assert!(strays.is_empty(), "{stranger}: {strays:?}");
        }
    }
    Ok(())
}

#[test]
fn no_handler_of_http_reaches_past_its_step() -> Result<()> {
    let sources = sources(&["command-service"])?;
    let handlers: Vec<&Source> =
        sources.iter().filter(|source| source.is_in(&["command-service/src/http/"])).collect();
    ensure!(!handlers.is_empty(), "there are no handlers");

    let strays: Vec<String> = handlers
        .iter()
        .flat_map(|source| {
            source.lines_with(|line| {
                ["relay::", "write_model::", "tokio_postgres"].iter().any(|past| line.contains(past))
            })
        })
        .collect();

    assert!(strays.is_empty(), "handlers parse, ask and answer:\n{}", strays.join("\n"));
    Ok(())
}

#[test]
fn no_file_is_longer_than_can_be_read_at_once() -> Result<()> {
    let long: Vec<String> = sources(&MEMBERS)?
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_MAX_LINES)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path))
        .collect();

    assert!(long.is_empty(), "longer than {FILE_MAX_LINES} lines:\n{}", long.join("\n"));
    Ok(())
}

#[test]
fn no_test_is_named_test_and_none_sleeps_for_a_fixed_time() -> Result<()> {
    let tests = sources(&["tests/system", "tests/containers"])?;

    let named: Vec<String> =
        tests.iter().flat_map(|source| source.lines_with(|line| line.starts_with("fn test_"))).collect();
    let own = |source: &&Source| !source.path.ends_with("tidy.rs");
    let sleeping: Vec<String> = tests
        .iter()
        .filter(own)
        .flat_map(|source| source.lines_with(|line| line.contains("sleep(")))
        .collect();

    assert!(named.is_empty(), "a test's name is a sentence: {named:?}");
    assert!(sleeping.is_empty(), "wait for a condition instead: {sleeping:?}");
    Ok(())
}

#[test]
fn sql_is_told_from_prose() {
    let cases = [
        ("const LOCK: &str = \"SELECT pg_advisory_lock($1)\";", true, "a string"),
        ("SELECT uuid FROM parking_slots", true, "a line of a longer string"),
        ("session.batch_execute(\"COMMIT\")", true, "a statement of one word"),
        ("client.batch_execute(\" LISTEN parking\")", true, "blanks before it"),
        ("\"WITH love\"", true, "prose in capitals cannot be told; nobody writes it"),
        ("let text = \"Select a slot\";", false, "prose"),
        ("Self::Update => \"parking.update\"", false, "an event's type"),
        ("\"COMMITTED\"", false, "a longer word"),
    ];

    for (line, sql, reason) in cases {
        assert_eq!(holds_sql(line), sql, "{line}: {reason}");
    }
}

#[test]
fn every_test_that_the_documents_name_exists() -> Result<()> {
    let root = root()?;
    let tests = sources(&["tests/system", "tests/containers"])?;
    let exists = |module: &str, test: &str| {
        if module == "containers" {
            // Named in the list of its checks, too: the compiler demands the function.
            let list = tests.iter().find(|source| source.path == "tests/containers/main.rs");
            return list.is_some_and(|list| list.text.contains(&format!("name: \"{test}\"")));
        }
        let file = format!("tests/system/{module}.rs");
        let folder = format!("tests/system/{module}/");
        let mut own = tests.iter().filter(|source| source.path == file || source.path.starts_with(&folder));
        own.any(|source| source.text.contains(&format!("fn {test}(")))
    };

    let mut named = 0;
    for document in documents()? {
        // Code in the text: `module::a_sentence`, or `module::file::a_sentence`.
        for path in document.text.split('`').skip(1).step_by(2) {
            let Some((module, path_in_module)) = path.split_once("::") else { continue };
            let test = path_in_module.rsplit("::").next().unwrap_or_default();
            // A step of the flow may have the same name as a module of tests, but no sentence in it.
            if test.matches('_').count() < 3 {
                continue;
            }
            if module != "containers"
                && !root.join(format!("tests/system/{module}.rs")).exists()
                && !root.join(format!("tests/system/{module}")).exists()
            {
                continue;
            }
            named += 1;
            assert!(exists(module, test), "{} names {path}, which is no test", document.path.display());
        }
    }
    ensure!(named > 0, "no test is named: are they looked for in the right way?");
    Ok(())
}
