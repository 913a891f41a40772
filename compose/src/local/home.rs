//! Where a checkout's stack lives.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use stack::{Account, account, files};

/// The directories of one checkout's stack.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) checkout: PathBuf,
    /// What belongs to the caller: the record, the services' logs, the lock.
    pub(crate) directory: PathBuf,
}

/// Names the directory that holds `.stack` instead of the checkout: for a second stack, and for the tests.
const PLACE_VARIABLE: &str = "STACK_DIRECTORY";

impl Home {
    /// The one of the checkout around the current directory. Makes nothing.
    pub(crate) fn find() -> Result<Self> {
        let checkout = stack::build::checkout()?;
        let place = env::var_os(PLACE_VARIABLE).map_or_else(|| checkout.clone(), PathBuf::from);
        ensure!(place.is_absolute(), "{PLACE_VARIABLE} must be an absolute path");
        Ok(Self { directory: place.join(".stack"), checkout })
    }

    pub(crate) fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.directory.join("stack.json")
    }

    pub(crate) fn log(&self, service: &str) -> PathBuf {
        self.directory.join(format!("{service}.log"))
    }

    /// The working directory of the services, and of no other process.
    pub(crate) fn services(&self) -> PathBuf {
        self.directory.join("services")
    }

    /// Makes the directory if it is missing, and keeps other invocations out until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File> {
        loop {
            account::make_passable_directory(&self.directory)?;
            let path = self.directory.join("lock");
            let lock = match files::try_lock(&path)? {
                Some(lock) => lock,
                None => {
                    eprintln!("waiting for another `cargo stack` in this checkout");
                    files::lock(&path)?
                }
            };
            // A `down --wipe` may have removed the file before this process locked it.
            if files::is_at(&lock, &path) {
                return Ok(lock);
            }
        }
    }

    /// The directory of the servers' data: in this one, or outside where the servers' user cannot enter this one.
    pub(crate) fn choose_servers_directory(&self, account: &Account) -> Result<PathBuf> {
        let directory = if account.can_enter(&self.directory) {
            self.directory.join("servers")
        } else {
            self.servers_outside()
        };
        account.make_private_directory(&directory)?;
        Ok(directory)
    }

    /// The servers' directory outside of this one. Always the same for one stack and user.
    pub(crate) fn servers_outside(&self) -> PathBuf {
        let user = rustix::process::geteuid().as_raw();
        PathBuf::from(format!("/var/tmp/parking-stack-{user}-{:016x}", fingerprint(&self.directory)))
    }

    /// Removes everything, the servers' directory first.
    pub(crate) fn wipe(&self, servers: &Path) -> Result<()> {
        for directory in [servers, &self.directory] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// FNV-1a of a path, the same in every build, so that a checkout always finds its directory.
fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_never_changes() {
        assert_eq!(fingerprint(Path::new("a")), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(fingerprint(Path::new("/root/a")), fingerprint(Path::new("/root/b")));
    }
}
