//! `logs`: what the parts have logged.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::local::{Home, Part, Stack};

const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// With several logs, or with `--follow`, only the end of each is shown first.
const TAIL_LINES: usize = 20;

pub(crate) fn logs(home: &Home, name: Option<Part>, follow: bool) -> Result<()> {
    let stack = Stack::open(home)?.context("nothing was started here yet: `cargo stack up`")?;
    if let Some(part) = name {
        stack.ensure_has(part)?;
    }
    let parts = name.map_or_else(|| stack.shape().parts(), |part| vec![part]);
    let whole = parts.len() == 1 && !follow;
    let mut logs: Vec<Log> = parts.iter().map(|part| Log::new(&stack, *part, parts.len() > 1)).collect();
    match show(&mut logs, whole, follow) {
        // The reader of the output has seen enough, and is gone.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => Ok(shown?),
    }
}

fn show(logs: &mut [Log], whole: bool, follow: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for log in &mut *logs {
        let text = log.read_on()?;
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let skip = if whole { 0 } else { lines.len().saturating_sub(TAIL_LINES) };
        log.write(&mut out, &lines[skip..])?;
    }
    out.flush()?;
    if !follow {
        return Ok(());
    }
    loop {
        thread::sleep(FOLLOW_INTERVAL);
        for log in &mut *logs {
            let text = log.read_on()?;
            log.write(&mut out, &text.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>())?;
        }
        out.flush()?;
    }
}

/// One log, and how far it was read.
struct Log {
    path: PathBuf,
    prefix: String,
    file: Option<File>,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
}

impl Log {
    fn new(stack: &Stack, part: Part, prefixed: bool) -> Self {
        let prefix = if prefixed { format!("{part:15} | ") } else { String::new() };
        Self { path: stack.log(part), prefix, file: None, rest: Vec::new() }
    }

    /// The complete lines that were not read yet.
    fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let mut text = std::mem::take(&mut self.rest);
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut text)?;
        }
        // There is another file when a process starts with a large log, or after `down --wipe`.
        if let Ok(newer) = File::open(&self.path)
            && self.file.as_ref().is_none_or(|file| !same(file, &newer))
        {
            let file = self.file.insert(newer);
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut text)?;
        }
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.rest = text.split_off(complete);
        Ok(text)
    }

    fn write(&self, out: &mut impl Write, lines: &[&[u8]]) -> io::Result<()> {
        for line in lines {
            out.write_all(self.prefix.as_bytes())?;
            out.write_all(line)?;
        }
        Ok(())
    }
}

fn same(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one) == identity(other)
}
