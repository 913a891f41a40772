//! The command line.

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use shared::{
    migration::{MigrateError, migrate},
    probe,
    settings::{self, LevelFilter},
    shutdown, telemetry,
};

use crate::{projection, settings::Settings, startup::Application};

/// Keeps a replica of the register of parking slots.
#[derive(Debug, Parser)]
#[command(name = "event-consumer", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Apply events to the replica (the default)
    Run,
    /// Bring the replica's schema up to date
    Migrate,
    /// Ask the running consumer whether it is ready
    Healthcheck,
}

#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{0} is away")]
    Away(&'static str),
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
            Self::NotReady(_) | Self::Other(_) => 1,
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
        let settings = Settings::read(settings::Settings::from_environment()?)?;
        let command = self.command.unwrap_or(Subcommands::Run);
        // A command that ends says in one line what went wrong; its log would only repeat it.
        let usual_level =
            if matches!(command, Subcommands::Run) { LevelFilter::INFO } else { LevelFilter::OFF };
        telemetry::init(settings.log_format, settings.log_level.unwrap_or(usual_level));
        match command {
            Subcommands::Run => run(&settings).await,
            Subcommands::Migrate => migrate_replica(&settings).await,
            Subcommands::Healthcheck => healthcheck(&settings).await,
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

async fn migrate_replica(settings: &Settings) -> Result<(), CliError> {
    let applied =
        migrate(&settings.replica, projection::migrations()).await.map_err(|error| match error {
            MigrateError::Connect(_) => CliError::Away("the replica"),
            MigrateError::Start(_) | MigrateError::Failed(_) => CliError::Other(error.into()),
        })?;
    print_text(&format!("the replica's schema is up to date; migrations applied now: {applied}"))
}

async fn healthcheck(settings: &Settings) -> Result<(), CliError> {
    let host =
        if settings.bind.is_unspecified() { "127.0.0.1".to_owned() } else { settings.bind.to_string() };
    match probe::get(&host, settings.port, "/readyz").await {
        Ok((true, body)) => print_text(&body),
        Ok((false, body)) => Err(CliError::NotReady(body)),
        Err(_) => Err(CliError::Away("the consumer")),
    }
}

/// Unlike `println!`, reports a reader that is gone instead of panicking.
fn print_text(text: &str) -> Result<(), CliError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}").map_err(anyhow::Error::from)?)
}
