//! `cargo stack bench`: figures, each with its goal, taken in one run on this machine. What travels to another machine
//! is how figures of one run compare, not the figures.

mod figures;
mod processes;
mod freshness;

use anyhow::{Result, bail};
use system_tests::Shape;

/// A row of the bench: its name, and what runs it.
const ROWS: [&str; 1] = ["freshness"];

fn main() -> Result<()> {
    let only = only()?;
    for row in ROWS.into_iter().filter(|row| only.as_deref().is_none_or(|only| only == *row)) {
        println!("\n== {row}\n");
        // Straight to the servers: a proxy would be measured too.
        let shape = Shape { direct: true, ..Shape::default() };
        match row {
            "freshness" => shape.run(freshness::run)?,
            other => bail!("there is no row {other}"),
        }
    }
    Ok(())
}

/// The row after `--only`. Cargo itself adds `--bench`.
fn only() -> Result<Option<String>> {
    let mut only = None;
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--only", Some(row)) if ROWS.contains(&row.as_str()) => only = Some(row),
            _ => bail!("usage: cargo stack bench [--only {}]", ROWS.join("|")),
        }
    }
    Ok(only)
}
