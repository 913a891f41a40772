//! `cargo stack bench`: figures, each beside its peer's or its goal, taken in one run on this machine. What travels to
//! another machine is how figures of one run compare, not the figures.

mod figures;
mod contest;
mod latency;
mod processes;
mod machine;
mod wrk;
mod pgbench;
mod register;
mod freshness;
mod reads;
mod search;

use std::{fs, path::PathBuf};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde_json::json;
use system_tests::Shape;

use crate::{contest::HEAD, latency::LATENCY_HEAD};

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// What it costs a read to demand more than the replica's present state.
    Freshness,
    /// Reads over HTTP beside the same queries by pgbench.
    Reads,
    /// Reads with a filter, and what their indexes cost.
    Search,
}

/// Measures optimized programs against private servers.
#[derive(Debug, Parser)]
#[command(name = "cargo stack bench", bin_name = "cargo stack bench")]
struct Arguments {
    /// Only this row.
    #[arg(long)]
    only: Option<Row>,
    /// Writes the table to this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each side is measured, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The number of slots in the register.
    #[arg(long, default_value_t = 100_000)]
    slots: usize,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    machine::describe()?;
    let (mut contests, mut latencies) = (Vec::new(), Vec::new());
    for row in Row::value_variants().iter().filter(|row| arguments.only.is_none_or(|only| only == **row)) {
        println!("\n== {}\n", row.to_possible_value().expect("no variant is skipped").get_name());
        // Straight to the servers: a proxy would be measured too.
        let shape = Shape { direct: true, ..Shape::default() };
        match row {
            Row::Freshness => shape.run(freshness::run)?,
            Row::Reads => shape.run(async |pair| {
                contests.extend(reads::run(pair, &arguments).await?);
                Ok(())
            })?,
            Row::Search => shape.run(async |pair| {
                let (apply, rows) = search::run(pair, &arguments).await?;
                contests.push(apply);
                latencies.extend(rows);
                Ok(())
            })?,
        }
    }
    if !contests.is_empty() {
        println!("\n{HEAD}");
        contests.iter().for_each(|contest| println!("{contest}"));
    }
    if !latencies.is_empty() {
        println!("\n{LATENCY_HEAD}");
        latencies.iter().for_each(|latency| println!("{latency}"));
    }
    if let Some(file) = &arguments.json {
        let table = json!({ "contests": contests, "latencies": latencies });
        fs::write(file, serde_json::to_vec_pretty(&table)?)?;
    }
    Ok(())
}
