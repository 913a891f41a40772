//! The packages that the engine needs, and Docker Compose.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{client, printed};

/// Programs and the packages that bring them. `iptables` is for the names inside of containers: Docker's resolver
/// needs it in a container's network, also where the engine touches no rule of the machine.
const PROGRAMS: [(&str, &str); 5] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("iptables", "iptables"),
    ("debootstrap", "debootstrap"),
    ("dpkg-deb", "dpkg"),
];

/// Installs what is missing from the distribution, without starting or enabling a service.
///
/// # Errors
/// The installation fails.
pub fn install() -> Result<()> {
    let mut packages: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    stack::install::packages(&packages)?;
    let missing: Vec<&str> =
        PROGRAMS.iter().map(|(program, _)| *program).filter(|program| !is_there(program)).collect();
    ensure!(missing.is_empty(), "{packages:?} are installed, and there is still no {missing:?}");
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).any(|directory| directory.join(program).is_file())
}

/// A configuration of the Docker client in which `docker compose` works. The distribution's own plugin is used where
/// it is there; else Debian 13's is fetched into the cache.
///
/// # Errors
/// The plugin cannot be fetched, or does not work here.
pub fn compose_plugin(cache: &Path) -> Result<PathBuf> {
    let configuration = cache.join("client");
    fs::create_dir_all(configuration.join("cli-plugins"))?;
    if !has_compose(&configuration) {
        let fetched = fetch(cache).context("cannot fetch Docker Compose from Debian 13")?;
        fs::rename(fetched, configuration.join("cli-plugins/docker-compose"))?;
        ensure!(has_compose(&configuration), "the fetched Docker Compose does not work here");
    }
    Ok(configuration)
}

fn has_compose(configuration: &Path) -> bool {
    let mut version = client(None);
    version.env("DOCKER_CONFIG", configuration).args(["compose", "version", "--short"]);
    printed(&mut version).is_ok_and(|version| version.starts_with("2.") || version.starts_with("v2."))
}

/// Downloads Debian 13's package with lists and settings of its own, so that apt's state on this machine stays as it
/// is. apt checks the signatures. The plugin needs nothing but a C library of 2021 or newer.
fn fetch(cache: &Path) -> Result<PathBuf> {
    let place = cache.join("apt");
    let _ = fs::remove_dir_all(&place);
    for directory in ["lists/partial", "archives/partial", "unpacked"] {
        fs::create_dir_all(place.join(directory))?;
    }
    let sources = format!(
        "deb [signed-by={}] {} {} main\n",
        super::stand_ins::KEYRING,
        super::stand_ins::MIRROR,
        super::stand_ins::SUITE
    );
    fs::write(place.join("sources.list"), sources)?;
    fs::write(place.join("status"), "")?;
    let shown = place.display();
    let settings = format!(
        "Dir::State::lists \"{shown}/lists\";\nDir::State::status \"{shown}/status\";\n\
         Dir::Cache \"{shown}\";\nDir::Etc::sourcelist \"{shown}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
         APT::Sandbox::User \"root\";\n"
    );
    fs::write(place.join("apt.conf"), settings)?;
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", place.join("apt.conf")).arg("-q").args(arguments);
        printed(apt.current_dir(place.join("archives")))
    };
    apt(&["update"])?;
    apt(&["download", "docker-compose"])?;
    let mut packages = fs::read_dir(place.join("archives"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let package =
        packages.find(|path| path.extension().is_some_and(|end| end == "deb")).context("no package")?;
    printed(Command::new("dpkg-deb").arg("-x").arg(package).arg(place.join("unpacked")))?;
    Ok(place.join("unpacked/usr/libexec/docker/cli-plugins/docker-compose"))
}
