//! The command line.
//!
//! | module | holds |
//! |---|---|
//! | `dead_letters` | list, show, retry, discard |
//! | `rebuild` | rebuild |
//!
//! Data goes to standard output, all else to standard error. Exit status: 0 done, 1 refused, 2 usage, 3 a part is away.

mod dead_letters;
mod rebuild;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use shared::{
    postgres::{
        Fault,
        migration::{MigrateError, migrate},
    },
    process::{
        probe,
        settings::{self, LevelFilter},
        shutdown, telemetry,
    },
};

use self::{
    dead_letters::DeadLetters,
    rebuild::{RebuildArguments, rebuild},
};
use crate::{
    projection::{self, ApplyError, session::OpenError},
    settings::Settings,
    startup::Application,
};

/// Keeps a replica of the register of parking slots.
#[derive(Debug, Parser)]
#[command(name = "event-consumer", version)]
pub struct Cli {
    /// A TOML file with settings; the environment overrides it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Apply events to the replica (the default)
    Run,
    /// Look at what could not be applied, and settle it
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Make the replica anew from the log, beside the old one, which is read until the new one takes its place
    ///
    /// The consumer may run meanwhile, or not. Cut off anywhere, the replica is as it was or whole; what is left is
    /// removed by the next rebuild.
    Rebuild(RebuildArguments),
    /// Bring the replica's schema up to date
    Migrate {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask the running consumer whether it is ready
    Healthcheck {
        /// Print its whole answer, one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the settings in force and where each is from
    Settings {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{0} is away")]
    Away(&'static str),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Setting(#[from] settings::SettingError),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl CliError {
    /// 1 refused, 2 usage, 3 a part is away.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Away(_) => 3,
            Self::Setting(_) => 2,
            Self::NotReady(_) | Self::Refused(_) | Self::Other(_) => 1,
        }
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Connect(_) | OpenError::Lost(_) => Self::Away("the replica"),
            OpenError::Schema(_) => {
                Self::Refused("the replica is not migrated: run event-consumer migrate".to_owned())
            }
        }
    }
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Replica(error) => error.into(),
            ApplyError::Deadline => Self::Away("the replica"),
            ApplyError::ForeignEpoch { .. } => Self::Other(error.into()),
        }
    }
}

impl From<tokio_postgres::Error> for CliError {
    fn from(error: tokio_postgres::Error) -> Self {
        match Fault::of_rollback(&error) {
            Fault::Other if error.as_db_error().is_none() => Self::Away("the replica"),
            Fault::ConnectionLost | Fault::Retryable | Fault::Unable | Fault::Data | Fault::Other => {
                Self::Other(anyhow::Error::from(error).context("the replica refuses now"))
            }
        }
    }
}

impl Cli {
    /// Carries the command out; what goes wrong is one line on standard error and the exit status.
    pub async fn run(self) -> ExitCode {
        match self.carry_out().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("event-consumer: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    }

    async fn carry_out(self) -> Result<(), CliError> {
        let command = self.command.unwrap_or(Subcommands::Run);
        // A command that ends says in one line what went wrong; its log would only repeat it.
        let usual_level =
            if matches!(command, Subcommands::Run) { LevelFilter::INFO } else { LevelFilter::OFF };
        let given = settings::Settings::read(self.config.as_deref(), std::env::vars_os())?;
        let settings = Settings::read(given, usual_level)?;
        telemetry::init(settings.log_format, settings.log_level);
        match command {
            Subcommands::Run => run(&settings).await,
            Subcommands::DeadLetters(command) => command.carry_out(&settings).await,
            Subcommands::Rebuild(arguments) => rebuild(&settings, arguments).await,
            Subcommands::Migrate { json } => migrate_replica(&settings, json).await,
            Subcommands::Healthcheck { json } => healthcheck(&settings, json).await,
            Subcommands::Settings { json } => print_settings(&settings, json),
        }
    }
}

async fn run(settings: &Settings) -> Result<(), CliError> {
    let shutdown = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let application = Application::build(settings, &shutdown)?;
    tracing::info!("Event consumer for parking slot replication is running...");
    tracing::info!(url = %format_args!("http://{}", application.address()), "listening");
    Ok(application.run_until_stopped().await?)
}

async fn migrate_replica(settings: &Settings, json: bool) -> Result<(), CliError> {
    let applied =
        migrate(&settings.replica, projection::migrations()).await.map_err(|error| match error {
            MigrateError::Connect(_) => CliError::Away("the replica"),
            MigrateError::Start(_) | MigrateError::Failed(_) => CliError::Other(error.into()),
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
        Err(_) => Err(CliError::Away("the consumer")),
    }
}

fn print_settings(settings: &Settings, json: bool) -> Result<(), CliError> {
    for setting in &settings.effective {
        if json {
            print_text(&serde_json::to_string(setting).map_err(anyhow::Error::from)?)?;
        } else {
            print_text(&setting.to_string())?;
        }
    }
    Ok(())
}

/// Unlike `println!`, does not panic when who reads the output has seen enough, as `head` does.
fn print_text(text: &str) -> Result<(), CliError> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write").into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
