//! Runs the checks one after the other on one project, and prints what cargo's own runner prints.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Result, anyhow};
use system_tests::engine::{Demand, Engine, Project};

/// A check of the running project.
pub(crate) struct Check {
    /// A sentence.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) run: fn(&mut Project) -> Result<()>,
}

/// What cargo passes on: filters, and flags of its own runner, of which these have a meaning here.
#[derive(Default)]
struct Selection {
    list: bool,
    exact: bool,
    ignored: bool,
    filters: Vec<String>,
    skipped: Vec<String>,
}

impl Selection {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        /// Flags with a value in a second argument.
        const WITH_VALUE: [&str; 5] = ["--format", "--test-threads", "--color", "--logfile", "-Z"];
        let mut selection = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => selection.list = true,
                "--exact" => selection.exact = true,
                "--ignored" => selection.ignored = true,
                "--skip" => selection.skipped.extend(arguments.next()),
                flag if WITH_VALUE.contains(&flag) => drop(arguments.next()),
                flag if flag.starts_with('-') => {}
                _ => selection.filters.push(argument),
            }
        }
        selection
    }

    fn has(&self, name: &str) -> bool {
        let matches =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        let wanted = self.filters.is_empty() || self.filters.iter().any(matches);
        wanted && !self.ignored && !self.skipped.iter().any(matches)
    }
}

/// Runs the checks that the arguments of this program select.
pub(crate) fn run(checks: &[Check]) -> ExitCode {
    let selection = Selection::parse(std::env::args().skip(1));
    let selected: Vec<&Check> = checks.iter().filter(|check| selection.has(&shown(check))).collect();
    if selection.list {
        for check in selected {
            println!("{}: test", shown(check));
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", selected.len());
    let (passed, failures) = match Demand::of_this_run() {
        _ if selected.is_empty() => (0, Vec::new()),
        Ok(Demand::Run) => run_on_a_project(&selected),
        Ok(Demand::LeaveOut) => {
            println!("the containers are left out: an engine of their own needs root");
            println!("\ntest result: ok. 0 passed; 0 failed; {} ignored\n", selected.len());
            return ExitCode::SUCCESS;
        }
        Err(error) => (0, vec![("containers".to_owned(), error)]),
    };
    report(passed, &failures)
}

fn shown(check: &Check) -> String {
    format!("containers::{}", check.name)
}

/// How many checks passed, and what went wrong in the others, or before the first.
fn run_on_a_project(checks: &[&Check]) -> (usize, Vec<(String, anyhow::Error)>) {
    let began = Instant::now();
    let mut project = match Engine::start().and_then(Project::new) {
        Ok(project) => project,
        Err(error) => return (0, vec![("containers: the engine".to_owned(), error)]),
    };
    println!("the engine and the base images are there after {:.0} s", began.elapsed().as_secs_f64());
    if let Err(error) = crate::start::start(&mut project) {
        return (0, vec![("containers: the start of the project".to_owned(), error)]);
    }
    let mut failures = Vec::new();
    for check in checks {
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| (check.run)(&mut project)));
        let ended = ended.unwrap_or_else(|_| Err(anyhow!("it panicked; see above")));
        let (verdict, seconds) = (if ended.is_ok() { "ok" } else { "FAILED" }, began.elapsed().as_secs_f64());
        println!("test {} ... {verdict} ({seconds:.1} s)", shown(check));
        failures.extend(ended.err().map(|error| (shown(check), error)));
    }
    (checks.len() - failures.len(), failures)
}

fn report(passed: usize, failures: &[(String, anyhow::Error)]) -> ExitCode {
    if failures.is_empty() {
        println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored\n");
        return ExitCode::SUCCESS;
    }
    println!("\nfailures:\n");
    for (name, error) in failures {
        println!("---- {name} ----\n{error:#}\n");
    }
    println!("\ntest result: FAILED. {passed} passed; {} failed; 0 ignored\n", failures.len());
    ExitCode::FAILURE
}
