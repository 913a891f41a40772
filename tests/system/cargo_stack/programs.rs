//! Commands that run another program: `exec` and `test`.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use stack::{Port, ports};
use system_tests::{CargoStack, cargo_stack::said, servers::servers};

use super::copy_program;

#[test]
fn help_after_the_name_of_a_service_is_that_of_the_service() -> Result<()> {
    let stack = CargoStack::up()?;
    let binaries = &servers()?.binaries;

    for (service, program) in
        [("command-service", &binaries.command_service), ("event-consumer", &binaries.event_consumer)]
    {
        let own = Command::new(program).arg("--help").env_clear().output()?;
        assert_eq!(stack.run(&["exec", service, "--help"])?, String::from_utf8(own.stdout)?, "{service}");
    }
    ensure!(stack.run(&["exec", "--help"])?.contains("cargo stack exec"), "exec has help of its own");
    ensure!(stack.run(&["psql", "replica", "--help"])?.contains("PostgreSQL"), "psql has its own too");
    Ok(())
}

#[test]
fn exec_says_that_nothing_runs_instead_of_building() -> Result<()> {
    let servers = servers()?;
    let directory = servers.new_directory("nothing_runs")?;
    let stack = |arguments: &[&str]| {
        let mut command = Command::new(&servers.binaries.stack);
        // A build would fail with another message.
        command.args(arguments).env("STACK_DIRECTORY", &directory).env("CARGO", "/bin/false");
        command.stdin(Stdio::null()).output()
    };
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut up = vec!["up".to_owned(), "--no-install".to_owned()];
    for port in Port::ALL {
        let number = if port == Port::Http { taken.local_addr()?.port() } else { ports::free()? };
        up.extend([port.flag().to_owned(), number.to_string()]);
    }

    let before = stack(&["exec", "command-service", "settings"])?;
    let failed = stack(&up.iter().map(String::as_str).collect::<Vec<_>>())?;
    let after = stack(&["exec", "command-service", "settings"])?;

    ensure!(String::from_utf8_lossy(&failed.stderr).contains("--http-port"), "{}", said(&failed));
    for (output, reason) in [(before, "nothing was ever started"), (after, "a start has failed")] {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "error: nothing runs here: `cargo stack up` starts it\n", "{reason}");
        assert_eq!(output.status.code(), Some(1), "{reason}");
    }
    Ok(())
}

#[test]
fn a_filter_that_matches_no_test_is_an_error() -> Result<()> {
    let mut command = Command::new(&servers()?.binaries.stack);
    // The programs under test that are built already.
    command.arg("test").args((!cfg!(debug_assertions)).then_some("--release"));
    command.args(["--no-install", "--", "no_test_is_called_like_this", "--nocapture"]);

    let output = command.stdin(Stdio::null()).output()?;

    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        errors.contains("no test matches `no_test_is_called_like_this --nocapture`"),
        "{}",
        said(&output)
    );
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}

#[test]
fn a_filter_that_matches_reaches_the_test_programs() -> Result<()> {
    let servers = servers()?;
    let directory = servers.new_directory("cargo")?;
    let (draft, cargo) = (directory.join("draft"), directory.join("cargo"));
    let script = "#!/bin/sh\ncase \"$*\" in *--list*) echo 'a::something: test' ;; *) echo \"$*\" ;; esac\n";
    fs::write(&draft, script)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    copy_program(&draft, &cargo)?;

    let mut command = Command::new(&servers.binaries.stack);
    command.args(["test", "--no-install", "something", "--nocapture"]).env("CARGO", &cargo);
    let output = command.stdin(Stdio::null()).output()?;

    let ran = String::from_utf8_lossy(&output.stdout);
    assert_eq!(ran, "test --workspace --no-fail-fast -- something --nocapture\n", "{}", said(&output));
    Ok(())
}
