//! Verify: says what is different, and what became of it.

mod words;
mod objects;

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use shared::replica_name::ReplicaName;

use self::{objects::as_json, words::described};
use super::{
    exit::CliError,
    output::{print_json, print_text},
};
use crate::{
    relay::publisher::PublishError,
    settings::Settings,
    verify::{
        VerifyRequest,
        error::VerifyError,
        report::{Finding, Report, VerifyProgress},
        side_session::SideError,
        verify,
    },
};

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Side(SideError::Down { dependency, .. }) => Self::down(dependency, &error),
            VerifyError::Side(SideError::Refused { .. }) => Self::Other(error.into()),
            VerifyError::Publish(PublishError::Unroutable) => {
                Self::BadInput("that replica has no queue: start its event-consumer first".to_owned())
            }
            VerifyError::Publish(_) => Self::down("the broker", &error),
            VerifyError::OtherEpoch
            | VerifyError::Ahead { .. }
            | VerifyError::Behind { .. }
            | VerifyError::TooMany
            | VerifyError::Replaced => Self::BadInput(error.to_string()),
        }
    }
}

pub(super) async fn run(
    settings: &Settings,
    repair: bool,
    replica: &ReplicaName,
    wait: Duration,
    json: bool,
) -> Result<(), CliError> {
    let request = VerifyRequest {
        primary: settings.primary_url("verify")?,
        replica: settings.replica_url("verify")?,
        wait,
        repair: match repair {
            true => Some((settings.broker("verify --repair")?, replica)),
            false => None,
        },
    };
    let bar = progress();
    let verified = verify(&request, |done| show(&bar, done)).await;
    bar.finish_and_clear();
    let report = verified?;
    for finding in &report.findings {
        match json {
            true => print_json(&as_json(finding, repair))?,
            false => print_text(&line(finding, repair))?,
        }
    }
    match json {
        true => print_json(&total_as_json(&report))?,
        false => print_text(&total(&report))?,
    }
    match (report.left(), repair) {
        (0, _) => Ok(()),
        (left, true) => Err(CliError::BadInput(format!("not healed: {left}"))),
        (_, false) => {
            Err(CliError::BadInput("it is not right; verify --repair heals what it can".to_owned()))
        }
    }
}

/// A count on a terminal, nothing elsewhere.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    match ProgressStyle::with_template("{spinner} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, done: VerifyProgress) {
    bar.set_message(match done {
        VerifyProgress::Log(position) => format!("log read up to position {position}"),
        VerifyProgress::Slots(slots) => format!("{slots} slots compared"),
    });
    bar.tick();
}

fn total(report: &Report) -> String {
    let Report { slots, from, to, findings } = report;
    let healed = findings.len() - report.left();
    let differences = match (findings.len(), healed) {
        (0, _) => "no differences".to_owned(),
        (1, 0) => "1 difference".to_owned(),
        (found, 0) => format!("{found} differences"),
        (1, _) => "1 difference, healed".to_owned(),
        (found, healed) if found == healed => format!("{found} differences, all healed"),
        (found, healed) => format!("{found} differences, {healed} of them healed"),
    };
    let compared = if *slots == 1 { "1 slot".to_owned() } else { format!("{slots} slots") };
    format!("{compared} compared, at positions {from} to {to}: {differences}")
}

fn total_as_json(report: &Report) -> Value {
    let Report { slots, from, to, findings } = report;
    let healed = findings.len() - report.left();
    json!({ "slots": slots, "from": from, "to": to, "differences": findings.len(), "healed": healed })
}

fn line(finding: &Finding, repaired: bool) -> String {
    let outcome = match (repaired, finding.healed) {
        (false, _) => "",
        (true, true) => "healed: ",
        (true, false) => "not healed: ",
    };
    let kind = finding.difference.kind().as_str();
    format!("{outcome}{kind}: {}", described(&finding.difference))
}
