//! What operators put back after a disaster: the files of a server, or a dump.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use stack::{Postgres, Role};

use crate::{blocking, database::Database, servers::servers};

/// A copy of the files of a server.
#[derive(Debug)]
pub struct FileCopy {
    server: Postgres,
    files: PathBuf,
}

impl FileCopy {
    /// Stops the server, copies its files, starts it again.
    ///
    /// # Errors
    /// It does not stop or start, or the disk is full.
    pub async fn take(server: &Postgres) -> Result<Self> {
        let files = servers()?.new_directory("copy")?.join("data");
        let (server, to) = (server.clone(), files.clone());
        blocking(move || {
            server.stop()?;
            copy(&server.data(), &to)?;
            server.start()?;
            Ok(Self { server, files })
        })
        .await
    }

    /// Stops the server and puts the files back. It is started again by [`FileCopy::start`].
    ///
    /// # Errors
    /// It does not stop.
    pub async fn put_back(&self) -> Result<()> {
        let (server, files) = (self.server.clone(), self.files.clone());
        blocking(move || {
            server.stop()?;
            fs::remove_dir_all(server.data())?;
            copy(&files, &server.data())
        })
        .await
    }

    /// Starts the server with what was put back.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(&self) -> Result<()> {
        let server = self.server.clone();
        blocking(move || server.start()).await
    }

    /// Has the server, when it is started, recover from an archive in which there is nothing: it begins a new timeline
    /// where its own log ends, as a standby does that is promoted.
    ///
    /// # Errors
    /// The disk is full.
    pub fn recover_from_an_archive(&self) -> Result<()> {
        self.recover("recovery.signal")
    }

    /// Has the server, when it is started, stand by until it is promoted; only then does [`FileCopy::start`] return.
    ///
    /// # Errors
    /// The disk is full.
    pub fn stand_by(&self) -> Result<()> {
        self.recover("standby.signal")
    }

    fn recover(&self, signal: &str) -> Result<()> {
        let data = self.server.data();
        let mut settings = OpenOptions::new().append(true).open(data.join("postgresql.auto.conf"))?;
        settings.write_all(b"restore_command = 'false'\n")?;
        // Whose it is does not matter: the server only looks whether it is there, and removes it.
        fs::write(data.join(signal), "")?;
        Ok(())
    }
}

/// With owners and modes: the server may run as another user than the test.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("/bin/cp").arg("-a").arg(from).arg(to).status().context("cannot run cp")?;
    ensure!(status.success(), "cp ended with {status}");
    Ok(())
}

/// Dumps a database and puts a new one, made from the dump, in its place. Nobody may be connected.
///
/// # Errors
/// The server does not answer, or somebody is connected.
pub async fn replace_by_dump(database: &Database) -> Result<()> {
    database.disconnect().await?;
    let (server, name) = (database.server.clone(), database.name.clone());
    let restored = servers()?.unique_name("restored");
    blocking(move || {
        let mut dump = server.client("pg_dump", Role::Superuser, &name, [OsString::from("-w")]);
        let dump =
            dump.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot run pg_dump")?;
        ensure!(dump.status.success(), "pg_dump ended with {}", dump.status);
        server.provision_primary(&restored)?;
        server.execute(&restored, std::str::from_utf8(&dump.stdout)?)?;
        let swap = format!(
            "ALTER DATABASE {name} RENAME TO {name}_before;\nALTER DATABASE {restored} RENAME TO {name};\n"
        );
        server.execute("postgres", &swap).map(|_| ())
    })
    .await
}
