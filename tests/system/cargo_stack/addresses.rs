//! Which commands show passwords.

use anyhow::{Result, ensure};
use stack::Part;
use system_tests::{CargoStack, cargo_stack::said, terminal::on_terminal};

#[test]
fn addresses_are_shown_without_passwords_unless_somebody_asks_for_them() -> Result<()> {
    let stack = CargoStack::up()?;
    let mut addresses = Vec::new();
    for part in [Part::Primary, Part::REPLICA, Part::RabbitMq] {
        let status = stack.status_of(part)?;
        for url in [&status["url"], &status["management_url"]] {
            addresses.extend(url.as_str().map(str::to_owned));
        }
    }
    let passwords: Vec<&str> = addresses.iter().filter_map(|url| password(url)).collect();
    ensure!(addresses.len() == 4 && passwords.len() == 4, "`status --json` has them: {addresses:?}");
    let up = ["up", "--detach", "--no-install"];

    let restart = stack.command().args(["restart", "event-consumer"]).output()?;
    let line = format!("{} status", stack.program().display());
    let on_terminal = on_terminal(100, &line, |command| {
        command.envs(stack.environment());
    })?;
    for (shown, reason) in [
        (stack.run(&["status"])?, "status"),
        (stack.run(&up)?, "up"),
        (on_terminal, "status on a terminal"),
        (said(&restart), "restart"),
    ] {
        ensure!(shown.contains("127.0.0.1:"), "{reason} shows no address: {shown}");
        let seen = passwords.iter().find(|password| shown.contains(**password));
        ensure!(seen.is_none(), "{reason} shows a password: {shown}");
    }
    let asked_for = ["--show-passwords"];
    for (shown, reason) in [
        (stack.run(&[&["status"], &asked_for[..]].concat())?, "status"),
        (stack.run(&[&up[..], &asked_for].concat())?, "up"),
    ] {
        let missing = addresses.iter().find(|url| !shown.contains(url.as_str()));
        ensure!(missing.is_none(), "{reason} --show-passwords lacks {missing:?}: {shown}");
    }
    Ok(())
}

fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    Some(rest.split_once('@')?.0.split_once(':')?.1)
}
