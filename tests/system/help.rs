//! The help of both programs: what each command and each argument does, with units and defaults, in plain sentences.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use system_tests::servers::servers;

use crate::prose::{SENTENCE_MAX_WORDS, banned_in, sentences, words};

const EXIT_STATUSES: &str = "\
Exit status:
  0  done
  1  refused, or differences found
  2  wrong usage, or a wrong setting
  3  a dependency is down
";

/// What `--help` prints of a program and of every command in it, by the words of the command line.
fn every_help() -> Result<Vec<(String, String)>> {
    let binaries = &servers()?.binaries;
    let mut found = Vec::new();
    let mut open = vec![
        (binaries.command_service.clone(), vec!["command-service".to_owned()]),
        (binaries.event_consumer.clone(), vec!["event-consumer".to_owned()]),
    ];
    while let Some((program, line)) = open.pop() {
        let output = Command::new(&program).args(&line[1..]).arg("--help").env_clear().output()?;
        ensure!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let commands = text.split("\nCommands:\n").nth(1).map(|rest| rest.split("\n\n").next());
        for command in commands.flatten().unwrap_or_default().lines() {
            let name = command.split_whitespace().next().context("a command has a name")?;
            if name != "help" {
                open.push((program.clone(), [&line[..], &[name.to_owned()]].concat()));
            }
        }
        found.push((line.join(" "), text));
    }
    ensure!(found.len() > 20, "these are not all commands: {found:?}");
    Ok(found)
}

/// The paragraphs of a help: a command's own, one for each command in it, and one for each argument.
fn paragraphs(help: &str) -> Vec<String> {
    let (mut paragraphs, mut is_list) = (vec![String::new()], false);
    for line in help.lines().filter(|line| !line.starts_with("Usage:")) {
        let text = line.trim();
        if text.is_empty() || text.ends_with(':') {
            is_list = text == "Commands:";
            paragraphs.push(String::new());
        } else if is_list || text.starts_with(['-', '<', '[']) {
            // What it is stands behind its name, or on the lines below.
            paragraphs.push(text.split_once("  ").unwrap_or_default().1.trim().to_owned());
        } else if let Some(paragraph) = paragraphs.last_mut() {
            *paragraph = format!("{paragraph} {text}");
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

#[test]
fn the_help_of_both_programs_lists_the_exit_statuses() -> Result<()> {
    let helps = every_help()?;
    for program in ["command-service", "event-consumer"] {
        let (_, help) = helps.iter().find(|(line, _)| line == program).context("no help")?;
        ensure!(help.ends_with(EXIT_STATUSES), "{program}: {help}");
    }
    Ok(())
}

#[test]
fn the_help_says_units_and_defaults() -> Result<()> {
    let cases = [
        ("command-service create-parking-slot", "Wait up to 30 s", "how long --wait waits"),
        ("command-service create-parking-slot", "[default: available]", "the status"),
        ("command-service parking-slot-list", "[default: all]", "the limit"),
        ("command-service update-parking-slot", "[default: any]", "the version"),
        ("command-service import-parking-slots", "at most 256 MiB", "the size of a file"),
        ("command-service import-parking-slots", "[default: 0]", "the rows to skip"),
        ("command-service export-parking-slots", "as a formula", "what a spreadsheet does with a name"),
        ("command-service replay", "[default: the end of the log]", "the last position"),
        ("command-service verify", "milliseconds, up to 3600000", "the wait"),
        ("command-service verify", "[default: 30000]", "the wait"),
        ("command-service healthcheck", "at most 3 s", "the wait"),
        ("event-consumer rebuild", "at most this many seconds, 1 to 86400", "the patience"),
        ("event-consumer rebuild", "[default: 300]", "the patience"),
        ("event-consumer healthcheck", "at most 3 s", "the wait"),
    ];
    let helps = every_help()?;
    for (command, expected, reason) in cases {
        let (_, help) = helps.iter().find(|(line, _)| line == command).context("no help")?;
        ensure!(help.contains(expected), "{command}: {reason}: {help}");
    }
    Ok(())
}

#[test]
fn the_help_is_written_in_short_sentences_without_words_that_have_to_be_decoded() -> Result<()> {
    for (command, help) in every_help()? {
        for paragraph in paragraphs(&help) {
            let banned = banned_in(&paragraph);
            ensure!(banned.is_empty(), "{command}: {banned:?}: {paragraph}");
            for sentence in sentences(&paragraph) {
                ensure!(words(sentence) <= SENTENCE_MAX_WORDS, "{command}: {sentence}");
            }
        }
    }
    Ok(())
}
