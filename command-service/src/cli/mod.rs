//! The command line. Every command uses the same write model and queries as HTTP does.
//!
//! | module | holds |
//! |---|---|
//! | `write` | create, update, delete |
//! | `read` | list, details |
//! | `exchange` | import and export of CSV |
//! | `verify` | is the copy right, and make it so |
//! | `operate` | serve, replay, migrate, healthcheck, settings |
//!
//! Data goes to standard output, all else to standard error. Exit status: 0 done, 1 refused, 2 usage, 3 a part is away.

mod write;
mod read;
mod csv;
mod verify;
mod operate;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use shared::{
    position::Position,
    process::{
        settings::{self, LevelFilter},
        telemetry,
    },
    replica_name::ReplicaName,
    slot::{SlotName, SlotStatus, Version},
};
use uuid::Uuid;

use crate::{
    commands::Refusal,
    freshness::gate::Unmet,
    queries::{ReadError, list::Filter},
    register::record::SlotRecord,
    settings::Settings,
};

/// A register of parking slots: takes commands, relays events, answers reads.
#[derive(Debug, Parser)]
#[command(name = "command-service", version)]
pub struct Cli {
    /// A TOML file with settings; the environment overrides it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
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
        /// Wait until the replica has it, and print what is read there
        #[arg(long)]
        wait: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the parking slots of the replica, one JSON object a line
    #[command(alias = "parking_slot_list")]
    ParkingSlotList {
        /// Only those with this status
        #[arg(long, value_parser = parse_status)]
        status: Option<SlotStatus>,
        /// Only those whose name contains this
        #[arg(long, value_parser = parse_name_part)]
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
    /// Change a parking slot
    UpdateParkingSlot {
        /// Which
        uuid: Uuid,
        /// Its new name
        #[arg(long, value_parser = parse_name)]
        name: Option<SlotName>,
        /// Its new status
        #[arg(long, value_parser = parse_status)]
        status: Option<SlotStatus>,
        /// Only if it is at this version
        #[arg(long, value_parser = parse_version)]
        if_version: Option<Version>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove a parking slot
    DeleteParkingSlot {
        /// Which
        uuid: Uuid,
        /// Only if it is at this version
        #[arg(long, value_parser = parse_version)]
        if_version: Option<Version>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Create a parking slot for each row of a CSV file with the header name,status; CRLF, LF and a BOM are fine
    ImportParkingSlots {
        /// The file; - is standard input
        file: PathBuf,
        /// Pass over this many rows: they are in already
        #[arg(long, default_value_t = 0)]
        skip: usize,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the parking slots of the replica as CSV with the header name,status; lines end with LF
    ExportParkingSlots {
        /// The file to write; - is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Print one JSON object when the file is written
        #[arg(long)]
        json: bool,
    },
    /// Send events of the log once more to a replica's queue; what it has already changes nothing
    Replay {
        /// The first position
        #[arg(long, value_parser = parse_position)]
        from: Position,
        /// The last position; without it, everything from there on
        #[arg(long, value_parser = parse_position)]
        to: Option<Position>,
        /// Whose queue
        #[arg(long, default_value_t = ReplicaName::main())]
        replica: ReplicaName,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Compare log, write model, read model and summary, while writes go on
    ///
    /// Exit status 0: no difference is left. What verify finds in the write model or the log, no repair can heal.
    Verify {
        /// Heal the replica: repairs go to its queue, and its event-consumer applies them
        #[arg(long)]
        repair: bool,
        /// Whose queue gets the repairs: that of the replica to which REPLICA_DATABASE_URL leads
        #[arg(long, default_value_t = ReplicaName::main())]
        replica: ReplicaName,
        /// How many milliseconds the replica may take to have everything that is in the log at the beginning
        #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(..=3_600_000))]
        wait_ms: u64,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Bring the primary's schema up to date
    Migrate {
        /// Give the primary a new epoch, as after files were put back from a copy: receipts of before are refused, and
        /// replicas have to be rebuilt
        #[arg(long)]
        new_epoch: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask the running service whether it is ready
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

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no such parking slot")]
    NotFound,
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("{0}")]
    BadInput(String),
    #[error("{0}")]
    Usage(&'static str),
    #[error("{reason}; {imported} of {total} rows are in: go on with --skip {imported}{doubt}")]
    ImportCutOff { reason: String, imported: usize, total: usize, doubt: String, exit_code: u8 },
    #[error("parking slot {uuid} is created, but not yet seen on the replica: {reason}")]
    NotSeen { uuid: Uuid, reason: Unmet },
    #[error("{0} is away")]
    Away(&'static str),
    #[error(transparent)]
    Setting(#[from] settings::SettingError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const AWAY: u8 = 3;

impl CliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusal) => exit_code_of(*refusal),
            Self::ImportCutOff { exit_code, .. } => *exit_code,
            Self::NotSeen { reason: Unmet::DeadLettered | Unmet::ForeignReceipt, .. } => REFUSED,
            Self::NotSeen { .. } | Self::Away(_) => AWAY,
            Self::Setting(_) | Self::Usage(_) => USAGE,
            Self::NotFound | Self::NotReady(_) | Self::BadInput(_) | Self::Output(_) | Self::Other(_) => {
                REFUSED
            }
        }
    }

    /// Whether who read the output has seen enough, as `head` does.
    fn is_end_of_reading(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn exit_code_of(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::PrimaryUnavailable | Refusal::Overloaded | Refusal::OutcomeUnknown => AWAY,
        Refusal::Rejected(_)
        | Refusal::VersionMismatch { .. }
        | Refusal::KeyInUse
        | Refusal::KeyReused
        | Refusal::Internal => REFUSED,
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

fn parse_name(text: &str) -> Result<SlotName, shared::slot::NameError> {
    SlotName::parse(text)
}

fn parse_name_part(text: &str) -> Result<String, &'static str> {
    Filter::name_part(text).ok_or("must be 1 to 200 characters, none of them control")
}

fn parse_status(text: &str) -> Result<SlotStatus, &'static str> {
    SlotStatus::parse(text).ok_or("must be available, reserved, occupied or blocked")
}

fn parse_position(text: &str) -> Result<Position, &'static str> {
    text.parse().ok().and_then(Position::new).ok_or("must be a position: 1 or more")
}

fn parse_version(text: &str) -> Result<Version, &'static str> {
    text.parse().ok().and_then(Version::new).ok_or("must be a version: 1 or more")
}

impl Cli {
    /// Carries the command out; what goes wrong is one line on standard error and the exit status.
    pub async fn run(self) -> ExitCode {
        match self.carry_out().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_end_of_reading() => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("command-service: {error}");
                ExitCode::from(error.exit_code())
            }
        }
    }

    async fn carry_out(self) -> Result<(), CliError> {
        let command = self.command.unwrap_or(Command::Serve);
        // A command that ends says in one line what went wrong; its log would only repeat it.
        let usual_level =
            if matches!(command, Command::Serve) { LevelFilter::INFO } else { LevelFilter::OFF };
        let given = settings::Settings::read(self.config.as_deref(), std::env::vars_os())?;
        let settings = Settings::read(given, usual_level)?;
        telemetry::init(settings.log_format, settings.log_level);
        match command {
            Command::Serve => operate::serve(&settings).await,
            Command::CreateParkingSlot { name, status, wait, json } => {
                write::create(&settings, name, status, wait, json).await
            }
            Command::ParkingSlotList { status, name, limit } => {
                read::list(&settings, status, name, limit).await
            }
            Command::ParkingSlotDetails { uuid, json } => read::details(&settings, uuid, json).await,
            Command::UpdateParkingSlot { uuid, name, status, if_version, json } => {
                write::update(&settings, uuid, name, status, if_version, json).await
            }
            Command::DeleteParkingSlot { uuid, if_version, json } => {
                write::delete(&settings, uuid, if_version, json).await
            }
            Command::ImportParkingSlots { file, skip, json } => {
                csv::import(&settings, &file, skip, json).await
            }
            Command::ExportParkingSlots { file, json } => csv::export(&settings, &file, json).await,
            Command::Replay { from, to, replica, json } => {
                operate::replay(&settings, &replica, from, to, json).await
            }
            Command::Verify { repair, replica, wait_ms, json } => {
                verify::run(&settings, repair, &replica, Duration::from_millis(wait_ms), json).await
            }
            Command::Migrate { new_epoch, json } => {
                operate::migrate_primary(&settings, new_epoch, json).await
            }
            Command::Healthcheck { json } => operate::healthcheck(&settings, json).await,
            Command::Settings { json } => operate::print_settings(&settings, json),
        }
    }
}

fn print_record(record: &SlotRecord, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(record);
    }
    let slot = &record.slot;
    print_text(&format!("uuid:   {}\nname:   {}\nstatus: {}", slot.uuid, slot.name, slot.status))
}

fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    print_text(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
}

/// Unlike `println!`, reports a reader that is gone instead of panicking.
fn print_text(text: &str) -> Result<(), CliError> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
