//! The commands and their arguments.

use std::path::PathBuf;

use clap::Subcommand;
use shared::{
    position::Position,
    replica_name::ReplicaName,
    slot::{NameError, SlotName, SlotStatus, Version},
};
use uuid::Uuid;

use crate::queries::list::Filter;

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
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
    /// Submission the running service whether it is ready
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

fn parse_name(text: &str) -> Result<SlotName, NameError> {
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
