//! What `cargo stack` runs: it builds the `stack` program, says so when that takes time, and becomes that program.
//!
//! Cargo compiles before it runs anything, so a program cannot announce its own compilation. This one has no
//! dependencies and compiles within a second. Its profile has a directory and a lock of its own, so it also runs while
//! another cargo builds.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    match build_and_become_stack() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns only when there is nothing to become.
fn build_and_become_stack() -> io::Result<ExitCode> {
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    build.args(["build", "--package", "stack", "--bin", "stack"]);
    // The current directory stays: a relative CARGO_TARGET_DIR means the same for this cargo as for the first one.
    if let Some(directory) = env::var_os("CARGO_MANIFEST_DIR") {
        build.arg("--manifest-path").arg(PathBuf::from(directory).join("Cargo.toml"));
    }
    if !launcher::build(&mut build)?.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let program = stack_program()?;
    let error = Command::new(&program).args(env::args_os().skip(1)).exec();
    Err(io::Error::new(error.kind(), format!("cannot run {}: {error}", program.display())))
}

/// Each profile has a directory: this program is in `launcher/`, and the built one is beside it in `debug/`.
fn stack_program() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own.parent().and_then(|directory| directory.parent());
    let target = target.ok_or_else(|| io::Error::other("this program is in no target directory"))?;
    Ok(target.join("debug/stack"))
}
