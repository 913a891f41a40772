//! Dead letters: an operator lists them, retries them after the fix, or discards them.
//!
//! | module | holds |
//! |---|---|
//! | `show` | list, show |
//! | `settle` | retry, discard |
//! | `printable` | text of a message, made safe for a terminal |

mod printable;
mod show;
mod settle;

use clap::Subcommand;

use super::exit::CliError;
use crate::settings::Settings;

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
    /// Print the open dead letters, oldest first
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print one dead letter with its headers and its body
    Show {
        /// The number of the dead letter, which list prints
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Apply dead letters again, by number or all of them
    ///
    /// A letter that fails again stays open, with the new reason beside the old one. Retry at any time and in any order,
    /// also while the consumer runs: a letter that is older than the slot changes nothing.
    #[command(group = clap::ArgGroup::new("letters").args(["ids", "all"]).required(true))]
    Retry {
        /// The numbers of the dead letters, which list prints
        #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
        ids: Vec<i64>,
        /// Retry all open dead letters
        #[arg(long)]
        all: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Give dead letters up for good
    ///
    /// A letter with a position is an event that this replica then never has. The position stays settled, its receipt
    /// counts as applied, and reads no longer count it as missing. A later event of the same slot, a replay of the
    /// position, or command-service verify --repair brings the replica level again. A letter without a position settled
    /// nothing: the consumer asks for the events that it held.
    Discard {
        /// The numbers of the dead letters, which list prints
        #[arg(required = true, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
        ids: Vec<i64>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

impl DeadLetters {
    pub(super) async fn carry_out(self, settings: &Settings) -> Result<(), CliError> {
        match self {
            Self::List { json } => show::list(settings, json).await,
            Self::Show { id, json } => show::show(settings, id, json).await,
            Self::Retry { ids, all, json } => settle::retry_letters(settings, ids, all, json).await,
            Self::Discard { ids, json } => settle::discard(settings, &ids, json).await,
        }
    }
}
