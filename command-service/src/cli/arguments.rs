//! The commands and their arguments. Each comment here is the help of a command or an argument.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Subcommand;
use shared::{
    position::Position,
    replica_name::ReplicaName,
    slot::{SlotName, SlotStatus, Version},
};
use uuid::Uuid;

use super::argument_values::{
    parse_limit, parse_name, parse_name_part, parse_position, parse_status, parse_version,
};
use crate::roles::Roles;

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Answer HTTP requests and relay events; the default without a command
    Serve {
        /// The parts of the service that this process runs: command, query and relay, with commas between them
        ///
        /// A process with the role command carries out commands. One with query answers reads. One with relay sends
        /// events to the broker. A process connects only to what its roles need.
        #[arg(long, default_value_t = Roles::ALL)]
        roles: Roles,
    },
    /// Create a parking slot and print its uuid, name and status
    #[command(alias = "create_parking_slot")]
    CreateParkingSlot {
        /// The slot's name: 1 to 200 characters
        #[arg(long, value_parser = parse_name)]
        name: SlotName,
        /// The slot's status: available, reserved, occupied or blocked
        #[arg(long, default_value = "available", value_parser = parse_status)]
        status: SlotStatus,
        /// Wait up to 30 s until the replica shows the slot, and print what the replica shows
        #[arg(long)]
        wait: bool,
        /// Print one JSON object, with version and times
        #[arg(long)]
        json: bool,
    },
    /// Print the replica's parking slots in the order of their creation, one JSON object a line
    #[command(alias = "parking_slot_list")]
    ParkingSlotList {
        /// Print only slots with this status: available, reserved, occupied or blocked
        #[arg(long, value_parser = parse_status)]
        status: Option<SlotStatus>,
        /// Print only slots whose name contains this text, in upper or lower case
        #[arg(long, value_parser = parse_name_part)]
        name: Option<String>,
        /// Print at most this many slots, 1 or more [default: all]
        #[arg(long, value_parser = parse_limit)]
        limit: Option<NonZeroUsize>,
    },
    /// Print one parking slot of the replica: uuid, name, status and version
    #[command(alias = "parking_slot_details")]
    ParkingSlotDetails {
        /// The slot's uuid
        uuid: Uuid,
        /// Print one JSON object, with times
        #[arg(long)]
        json: bool,
    },
    /// Change a parking slot and print its uuid, name, status and version
    ///
    /// Without --name and --status nothing changes, and the slot is printed as it is.
    UpdateParkingSlot {
        /// The slot's uuid
        uuid: Uuid,
        /// The slot's new name: 1 to 200 characters
        #[arg(long, value_parser = parse_name)]
        name: Option<SlotName>,
        /// The slot's new status: available, reserved, occupied or blocked
        #[arg(long, value_parser = parse_status)]
        status: Option<SlotStatus>,
        /// Change the slot only if it has this version, which parking-slot-details prints [default: any]
        #[arg(long, value_parser = parse_version)]
        if_version: Option<Version>,
        /// Print one JSON object, with times
        #[arg(long)]
        json: bool,
    },
    /// Delete a parking slot
    DeleteParkingSlot {
        /// The slot's uuid
        uuid: Uuid,
        /// Delete the slot only if it has this version, which parking-slot-details prints [default: any]
        #[arg(long, value_parser = parse_version)]
        if_version: Option<Version>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Create a parking slot for each row of a CSV file
    ///
    /// The file has the header name,status and at most 256 MiB. Lines end with LF or CRLF, and a byte order mark is
    /// allowed. The whole file is checked first: one bad line refuses it. Then 1,000 rows at a time go in, all or none.
    /// An import that is cut off prints how many rows are in; --skip continues there.
    ImportParkingSlots {
        /// The file to read; - is standard input
        file: PathBuf,
        /// Skip this many rows, because an earlier import created them
        #[arg(long, default_value_t = 0)]
        skip: usize,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the replica's parking slots to a CSV file
    ///
    /// The file has the header name,status, and its lines end with LF. Names are written as they are, so an import of
    /// the file creates the same names. A spreadsheet may run a name that begins with =, +, - or @ as a formula.
    ExportParkingSlots {
        /// The file to write; - is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Print one JSON object when the file is written; needs a FILE
        #[arg(long)]
        json: bool,
    },
    /// Send events of the log again to the queue of a replica
    ///
    /// The replica ignores events that it has applied already.
    Replay {
        /// The first position to send, 1 or more
        #[arg(long, value_parser = parse_position)]
        from: Position,
        /// The last position to send, not less than --from [default: the end of the log]
        #[arg(long, value_parser = parse_position)]
        to: Option<Position>,
        /// The name of the replica
        #[arg(long, default_value_t = ReplicaName::main())]
        replica: ReplicaName,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Compare the log with the write model, the replica and its summary, while writes go on
    ///
    /// Exit status 0 means that no difference is left. --repair heals the replica only: a fault in the write model or
    /// in the log needs a backup.
    Verify {
        /// Send repairs to the replica's queue, where its event-consumer applies them
        #[arg(long)]
        repair: bool,
        /// The name of the replica that gets the repairs; REPLICA_DATABASE_URL must lead to the same replica
        #[arg(long, default_value_t = ReplicaName::main())]
        replica: ReplicaName,
        /// Wait at most this many milliseconds, up to 3600000, until the replica has the log as it was at the start
        #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(..=3_600_000))]
        wait_ms: u64,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Bring the schema of the primary up to date
    Migrate {
        /// Start a new epoch, which is needed after files of the primary were put back from a copy
        ///
        /// The service then refuses receipts of the former epoch. Rebuild every replica afterwards, with event-consumer
        /// rebuild.
        #[arg(long)]
        new_epoch: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask the service on this machine whether it is ready; wait at most 3 s
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
