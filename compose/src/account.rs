//! The user that databases and broker run as.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::files;

/// Programs are looked for here whatever the caller's `PATH` says; maintainer scripts and the scripts of
/// RabbitMQ need it complete.
pub const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The user that runs databases and broker: the caller, or an unprivileged user when the caller is root. PostgreSQL
/// refuses to run as root, and a broker has no need to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

impl Account {
    /// The account for this machine's servers: for root `postgres`, else `nobody`; for anyone else the caller.
    pub fn for_servers() -> Result<Self> {
        let uid = rustix::process::geteuid();
        if uid.is_root() {
            let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
            return ["postgres", "nobody"]
                .iter()
                .find_map(|name| find_account(&accounts, name))
                .context("neither `postgres` nor `nobody` is in /etc/passwd: servers must not run as root");
        }
        let name = std::env::var("USER").unwrap_or_else(|_| uid.as_raw().to_string());
        Ok(Self { name, uid: uid.as_raw(), gid: rustix::process::getegid().as_raw() })
    }

    /// Whether this process runs as this user.
    pub fn is_current(&self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid
    }

    /// Whether this user can enter `directory`. The kernel is asked, because it knows every rule.
    pub fn can_enter(&self, directory: &Path) -> bool {
        let mut test = Command::new("/usr/bin/test");
        test.arg("-x").arg(directory).current_dir("/").stdin(Stdio::null());
        self.apply(&mut test);
        test.status().is_ok_and(|status| status.success())
    }

    /// Makes `command` run as this user. A change of user drops all further groups.
    pub fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if !self.is_current() {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// A command that runs as this user with nothing of the caller's environment or directory.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("LANG", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::null());
        self.apply(&mut command);
        command
    }

    /// Makes a directory that only this user (and root) can enter. Accepts an existing one only if it is like that, and
    /// does not change its mode or owner.
    pub fn make_private_directory(&self, path: &Path) -> Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) if self.is_current() => Ok(()),
            Ok(()) => chown(path, Some(self.uid), Some(self.gid))
                .with_context(|| format!("cannot give {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.check_private_directory(path),
            Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
        }
    }

    /// Fails unless `path` is a directory that only this user (and root) can enter.
    pub fn check_private_directory(&self, path: &Path) -> Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        let mode = metadata.mode() & 0o777;
        if !metadata.is_dir() || metadata.uid() != self.uid || mode != 0o700 {
            bail!(
                "{} is there already, but is not a directory of `{}` with mode 0700",
                path.display(),
                self.name
            );
        }
        Ok(())
    }

    /// Writes a file that only this user (and root) can read. It appears complete or not at all.
    pub fn write_private_file(&self, path: &Path, contents: &[u8]) -> Result<()> {
        files::replace(path, contents, self.new_owner())
    }

    /// The same for a file that its owner cannot change either.
    pub fn write_secret(&self, path: &Path, contents: &[u8]) -> Result<()> {
        files::replace_with_mode(path, contents, self.new_owner(), 0o400)
    }

    /// The owner of a new file, if that is not the user of this process.
    fn new_owner(&self) -> Option<(u32, u32)> {
        (!self.is_current()).then_some((self.uid, self.gid))
    }
}

fn find_account(accounts: &str, name: &str) -> Option<Account> {
    let fields: Vec<&str> =
        accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == name)?;
    Some(Account {
        name: name.to_owned(),
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
    })
}

/// Makes a directory that other users can pass through, but neither list nor change. An existing one must belong to the
/// caller.
pub fn make_passable_directory(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o711).create(path) {
        // The caller's umask may have cleared bits.
        Ok(()) => Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o711))?),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_own_directory(path),
        Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
}

fn check_own_directory(path: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    ensure!(
        metadata.is_dir() && own && metadata.mode() & 0o002 == 0,
        "{} is not a directory that belongs to you alone",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";

        let found = find_account(accounts, "postgres");

        assert_eq!(found, Some(Account { name: "postgres".to_owned(), uid: 101, gid: 104 }));
        assert_eq!(find_account(accounts, "nobody"), None);
    }
}
