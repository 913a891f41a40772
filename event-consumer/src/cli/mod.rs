//! The command line.
//!
//! | module | holds |
//! |---|---|
//! | `exit` | how a command ends |
//! | `output` | data on standard output, messages on standard error |
//! | `dead_letters` | list, show, retry, discard |
//! | `rebuild` | rebuild |
//!
//! Data goes to standard output, all else to standard error. [`exit_status`] lists the exit statuses.

mod exit;
mod output;
mod dead_letters;
mod rebuild;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use shared::{
    broker::signing::UNSIGNED_MESSAGES,
    postgres::migration::{Tables, migrate},
    process::{
        exit_status, probe, runtime,
        settings::{self, Effective, LOG_LEVEL, LevelFilter, Service},
        shutdown, telemetry,
    },
};

use self::{
    dead_letters::DeadLetters,
    exit::CliError,
    output::{print_message, print_text},
    rebuild::{RebuildArguments, rebuild},
};
use crate::{projection, settings::Settings, startup::Application};

/// Keeps a replica of the register of parking slots
#[derive(Debug, Parser)]
#[command(name = "event-consumer", version, after_help = exit_status::HELP)]
pub struct Cli {
    /// Read settings from this TOML file; variables of the environment override it [default: none]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Apply events to the replica; the default without a command
    Run,
    /// List, show, retry or discard what the replica could not apply
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Make the replica again from the log, beside the old one, which answers reads until the new one is level
    ///
    /// The consumer may run at the same time. However the rebuild ends, the replica is as it was, or new and whole. The
    /// next rebuild removes what is left of this one.
    Rebuild(RebuildArguments),
    /// Bring the schema of the replica up to date
    Migrate {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask the consumer on this machine whether it is ready; wait at most 3 s
    Healthcheck {
        /// Print the whole answer, one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print every setting with its value and its source; secrets are hidden
    Settings {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

impl Cli {
    /// Runs the command. A failure prints one line on standard error and sets the exit status.
    pub async fn run(self) -> ExitCode {
        match self.carry_out().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                runtime::complain(&format!("event-consumer: {error}"));
                ExitCode::from(error.exit_code())
            }
        }
    }

    async fn carry_out(self) -> Result<(), CliError> {
        let command = self.command.unwrap_or(Subcommands::Run);
        let (settings, effective) =
            settings::load::<Settings>(Service::EventConsumer, self.config.as_deref())?;
        // A short command prints its failure in one line; its log would only repeat it.
        let logs = matches!(command, Subcommands::Run) || settings::is_set(&effective, LOG_LEVEL);
        telemetry::init(settings.log_format, if logs { settings.log_level } else { LevelFilter::OFF });
        match command {
            Subcommands::Run => run(&settings).await,
            Subcommands::DeadLetters(command) => command.carry_out(&settings).await,
            Subcommands::Rebuild(arguments) => rebuild(&settings, arguments).await,
            Subcommands::Migrate { json } => migrate_replica(&settings, json).await,
            Subcommands::Healthcheck { json } => healthcheck(&settings, json).await,
            Subcommands::Settings { json } => print_settings(&effective, json),
        }
    }
}

async fn run(settings: &Settings) -> Result<(), CliError> {
    let broker = settings.broker()?;
    let are_messages_signed = broker.keys.are_set();
    let shutdown = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let application = Application::build(settings, broker, &shutdown)?;
    tracing::info!("Event consumer for parking slot replication is running...");
    if !are_messages_signed {
        tracing::warn!("{UNSIGNED_MESSAGES}");
    }
    tracing::info!(url = %format_args!("http://{}", application.address()), "listening");
    Ok(application.run_until_stopped().await?)
}

async fn migrate_replica(settings: &Settings, json: bool) -> Result<(), CliError> {
    let migrating = migrate(&settings.replica, projection::migrations(), Tables::InUse, &print_message);
    let applied = migrating.await.map_err(|error| match error.is_down() {
        true => CliError::down("the replica", &error),
        false => CliError::Other(error.into()),
    })?;
    if json {
        return print_text(&serde_json::json!({ "migrations_applied": applied }).to_string());
    }
    print_text(&format!("the replica's schema is up to date; migrations applied now: {applied}"))
}

async fn healthcheck(settings: &Settings, json: bool) -> Result<(), CliError> {
    match probe::get(settings.bind, settings.port, "/readyz").await {
        Ok((true, body)) if json => print_text(&body),
        Ok((true, body)) => print_text(&probe::status_in(&body)),
        Ok((false, body)) => Err(CliError::NotReady(body)),
        Err(error) => Err(CliError::down("the consumer", &error)),
    }
}

fn print_settings(effective: &[Effective], json: bool) -> Result<(), CliError> {
    for setting in effective {
        if json {
            print_text(&serde_json::to_string(setting).map_err(anyhow::Error::from)?)?;
        } else {
            print_text(&setting.to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
