//! The command line. Every command uses the same write model and queries as HTTP does.
//!
//! | module | holds |
//! |---|---|
//! | `exit` | how a command ends |
//! | `output` | data on standard output, messages on standard error |
//! | `argument_values` | the values of arguments |
//! | `arguments` | the commands and their arguments |
//! | `write` | create, update, delete |
//! | `read` | list, details |
//! | `csv` | import and export of CSV |
//! | `verify` | differences between log, write model and replica, and their repair |
//! | `operate` | serve, replay, migrate, healthcheck, settings |
//!
//! Data goes to standard output, all else to standard error. [`exit_status`] lists the exit statuses.

mod exit;
mod output;
mod argument_values;
mod arguments;
mod write;
mod read;
mod csv;
mod verify;
mod operate;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use shared::process::{
    exit_status, runtime,
    settings::{self, LOG_LEVEL, LevelFilter, Service},
    telemetry,
};

use self::{arguments::Subcommands, exit::CliError};
use crate::{roles::Roles, settings::Settings};

/// A register of parking slots: takes commands, relays events, answers reads
#[derive(Debug, Parser)]
#[command(name = "command-service", version, after_help = exit_status::HELP)]
pub struct Cli {
    /// Read settings from this TOML file; variables of the environment override it [default: none]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

impl Cli {
    /// Carries the command out. A failure is one line on standard error and the exit status.
    pub async fn run(self) -> ExitCode {
        match self.carry_out().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_end_of_reading() => ExitCode::SUCCESS,
            Err(error) => {
                runtime::complain(&format!("command-service: {error}"));
                ExitCode::from(error.exit_code())
            }
        }
    }

    async fn carry_out(self) -> Result<(), CliError> {
        let command = self.command.unwrap_or(Subcommands::Serve { roles: Roles::ALL });
        let (settings, effective) =
            settings::load::<Settings>(Service::CommandService, self.config.as_deref())?;
        // A command that ends says in one line what went wrong; its log would only repeat it.
        let logs = matches!(command, Subcommands::Serve { .. }) || settings::is_set(&effective, LOG_LEVEL);
        telemetry::init(settings.log_format, if logs { settings.log_level } else { LevelFilter::OFF });
        match command {
            Subcommands::Serve { roles } => operate::serve(&settings, roles).await,
            Subcommands::CreateParkingSlot { name, status, wait, json } => {
                write::create(&settings, name, status, wait, json).await
            }
            Subcommands::ParkingSlotList { status, name, limit } => {
                read::list(&settings, status, name, limit).await
            }
            Subcommands::ParkingSlotDetails { uuid, json } => read::details(&settings, uuid, json).await,
            Subcommands::UpdateParkingSlot { uuid, name, status, if_version, json } => {
                write::update(&settings, uuid, name, status, if_version, json).await
            }
            Subcommands::DeleteParkingSlot { uuid, if_version, json } => {
                write::delete(&settings, uuid, if_version, json).await
            }
            Subcommands::ImportParkingSlots { file, skip, json } => {
                csv::import(&settings, &file, skip, json).await
            }
            Subcommands::ExportParkingSlots { file, json } => csv::export(&settings, &file, json).await,
            Subcommands::Replay { from, to, replica, json } => {
                operate::replay(&settings, &replica, from, to, json).await
            }
            Subcommands::Verify { repair, replica, wait_ms, json } => {
                verify::run(&settings, repair, &replica, Duration::from_millis(wait_ms), json).await
            }
            Subcommands::Migrate { new_epoch, json } => {
                operate::migrate_primary(&settings, new_epoch, json).await
            }
            Subcommands::Healthcheck { json } => operate::healthcheck(&settings, json).await,
            Subcommands::Settings { json } => operate::print_settings(&effective, json),
        }
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
