//! Installing missing packages on Debian and Ubuntu, without starting or enabling any service of the system.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Programs,
    programs::{Missing, Wanted},
};

const SCRIPT: &str = include_str!("install.sh");

/// The script keeps it during an installation. At any other time it means that an installation was killed.
const NOTES: &str = "/var/lib/parking-stack-install";

/// Whether missing packages may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes; a person at a terminal is asked first.
    Ask,
    /// No.
    Never,
}

/// Finds the programs that are wanted; installs what is missing when that is allowed.
pub fn find_or_install(permission: Permission, wanted: Wanted) -> Result<Programs> {
    if permission == Permission::Ask && is_root() && Path::new(NOTES).is_dir() {
        run_script(&["recover"])?;
    }
    let packages = match Programs::find(wanted) {
        Ok(programs) => return Ok(programs),
        Err(Missing(packages)) => packages,
    };
    let by_hand = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    ensure!(
        permission == Permission::Ask,
        "missing packages, which may not be installed now; as root:\n  {by_hand}"
    );
    ensure!(
        Path::new("/usr/bin/apt-get").exists(),
        "missing programs: {}; install them",
        packages.join(", ")
    );
    ensure!(
        is_root() || can_sudo(),
        "missing packages, and neither root nor sudo is at hand; as root:\n  {by_hand}"
    );
    if io::stdin().is_terminal() && !confirm(&packages)? {
        bail!("nothing was installed; to do it yourself:\n  {by_hand}");
    }
    run_script(&[&["install"], packages.as_slice()].concat())?;
    Programs::find(wanted).map_err(not_found)
}

/// Installs these packages, as root or with sudo, without starting or enabling any service.
pub fn packages(names: &[&str]) -> Result<()> {
    run_script(&[&["install"], names].concat())
}

fn not_found(missing: Missing) -> anyhow::Error {
    anyhow::anyhow!("the programs of {} are not where Debian and Ubuntu have them", missing.0.join(", "))
}

fn confirm(packages: &[&str]) -> Result<bool> {
    eprint!("Missing packages: {}. Install them now (no service is started)? [Y/n] ", packages.join(", "));
    io::stderr().flush()?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer)?;
    Ok(read > 0 && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}

/// The script has a session of its own. So it puts back what it changed even if this process is killed before.
fn run_script(arguments: &[&str]) -> Result<()> {
    let mut command = if is_root() {
        Command::new("/usr/bin/setsid")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args((!io::stdin().is_terminal()).then_some("-n")).arg("/usr/bin/setsid");
        sudo
    };
    command.args(["--wait", "/bin/sh", "-c", SCRIPT, "install.sh"]).args(arguments).current_dir("/");
    let status = command.stdout(Stdio::null()).status().context("cannot run the installation")?;
    ensure!(status.success(), "the installation failed; see above");
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// With a terminal `sudo` can ask for a password; without one it must not need it.
fn can_sudo() -> bool {
    let mut sudo = Command::new("sudo");
    if io::stdin().is_terminal() {
        return sudo.arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    }
    sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}
