//! Building the services, so that what runs is what the sources say.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where the programs of the workspace are after a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The program that takes commands and answers reads.
    pub command_service: PathBuf,
    /// The program that maintains the replica.
    pub event_consumer: PathBuf,
    /// This crate's own program, which the tests start to keep their servers.
    pub stack: PathBuf,
}

/// Builds all programs of the checkout that this crate belongs to; what is up to date costs well under a second.
/// Standard error says when it compiles or waits.
pub fn services(release: bool) -> Result<Binaries> {
    let mut built = build(&checkout()?, release, &[])?;
    let stack = take(&mut built, "stack")?;
    binaries(built, stack)
}

/// Builds the services of a checkout for the running `stack` program, which needs no second build of itself.
pub fn services_of(checkout: &Path, release: bool) -> Result<Binaries> {
    binaries(build(checkout, release, &["--exclude", "stack", "--exclude", "launcher"])?, env::current_exe()?)
}

fn build(checkout: &Path, release: bool, options: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut build = cargo();
    // Cargo chooses the features of dependencies by what is built together. With the whole workspace, `up` and
    // `test` share every dependency.
    build.args(["build", "--workspace", "--bins", "--message-format=json-render-diagnostics"]).args(options);
    build.args(release.then_some("--release")).current_dir(checkout);
    let output = launcher::build(&mut build).context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the build failed");
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

fn binaries(mut built: BTreeMap<String, PathBuf>, stack: PathBuf) -> Result<Binaries> {
    let command_service = take(&mut built, "command-service")?;
    Ok(Binaries { command_service, event_consumer: take(&mut built, "event-consumer")?, stack })
}

fn take(built: &mut BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf> {
    built.remove(name).with_context(|| format!("the build made no program `{name}`"))
}

/// The cargo that started this program, or else the one on the PATH.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// The root of the checkout: of the package that cargo runs, else around the current directory, else around this
/// program.
pub fn checkout() -> Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let places = [manifest, env::current_dir().ok(), env::current_exe().ok()];
    let root = places.iter().flatten().flat_map(|place| place.ancestors()).find(|place| is_checkout(place));
    root.context("not in a checkout: run this inside of it").and_then(|root| Ok(root.canonicalize()?))
}

fn is_checkout(place: &Path) -> bool {
    ["compose", "command-service", "event-consumer"]
        .iter()
        .all(|member| place.join(member).join("Cargo.toml").is_file())
}

#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages.filter_map(|message| Some((message.target?.name, message.executable?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_taken_from_what_cargo_reports() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"stack","kind":["bin"]},"executable":"/t/stack"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );

        let found = executables(messages);

        assert_eq!(found, BTreeMap::from([("stack".to_owned(), PathBuf::from("/t/stack"))]));
    }
}
