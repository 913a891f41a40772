//! Collects log lines, so that a busy process does not ask the system to write each one.

use std::{
    io::{self, BufWriter, Write},
    thread,
    time::Duration,
};

/// The bytes of lines that leave together.
const BUFFER_BYTES: usize = 64 * 1024;

/// The pause after a write. Lines that come meanwhile wake nobody, and leave together.
const PAUSE: Duration = Duration::from_millis(1);

/// Writes whole lines, with a [`PAUSE`] after each flush. The thread of the log flushes when no line waits, so the first
/// line after a silence leaves at once.
#[derive(Debug)]
pub(super) struct PacedWriter<W: Write>(BufWriter<W>);

impl<W: Write> PacedWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self(BufWriter::with_capacity(BUFFER_BYTES, inner))
    }
}

impl<W: Write> Write for PacedWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(PAUSE);
        flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the calls that would each ask the system.
    #[derive(Debug, Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for &mut Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_leave_together_and_none_is_cut() -> io::Result<()> {
        let mut writes = Writes::default();
        let lines: Vec<String> = (0..2_000).map(|number| format!("line {number:0100}\n")).collect();
        let mut writer = PacedWriter::new(&mut writes);

        for line in &lines {
            writer.write_all(line.as_bytes())?;
        }
        writer.flush()?;
        drop(writer);

        assert!(writes.0.len() < 10, "{} writes", writes.0.len());
        assert!(writes.0.iter().all(|bytes| bytes.starts_with(b"line ") && bytes.ends_with(b"\n")));
        assert_eq!(writes.0.concat(), lines.concat().into_bytes());
        Ok(())
    }
}
