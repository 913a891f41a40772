//! Bounds each log line in bytes: a library may print what it sends, whatever its size.

use std::io::{self, Write};

use serde_json::json;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::settings::LogFormat;

/// The most bytes of a log line. Of a longer one, the beginning is written, with its length.
pub(super) const LINE_MAX_BYTES: usize = 16 * 1024;

/// How many bytes of a longer line are kept. In JSON each of them may take six.
const KEPT_BYTES: usize = 2 * 1024;

/// Makes writers that bound each line.
#[derive(Clone, Debug)]
pub(super) struct BoundedLines<W> {
    inner: W,
    format: LogFormat,
}

impl<W> BoundedLines<W> {
    pub(super) fn new(inner: W, format: LogFormat) -> Self {
        Self { inner, format }
    }
}

impl<'w, W: Write + Clone + 'w> MakeWriter<'w> for BoundedLines<W> {
    type Writer = BoundedLine<W>;

    fn make_writer(&'w self) -> Self::Writer {
        BoundedLine { inner: self.inner.clone(), format: self.format, level: Level::INFO }
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Self::Writer {
        BoundedLine { level: *meta.level(), ..self.make_writer() }
    }
}

/// Writes one line. The subscriber hands over each line in one piece.
#[derive(Debug)]
pub(super) struct BoundedLine<W> {
    inner: W,
    format: LogFormat,
    level: Level,
}

impl<W: Write> Write for BoundedLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE_MAX_BYTES {
            return self.inner.write(line);
        }
        let beginning = String::from_utf8_lossy(&line[..KEPT_BYTES]);
        let cut = match self.format {
            LogFormat::Text => format!("{beginning} ... (a line of {} bytes, cut)\n", line.len()),
            LogFormat::Json => {
                let fields = json!({
                    "timestamp": jiff::Timestamp::now().to_string(),
                    "level": self.level.as_str(),
                    "message": "a log line is cut",
                    "line.bytes": line.len(),
                    "line.beginning": beginning,
                });
                format!("{fields}\n")
            }
        };
        self.inner.write_all(cut.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn written(format: LogFormat, line: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        BoundedLine { inner: &mut out, format, level: Level::WARN }.write_all(line)?;
        Ok(out)
    }

    #[test]
    fn a_line_within_the_bound_stays_as_it_is() -> io::Result<()> {
        let line = vec![b'x'; LINE_MAX_BYTES];

        assert_eq!(written(LogFormat::Text, &line)?, line);
        assert_eq!(written(LogFormat::Json, &line)?, line);
        Ok(())
    }

    #[test]
    fn a_longer_line_is_cut_and_says_its_length() -> Result<(), Box<dyn std::error::Error>> {
        // Control characters take the most bytes in JSON.
        for byte in [b'x', 1, 0xff] {
            let line = vec![byte; 1024 * 1024];

            let text = written(LogFormat::Text, &line)?;
            let object = written(LogFormat::Json, &line)?;

            let fields: Value = serde_json::from_slice(&object)?;
            assert!(text.len() <= LINE_MAX_BYTES && object.len() <= LINE_MAX_BYTES);
            assert!(text.ends_with(b"(a line of 1048576 bytes, cut)\n"));
            assert_eq!((&fields["level"], &fields["line.bytes"]), (&json!("WARN"), &json!(1_048_576)));
            assert!(object.ends_with(b"\n"));
        }
        Ok(())
    }
}
