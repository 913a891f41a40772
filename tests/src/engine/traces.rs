//! What an engine leaves on the machine when it does not end by itself: processes, mounts, control groups.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use stack::process::{Process, end_all};

use super::printed;

/// Where one engine leaves its traces.
pub(super) struct Traces<'d> {
    /// Its data, which stay.
    pub(super) data: &'d Path,
    /// Its sockets and the state of its containers.
    pub(super) run: &'d Path,
    /// The parent of its containers' control groups.
    pub(super) control_group: &'d str,
}

impl Traces<'_> {
    /// Removes all but the data. After an orderly end of the engine, only directories are left.
    pub(super) fn remove(&self, limit: Duration) -> Result<()> {
        end_all(|| self.processes(), limit)?;
        for mount in self.mounts()?.into_iter().rev() {
            printed(Command::new("umount").args(["--lazy", &mount]))?;
        }
        for group in self.control_groups() {
            remove_group(&group)?;
        }
        if self.run.exists() {
            fs::remove_dir_all(self.run)?;
        }
        Ok(())
    }

    /// What is still there of this engine: processes, mounts, control groups.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        let mut left: Vec<String> =
            self.processes().iter().map(|process| format!("process {}", process.program())).collect();
        left.extend(self.mounts()?.iter().map(|mount| format!("mount {mount}")));
        left.extend(self.control_groups().iter().map(|group| format!("control group {}", group.display())));
        left.extend(self.run.exists().then(|| format!("directory {}", self.run.display())));
        Ok(left)
    }

    /// The mounts of the engine and of its containers. Its data can be a mount of its own, for as long as it runs.
    fn mounts(&self) -> Result<Vec<String>> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let own = |place: &&str| [self.data, self.run].iter().any(|path| Path::new(place).starts_with(path));
        Ok(places.filter(own).map(str::to_owned).collect())
    }

    /// The processes of this engine, whose command lines name its directories, and those of its containers.
    fn processes(&self) -> Vec<Process> {
        let places = [self.data.display().to_string(), self.run.display().to_string()];
        let is_own = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let program = line.split('\0').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            let is_program = ["dockerd", "containerd", "containerd-shim-runc-v2", "runc"].contains(&program);
            is_program && places.iter().any(|place| line.contains(place.as_str()))
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut pids: Vec<i32> = ids.filter(is_own).collect();
        for group in self.control_groups() {
            members(&group, &mut pids);
        }
        pids.into_iter().filter_map(Process::of).collect()
    }

    fn control_groups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let mut groups: Vec<PathBuf> =
            hierarchies.map(|entry| entry.path().join(self.control_group)).collect();
        groups.push(Path::new("/sys/fs/cgroup").join(self.control_group));
        groups.retain(|group| group.is_dir());
        groups
    }
}

/// The processes of a control group and of those below it.
fn members(group: &Path, pids: &mut Vec<i32>) {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.extend(listed.lines().filter_map(|pid| pid.parse::<i32>().ok()));
    for entry in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        members(&entry.path(), pids);
    }
}

/// Control groups are removed from the leaves up.
fn remove_group(group: &Path) -> Result<()> {
    // Two controllers can have one hierarchy, under two names.
    if !group.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(group)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove_group(&entry.path())?;
    }
    fs::remove_dir(group).with_context(|| format!("cannot remove {}", group.display()))
}
