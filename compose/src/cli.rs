//! The command line.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use stack::part::UnknownPart;

use crate::local::{Part, PortFlags, ShapeFlags};

/// A private primary, replica and broker of this checkout, with both services on top.
#[derive(Debug, Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts everything, waits until all parts are up, and stops it at Ctrl-C.
    Up(Up),
    /// Stops everything: services, then broker, then databases.
    Down {
        /// Also removes all data, and forgets ports and shape.
        #[arg(long)]
        wipe: bool,
    },
    /// Says what runs, where, and how far the replica is.
    Status {
        /// As JSON, for programs: addresses are ready to use, passwords included.
        #[arg(long)]
        json: bool,
        /// Shows addresses with their passwords. Without it they are left out, on a terminal and elsewhere.
        #[arg(long)]
        show_passwords: bool,
    },
    /// Starts one part, however it ended before.
    Start(Start),
    /// Stops one part.
    Stop {
        /// The part, by its name in `status`.
        name: Part,
    },
    /// Stops one part and starts it again.
    Restart(Start),
    /// Shows what the parts have logged.
    Logs {
        /// The part whose log is shown; all of them without a name.
        name: Option<Part>,
        /// Goes on with new lines until Ctrl-C.
        #[arg(long, short)]
        follow: bool,
    },
    /// Opens a database, as the role that owns it.
    Psql {
        /// The database: primary, replica, replica-2 and so on.
        #[arg(value_parser = database)]
        database: Part,
        /// Arguments of psql, `--help` included.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs a service's program with the settings of the running stack, in the current directory.
    Exec {
        /// The service: command-service, event-consumer, and those of a larger shape, such as event-consumer-2.
        #[arg(value_parser = service)]
        service: Part,
        /// Arguments of the program, `--help` included.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs every test of the workspace, against private servers of its own.
    Test(Test),
    /// Walks through the running stack: shows commands, runs them, and checks what they print.
    Tour {
        /// Goes on without waiting for Enter.
        #[arg(long, short)]
        yes: bool,
    },
    /// Does what the tour's curl lines ask where curl is not installed.
    #[command(hide = true)]
    Curl(Curl),
    /// Measures optimized programs, against private servers of its own, and prints each figure beside its goal.
    Bench {
        /// Installs nothing.
        #[arg(long)]
        no_install: bool,
        /// Arguments of the benchmark; `cargo stack bench -- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Installs what is missing, and nothing else.
    #[command(hide = true)]
    Install,
    /// Starts servers for a test run and ends them when standard input ends.
    #[command(hide = true)]
    TestServers,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Returns once everything is up.
    #[arg(long, short)]
    pub(crate) detach: bool,
    /// Builds the services optimized.
    #[arg(long)]
    pub(crate) release: bool,
    /// Installs nothing.
    #[arg(long)]
    pub(crate) no_install: bool,
    /// Shows addresses with their passwords. Without it they are left out, on a terminal and elsewhere.
    #[arg(long)]
    pub(crate) show_passwords: bool,
    #[command(flatten)]
    pub(crate) shape: ShapeFlags,
    #[command(flatten)]
    pub(crate) ports: PortFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The part, by its name in `status`.
    pub(crate) name: Part,
    /// Builds the service optimized.
    #[arg(long)]
    pub(crate) release: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Tests optimized programs.
    #[arg(long)]
    pub(crate) release: bool,
    /// Installs nothing.
    #[arg(long)]
    pub(crate) no_install: bool,
    /// Part of a test's name, or flags of the test programs. It is an error when no test has such a name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) filter: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Curl {
    /// Without progress; there is none.
    #[arg(short = 's')]
    pub(crate) silent: bool,
    /// With the status line and the headers.
    #[arg(short = 'i')]
    pub(crate) include: bool,
    #[arg(short = 'X')]
    pub(crate) method: Option<String>,
    #[arg(short = 'H')]
    pub(crate) headers: Vec<String>,
    #[arg(short = 'd')]
    pub(crate) data: Option<String>,
    pub(crate) url: String,
}

fn database(name: &str) -> Result<Part, String> {
    let part: Part = name.parse().map_err(|unknown: UnknownPart| unknown.to_string())?;
    part.database().map(|_| part).ok_or_else(|| format!("{part} is no database"))
}

fn service(name: &str) -> Result<Part, String> {
    let part: Part = name.parse().map_err(|unknown: UnknownPart| unknown.to_string())?;
    part.is_service().then_some(part).ok_or_else(|| format!("{part} runs no program of this checkout"))
}

/// What was typed, as clap has to see it. `cargo stack -- up` is `cargo stack up`. What follows `exec NAME` and
/// `psql NAME` belongs to that program, `--help` included, so a `--` goes before it.
pub(crate) fn normalized(typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const RUNS_A_PROGRAM: [&str; 2] = ["exec", "psql"];
    const ITS_ARGUMENTS: usize = 3;
    let is_dashes = |argument: &OsString| argument == "--";
    let mut arguments: Vec<OsString> = typed.collect();
    if arguments.get(1).is_some_and(is_dashes) {
        arguments.remove(1);
    }
    let runs_a_program =
        arguments.get(1).is_some_and(|command| RUNS_A_PROGRAM.iter().any(|known| command == known));
    let has_a_name = arguments.get(2).is_some_and(|name| !name.to_string_lossy().starts_with('-'));
    if runs_a_program && has_a_name && arguments.get(ITS_ARGUMENTS).is_some_and(|first| !is_dashes(first)) {
        arguments.insert(ITS_ARGUMENTS, "--".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Command {
        let words = line.split_whitespace().map(OsString::from);
        let arguments = normalized(std::iter::once(OsString::from("stack")).chain(words));
        Arguments::try_parse_from(arguments).expect(line).command
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn extra_dashes_before_arguments_change_nothing() {
        for (line, reason) in [
            ("psql replica -c SELECT", "plainly"),
            ("psql replica -- -c SELECT", "before psql's arguments"),
            ("-- psql replica -c SELECT", "before the command"),
            ("-- psql replica -- -c SELECT", "before both"),
        ] {
            let Command::Psql { database, arguments } = parse(line) else { panic!("{line}") };
            assert_eq!(
                (database, arguments),
                (Part::REPLICA, vec!["-c".into(), "SELECT".into()]),
                "{reason}"
            );
        }
    }

    #[test]
    fn only_databases_are_opened_and_only_services_run_a_program() {
        let parses = |line: &str| {
            let words = ["stack"].into_iter().chain(line.split_whitespace()).map(OsString::from);
            Arguments::try_parse_from(normalized(words)).is_ok()
        };
        for (line, is_right) in [
            ("psql replica-2", true),
            ("psql rabbitmq", false),
            ("exec event-consumer-2 rebuild", true),
            ("exec query-1 parking-slot-list", true),
            ("exec gateway", false),
            ("start gateway", true),
            ("start nonsense", false),
            ("up --query 8 --replicas 8 --gateway", true),
            ("up --query 0", false),
            ("up --replicas 9", false),
        ] {
            assert_eq!(parses(line), is_right, "{line}");
        }
    }

    #[test]
    fn what_follows_the_service_is_its_own() {
        let Command::Exec { arguments, .. } =
            parse("exec command-service create-parking-slot --name x --help")
        else {
            panic!("not exec");
        };

        assert_eq!(arguments, ["create-parking-slot", "--name", "x", "--help"].map(OsString::from));
        let Command::Exec { arguments, .. } = parse("exec event-consumer --help") else { panic!("not exec") };
        assert_eq!(arguments, ["--help"].map(OsString::from));
    }

    #[test]
    fn a_filter_reaches_the_test_programs() {
        let Command::Test(test) = parse("test --release -- some_name --nocapture") else {
            panic!("not test")
        };

        assert!(test.release);
        assert_eq!(test.filter, ["some_name", "--nocapture"].map(OsString::from));
    }
}
