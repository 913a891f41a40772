//! What the commands do.

mod up;
mod down;
mod status;
mod control;
mod logs;
mod programs;
mod tour;
mod curl;

use std::process::ExitCode;

use anyhow::Result;
use stack::{
    install::{Permission, find_or_install},
    programs::Wanted,
};

use crate::{cli::Command, local::Home};

/// Runs a command. Its exit code is that of the program that it runs, where it runs one.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Up(arguments) => up::up(&Home::find()?, &arguments),
        Command::Down { wipe } => down::down(&Home::find()?, wipe).map(done),
        Command::Status { json, show_passwords } => {
            status::status(&Home::find()?, json, show_passwords).map(done)
        }
        Command::Start(arguments) => control::start(&Home::find()?, &arguments).map(done),
        Command::Stop { name } => control::stop(&Home::find()?, name).map(done),
        Command::Restart(arguments) => control::restart(&Home::find()?, &arguments).map(done),
        Command::Logs { name, follow } => logs::logs(&Home::find()?, name, follow).map(done),
        Command::Psql { database, arguments } => programs::psql(&Home::find()?, database, arguments),
        Command::Exec { service, arguments } => programs::exec(&Home::find()?, service, arguments),
        Command::Test(arguments) => programs::test(&Home::find()?, arguments),
        Command::Tour { yes } => tour::tour(&Home::find()?, yes).map(done),
        Command::Curl(arguments) => curl::curl(&arguments).map(done),
        Command::Bench { no_install, arguments } => programs::bench(&Home::find()?, no_install, arguments),
        Command::Install => find_or_install(Permission::Ask, Wanted::ServersAndGateway)
            .map(|found| println!("{found:#?}"))
            .map(done),
        Command::TestServers => stack::test_servers::keep().map(done),
    }
}

fn wanted(gateway: bool) -> Wanted {
    if gateway { Wanted::ServersAndGateway } else { Wanted::Servers }
}

fn permission(no_install: bool) -> Permission {
    if no_install { Permission::Never } else { Permission::Ask }
}
