//! The command line. Every command uses the same write model and queries as HTTP does.

use std::{io::Write, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use serde_json::json;
use shared::{
    migration::{MigrateError, migrate},
    parts::Part,
    probe,
    settings::{self, LevelFilter},
    shutdown,
    slot::{Command, CreateSlot, NameError, SlotName, SlotStatus},
    telemetry,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    commands::{Ask, Commands, Outcome, Refusal, Request},
    queries::{
        ReadError, Replica,
        cursor::Cursor,
        list::{Filter, LIMIT_MAX},
    },
    record::SlotRecord,
    settings::Settings,
    startup::Application,
    write_model::{self, committer::Committer},
};

/// A register of parking slots: takes commands, relays events, answers reads.
#[derive(Debug, Parser)]
#[command(name = "command-service", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve HTTP and relay events (the default)
    Serve,
    /// Create a parking slot
    #[command(alias = "create_parking_slot")]
    CreateParkingSlot {
        /// Its name: 1 to 200 characters
        #[arg(long, value_parser = parse_name)]
        name: SlotName,
        /// available, reserved, occupied or blocked
        #[arg(long, default_value = "available", value_parser = parse_status)]
        status: SlotStatus,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print every parking slot of the replica, one JSON object a line
    #[command(alias = "parking_slot_list")]
    ParkingSlotList {
        /// Only those with this status
        #[arg(long, value_parser = parse_status)]
        status: Option<SlotStatus>,
        /// Only those whose name contains this
        #[arg(long)]
        name: Option<String>,
        /// At most this many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Print one parking slot of the replica
    #[command(alias = "parking_slot_details")]
    ParkingSlotDetails {
        /// Which
        uuid: Uuid,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Bring the primary's schema up to date
    Migrate,
    /// Ask the running service whether it is ready
    Healthcheck,
}

/// Why a command ended without having done its work. The exit status tells users apart what to do.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Refused(Refusal),
    #[error("there is no such parking slot")]
    NotFound,
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
            Self::Refused(Refusal::PrimaryUnavailable | Refusal::Overloaded | Refusal::OutcomeUnknown)
            | Self::Away(_) => 3,
            Self::Setting(_) => 2,
            Self::Refused(_) | Self::NotFound | Self::NotReady(_) | Self::Other(_) => 1,
        }
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Away(_) => Self::Away("the replica"),
            ReadError::Sql(error) => Self::Other(error.into()),
        }
    }
}

fn parse_name(text: &str) -> Result<SlotName, NameError> {
    SlotName::parse(text)
}

fn parse_status(text: &str) -> Result<SlotStatus, &'static str> {
    SlotStatus::parse(text).ok_or("must be available, reserved, occupied or blocked")
}

impl Cli {
    /// Carries the command out; what goes wrong is one line on standard error and the exit status.
    pub async fn run(self) -> ExitCode {
        match self.carry_out().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("command-service: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    }

    async fn carry_out(self) -> Result<(), CliError> {
        let settings = Settings::read(settings::Settings::from_environment()?)?;
        let command = self.command.unwrap_or(Subcommands::Serve);
        // A command that ends says in one line what went wrong; its log would only repeat it.
        let usual_level =
            if matches!(command, Subcommands::Serve) { LevelFilter::INFO } else { LevelFilter::OFF };
        telemetry::init(settings.log_format, settings.log_level.unwrap_or(usual_level));
        match command {
            Subcommands::Serve => serve(&settings).await,
            Subcommands::CreateParkingSlot { name, status, json } => {
                create(&settings, name, status, json).await
            }
            Subcommands::ParkingSlotList { status, name, limit } => {
                list(&settings, Filter { status, name_contains: name }, limit.unwrap_or(usize::MAX)).await
            }
            Subcommands::ParkingSlotDetails { uuid, json } => details(&settings, uuid, json).await,
            Subcommands::Migrate => migrate_primary(&settings).await,
            Subcommands::Healthcheck => healthcheck(&settings).await,
        }
    }
}

async fn serve(settings: &Settings) -> Result<(), CliError> {
    let shutdown = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let application = Application::build(settings, &shutdown)?;
    tracing::info!(url = %format_args!("http://{}", application.address()), "listening");
    Ok(application.run_until_stopped().await?)
}

async fn create(settings: &Settings, name: SlotName, status: SlotStatus, json: bool) -> Result<(), CliError> {
    let (commands, submissions) = Commands::channel(1, settings.command_deadline);
    let committer =
        Committer::new(settings.primary.clone(), Part::new("primary"), submissions, Arc::new(Notify::new()));
    let committer = tokio::spawn(committer.run());
    let command = Command::Create(CreateSlot { uuid: Uuid::now_v7(), name, status });
    let ask = Ask { request: Request::One(command), traceparent: None };
    let answer = commands.execute(ask).await.answer;
    drop(commands);
    committer.await.map_err(anyhow::Error::from)?;
    match answer.map_err(CliError::Refused)? {
        Outcome::Stands { record, .. } => print_record(&record, json),
        Outcome::AllStand { .. } | Outcome::Removed { .. } => Ok(()),
    }
}

async fn list(settings: &Settings, filter: Filter, limit: usize) -> Result<(), CliError> {
    let replica = replica(settings)?;
    let mut cursor = Some(Cursor::START);
    let mut left = limit;
    while let (Some(from), 1..) = (cursor, left) {
        let page = replica.list(&filter, from, LIMIT_MAX).await?.found;
        for record in page.items.iter().take(left) {
            let slot = &record.slot;
            print_line(&json!({
                "uuid": slot.uuid,
                "name": slot.name.as_str(),
                "status": slot.status.as_str(),
                "version": slot.version.get(),
            }))?;
        }
        left = left.saturating_sub(page.items.len());
        cursor = page.next;
    }
    Ok(())
}

async fn details(settings: &Settings, uuid: Uuid, json: bool) -> Result<(), CliError> {
    let record = replica(settings)?.slot(uuid).await?.found.ok_or(CliError::NotFound)?;
    print_record(&record, json)
}

async fn migrate_primary(settings: &Settings) -> Result<(), CliError> {
    let applied =
        migrate(&settings.primary, write_model::migrations()).await.map_err(|error| match error {
            MigrateError::Connect(_) => CliError::Away("the primary"),
            MigrateError::Start(_) | MigrateError::Failed(_) => CliError::Other(error.into()),
        })?;
    print_text(&format!("the primary's schema is up to date; migrations applied now: {applied}"))
}

async fn healthcheck(settings: &Settings) -> Result<(), CliError> {
    let host = if settings.http.bind.is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        settings.http.bind.to_string()
    };
    match probe::get(&host, settings.http.port, "/readyz").await {
        Ok((true, body)) => print_text(&body),
        Ok((false, body)) => Err(CliError::NotReady(body)),
        Err(_) => Err(CliError::Away("the service")),
    }
}

fn replica(settings: &Settings) -> Result<Replica, CliError> {
    Ok(Replica::new(&settings.replica, Part::new("replica")).map_err(anyhow::Error::from)?)
}

fn print_record(record: &SlotRecord, json: bool) -> Result<(), CliError> {
    if json {
        return print_line(record);
    }
    let slot = &record.slot;
    print_text(&format!("uuid:   {}\nname:   {}\nstatus: {}", slot.uuid, slot.name, slot.status))
}

fn print_line(value: &impl serde::Serialize) -> Result<(), CliError> {
    print_text(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
}

/// Unlike `println!`, reports a reader that is gone instead of panicking.
fn print_text(text: &str) -> Result<(), CliError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}").map_err(anyhow::Error::from)?)
}
