//! `compose/Dockerfile`: its stages, and what is in the build's context.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use stack::{Part, Port, Setting, Shape};

/// Its stages in order: name, what each is made from, and its instructions.
#[derive(Debug)]
pub(super) struct Dockerfile(Vec<Stage>);

#[derive(Debug)]
struct Stage {
    name: String,
    from: String,
    instructions: Vec<(String, String)>,
}

impl Dockerfile {
    pub(super) fn parse(text: &str) -> Result<Self> {
        // Such a line would download another program that reads the file; the engine's own does.
        ensure!(!text.contains("# syntax="), "the file's syntax is an image");
        let lines = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        let mut stages: Vec<Stage> = Vec::new();
        for line in lines.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
            let (instruction, rest) =
                line.split_once(' ').with_context(|| format!("no arguments: {line}"))?;
            if instruction == "FROM" {
                let (from, name) = rest.split_once(" AS ").with_context(|| format!("no name: {line}"))?;
                let (name, from) = (name.to_owned(), from.to_owned());
                stages.push(Stage { name, from, instructions: Vec::new() });
                continue;
            }
            let stage = stages.last_mut().context("an instruction before the first stage")?;
            stage.instructions.push((instruction.to_owned(), rest.trim().to_owned()));
        }
        Ok(Self(stages))
    }

    pub(super) fn check(&self, toolchain: &str) -> Result<()> {
        let found: Vec<&str> = self.0.iter().map(|stage| stage.name.as_str()).collect();
        let services = Shape::default().services().into_iter().map(Part::name);
        let due: Vec<String> = ["build", "runtime"].map(str::to_owned).into_iter().chain(services).collect();
        ensure!(found == due, "the stages are {found:?}, not {due:?}");
        self.check_build(toolchain)?;
        for part in Shape::default().services() {
            self.check_target(part).with_context(|| format!("target {part}"))?;
        }
        let user = self.one("runtime", "USER")?;
        ensure!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "they run as {user}");
        let bind = self.environment("runtime")?.remove("PARKING__HTTP__BIND");
        ensure!(bind.as_deref() == Some("0.0.0.0"), "nobody reaches a service that binds to {bind:?}");
        Ok(())
    }

    /// With the compiler of the checkout, on the release of Debian whose C library the images have.
    fn check_build(&self, toolchain: &str) -> Result<()> {
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
        let channel = channel.context("rust-toolchain.toml names no channel")?.trim_matches('"');
        let due = [format!("rust:{channel}-trixie"), "gcr.io/distroless/cc-debian13:nonroot".to_owned()];
        let found = [&self.stage("build")?.from, &self.stage("runtime")?.from];
        ensure!(found == [&due[0], &due[1]], "from {found:?}, not {due:?}");
        let run = self.one("build", "RUN")?;
        for part in Shape::default().services() {
            ensure!(run.contains(&format!("--package {part}")), "{part} is not built");
        }
        ensure!(run.contains("--release --locked"), "another build than the one that was tested");
        let lines = self.environment("build")?.remove("CARGO_PROFILE_RELEASE_DEBUG");
        ensure!(lines.as_deref() == Some("false"), "an image of mostly line tables");
        Ok(())
    }

    fn check_target(&self, part: Part) -> Result<()> {
        let name = &part.name();
        ensure!(self.stage(name)?.from == "runtime", "from {}", self.stage(name)?.from);
        let port = Shape::default().settings(part).into_iter().find_map(|(_, setting)| match setting {
            Setting::Port(port) => Some(Port::default_value(port).to_string()),
            _ => None,
        });
        let copy = format!("--from=build /out/{name} /usr/local/bin/{name}");
        for (instruction, due) in
            [("COPY", copy), ("EXPOSE", port.context("no port")?), ("ENTRYPOINT", json!([name]).to_string())]
        {
            let found = self.one(name, instruction)?;
            ensure!(found == due, "{instruction} {found}, not {due}");
        }
        let (_, check) = self.one(name, "HEALTHCHECK")?.rsplit_once("CMD ").context("no command")?;
        let check: Vec<&str> = serde_json::from_str(check)?;
        ensure!(check == [name.as_str(), "healthcheck"], "the health check is {check:?}");
        Ok(())
    }

    /// The variables of a target, with those of what it is made from.
    pub(super) fn environment(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let stage = self.stage(name)?;
        let mut environment = match self.stage(&stage.from) {
            Ok(base) => self.environment(&base.name)?,
            Err(_) => BTreeMap::new(),
        };
        for (_, rest) in stage.instructions.iter().filter(|(instruction, _)| instruction == "ENV") {
            let (name, value) = rest.split_once('=').context("ENV without a value")?;
            environment.insert(name.to_owned(), value.to_owned());
        }
        Ok(environment)
    }

    /// The command that a target runs when it is told nothing else.
    pub(super) fn command(&self, name: &str) -> Result<String> {
        let command: Vec<String> = serde_json::from_str(self.one(name, "CMD")?)?;
        ensure!(command.len() == 1, "{command:?} is not one word");
        Ok(command.concat())
    }

    fn stage(&self, name: &str) -> Result<&Stage> {
        self.0.iter().find(|stage| stage.name == name).with_context(|| format!("no stage {name}"))
    }

    fn one(&self, name: &str, instruction: &str) -> Result<&str> {
        let mut found = self.stage(name)?.instructions.iter().filter(|(known, _)| known == instruction);
        let (_, rest) = found.next().with_context(|| format!("{name} has no {instruction}"))?;
        ensure!(found.next().is_none(), "{name} has two of {instruction}");
        Ok(rest)
    }
}

/// Every member of the workspace has to be in the context: cargo reads all manifests, and finds targets by sources.
pub(super) fn check_context(ignored: &str, manifest: &str) -> Result<()> {
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = "));
    let members: Vec<String> = serde_json::from_str(members.context("no members")?)?;
    let kept = |path: &str| ignored.lines().any(|line| line.strip_prefix('!') == Some(path));
    for file in ["Cargo.toml", "Cargo.lock"] {
        ensure!(kept(file), "{file} is not in the context");
    }
    // rustup would download the components that it names, which a build does not need. The image is the toolchain.
    ensure!(!kept("rust-toolchain.toml"), "rust-toolchain.toml is in the context");
    for member in members {
        let in_parts = || kept(&format!("{member}/Cargo.toml")) && kept(&format!("{member}/src"));
        ensure!(kept(&member) || in_parts(), "{member} is not in the context");
    }
    Ok(())
}
