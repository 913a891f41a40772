//! The images start the same as `cargo stack` does: the same parts, ports, roles and settings. What a Docker engine
//! would read is read here without one; `tests/containers/` runs the project on an engine.

mod compose_file;
mod gateway;
mod dockerfile;
mod provision;
mod differences;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::Part;
use system_tests::{
    engine::profile::{FURTHER, SCALED},
    servers::servers,
};

use self::{
    compose_file::{Compose, target},
    dockerfile::Dockerfile,
};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

#[test]
fn the_compose_file_starts_what_cargo_stack_starts() -> Result<()> {
    let compose = Compose::parse(&read("compose/cqrs.yml")?)?;

    compose.check()
}

#[test]
fn the_dockerfile_has_a_target_for_each_service() -> Result<()> {
    let dockerfile = Dockerfile::parse(&read("compose/Dockerfile")?)?;

    dockerfile.check(&read("rust-toolchain.toml")?)?;
    dockerfile::check_context(&read(".dockerignore")?, &read("Cargo.toml")?)
}

#[test]
fn the_services_accept_what_their_images_tell_them() -> Result<()> {
    let compose = Compose::parse(&read("compose/cqrs.yml")?)?;
    let dockerfile = Dockerfile::parse(&read("compose/Dockerfile")?)?;
    let binaries = &servers()?.binaries;
    let services = SCALED.services().into_iter().map(|part| (part.name(), target(part)));
    let further = FURTHER.map(|name| (name.to_owned(), target(Part::CommandService)));
    for (part, target) in services.chain(further) {
        let is_consumer = target == Part::EVENT_CONSUMER.name();
        let program = if is_consumer { &binaries.event_consumer } else { &binaries.command_service };
        let mut told = dockerfile.environment(&target)?;
        told.extend(compose.environment(&part)?);

        let settings = Command::new(program).args(["settings", "--json"]).env_clear().envs(&told).output()?;

        ensure!(settings.status.success(), "{part}: {}", String::from_utf8_lossy(&settings.stderr));
        let lines = String::from_utf8(settings.stdout)?;
        let in_force: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let from_image: BTreeMap<&str, &Value> = in_force
            .iter()
            .filter(|setting| setting["source"] == "environment")
            .filter_map(|setting| Some((setting["name"].as_str()?, &setting["value"])))
            .collect();
        assert!(from_image.keys().copied().eq(told.keys().map(String::as_str)), "{part}: {lines}");
        for (name, value) in
            told.iter().filter(|(name, _)| !name.ends_with("_URL") && !name.ends_with("_KEY"))
        {
            assert_eq!(from_image[name.as_str()], value, "{part}: {name}");
        }
    }
    Ok(())
}

#[test]
fn the_services_know_every_command_that_the_images_run() -> Result<()> {
    let binaries = &servers()?.binaries;
    let dockerfile = Dockerfile::parse(&read("compose/Dockerfile")?)?;

    for (part, program) in
        [(Part::CommandService, &binaries.command_service), (Part::EVENT_CONSUMER, &binaries.event_consumer)]
    {
        for command in [dockerfile.command(&part.name())?, "healthcheck".to_owned(), "migrate".to_owned()] {
            let output = Command::new(program).args([&command, "--help"]).env_clear().output()?;
            assert!(output.status.success(), "{part} {command}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}
