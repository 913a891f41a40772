//! What the steps of the tour have in common: they show and run a command, and check what it printed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::{files, wait};

use super::{
    line::{Line, Output},
    pace::Pace,
    screen::Screen,
};
use crate::local::{Part, Stack};

/// How long something that follows may take: the replica a few milliseconds, the broker's count of messages 5 s.
const FOLLOW_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// The tour so far.
pub(super) struct Guide<'s> {
    pub(super) stack: &'s Stack,
    pub(super) pace: Pace,
    pub(super) screen: Screen,
    /// What the names of the tour's slots begin with.
    pub(super) label: String,
    /// The slots of the tour, in the order of their creation.
    pub(super) slots: Vec<String>,
    /// Whether the tour has stopped event-consumer and not started it again.
    pub(super) consumer_is_stopped: bool,
}

impl<'s> Guide<'s> {
    pub(super) fn new(stack: &'s Stack, pace: Pace, screen: Screen) -> Result<Self> {
        let label = format!("tour-{}", files::random_hex(4)?);
        Ok(Self { stack, pace, screen, label, slots: Vec::new(), consumer_is_stopped: false })
    }

    /// Shows a command, runs it and shows what it printed, which it returns. The command must succeed.
    pub(super) fn run(&self, line: &Line) -> Result<String> {
        self.run_to(line, 0)
    }

    /// The same for a command that must end with this exit status.
    pub(super) fn run_to(&self, line: &Line, status: i32) -> Result<String> {
        self.pace.check()?;
        self.screen.command(&line.to_string());
        let output = line.run()?;
        self.show(&output);
        check_status(line, &output, status)?;
        Ok(output.text)
    }

    /// Shows a command and runs it until its output is as it should be, which it then shows.
    pub(super) fn run_until(&self, line: &Line, is_right: impl Fn(&str) -> Result<()>) -> Result<()> {
        self.screen.command(&line.to_string());
        let mut last = None;
        let seen = wait::until(FOLLOW_LIMIT, POLL, || {
            self.pace.check()?;
            let output = line.run()?;
            let right = check_status(line, &output, 0).and_then(|()| is_right(&output.text));
            let done = right.is_ok().then_some(());
            last = Some((output, right));
            Ok(done)
        })?;
        let (output, right) = last.context("nothing was run")?;
        self.show(&output);
        match seen {
            Some(()) => Ok(()),
            None => right.with_context(|| format!("`{line}`, after {FOLLOW_LIMIT:?}")),
        }
    }

    fn show(&self, output: &Output) {
        self.screen.output(&output.text);
        self.screen.output(&output.errors);
    }

    /// The address of a path of command-service, for a command.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stack.http_url(Part::CommandService))
    }

    /// The address of a path of the service that reads the replica `main`, which the tour edits.
    pub(super) fn read_url(&self, path: &str) -> String {
        let reader = self.stack.shape().readers().first().copied().unwrap_or(Part::CommandService);
        format!("{}{path}", self.stack.http_url(reader))
    }

    /// The path of the first slot.
    pub(super) fn first_path(&self) -> Result<String> {
        Ok(format!("/parking-slots/{}", self.first()?))
    }

    /// The uuid of the first slot.
    pub(super) fn first(&self) -> Result<&str> {
        self.slots.first().map(String::as_str).context("no slot was created")
    }

    /// Lists the tour's slots until they are exactly these: name, status and version.
    pub(super) fn list_until(&self, expected: &[(&str, &str, u64)]) -> Result<()> {
        self.run_until(&self.list(), |text| self.check_list(text, expected))
    }

    /// Lists the tour's slots once.
    pub(super) fn list_now(&self, expected: &[(&str, &str, u64)]) -> Result<()> {
        let line = self.list();
        let text = self.run(&line)?;
        self.check_list(&text, expected).with_context(|| format!("`{line}`"))
    }

    fn list(&self) -> Line {
        Line::curl(["-s", &self.read_url(&format!("/parking-slots?name={}", self.label))])
    }

    fn check_list(&self, text: &str, expected: &[(&str, &str, u64)]) -> Result<()> {
        let page: Value = serde_json::from_str(text).context("the list is not JSON")?;
        let items = page["items"].as_array().with_context(|| format!("no list: {text}"))?;
        let part = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let seen: Vec<_> = items
            .iter()
            .map(|item| {
                let version = item["version"].as_u64().unwrap_or_default();
                (part(item, "uuid"), part(item, "name"), part(item, "status"), version)
            })
            .collect();
        let due = expected.iter().zip(&self.slots).map(|((name, status, version), uuid)| {
            (uuid.clone(), format!("{} {name}", self.label), (*status).to_owned(), *version)
        });
        let due: Vec<_> = due.collect();
        ensure!(seen == due, "the list should hold {due:?}, but holds {seen:?}");
        Ok(())
    }
}

fn check_status(line: &Line, output: &Output, status: i32) -> Result<()> {
    let errors = output.errors.trim();
    ensure!(output.status == Some(status), "`{line}` should end with status {status}, and did not: {errors}");
    Ok(())
}
