//! Files on a machine with other users: none is ever half-written, and no link is followed.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// Log files beyond this size move to `<name>.1` when their process is started again.
const MAX_LOG_BYTES: u64 = 32 << 20;

/// Puts `contents` at `path` in one step. Only its owner can read and write it.
pub fn replace(path: &Path, contents: &[u8], owner: Option<(u32, u32)>) -> Result<()> {
    replace_with_mode(path, contents, owner, 0o600)
}

/// Puts `contents` at `path` in one step, with this mode.
pub fn replace_with_mode(path: &Path, contents: &[u8], owner: Option<(u32, u32)>, mode: u32) -> Result<()> {
    let draft = PathBuf::from(format!("{}.{}", path.display(), random_hex(4)?));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        file.write_all(contents)?;
        if let Some((uid, gid)) = owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display())).inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

/// Opens a log for appending. A large one is renamed first.
pub fn open_log(path: &Path) -> Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(NO_FOLLOW);
    options.open(path).with_context(|| format!("cannot open the log {}", path.display()))
}

/// The last lines of what was written to a log since it had `from` bytes.
pub fn log_since(path: &Path, from: u64) -> String {
    const MAX_LINES: usize = 12;
    let text = fs::read(path).unwrap_or_default();
    let start = usize::try_from(from).unwrap_or(0).min(text.len());
    let text = String::from_utf8_lossy(&text[start..]).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(MAX_LINES)..].join("\n")
}

/// Waits for the lock file at `path` and takes it. It is released when the file is dropped or this process ends.
pub fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Takes the lock file at `path` unless another process holds it.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Whether `path` still names this file: a lock file may be removed between being opened and being locked.
pub fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(identity) == fs::symlink_metadata(path).ok().map(identity)
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_FOLLOW);
    options.open(path).with_context(|| format!("cannot open the lock {}", path.display()))
}

/// A password that shows in records and addresses, but not in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub(crate) String);

impl Password {
    /// A new one, of 128 random bits.
    pub fn random() -> Result<Self> {
        random_hex(16).map(Self)
    }

    /// The password itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

/// `bytes` random bytes of the kernel as hexadecimal digits: names that cannot be guessed, and passwords that
/// need no quoting anywhere.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context("cannot read /dev/urandom")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
