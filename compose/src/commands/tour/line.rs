//! A command line: it is shown as a user would type it, and run as it is shown.

use std::{
    env, fmt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

/// A command of the tour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    program: Program,
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// `cargo stack`, which is this program.
    Stack,
    /// curl, or what this program has in its place.
    Curl,
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Its exit status; none where a signal ended it.
    pub(super) status: Option<i32>,
    pub(super) text: String,
    pub(super) errors: String,
}

impl Line {
    pub(super) fn stack<const N: usize>(words: [&str; N]) -> Self {
        Self { program: Program::Stack, arguments: words.map(str::to_owned).to_vec() }
    }

    pub(super) fn curl<const N: usize>(words: [&str; N]) -> Self {
        Self { program: Program::Curl, arguments: words.map(str::to_owned).to_vec() }
    }

    /// The same with one more word.
    pub(super) fn and(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    pub(super) fn run(&self) -> Result<Output> {
        let mut command = self.command()?;
        // A proxy that the user has for the world is not asked for 127.0.0.1.
        command.args(&self.arguments).stdin(Stdio::null()).env("no_proxy", "*");
        let output = command.output().with_context(|| format!("cannot run `{self}`"))?;
        Ok(Output {
            status: output.status.code(),
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn command(&self) -> Result<Command> {
        if self.program == Program::Curl && is_on_path("curl") {
            return Ok(Command::new("curl"));
        }
        let mut command = Command::new(env::current_exe()?);
        command.args((self.program == Program::Curl).then_some("curl"));
        Ok(command)
    }
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| Path::new(&directory).join(program).is_file())
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.program {
            Program::Stack => "cargo stack",
            Program::Curl => "curl",
        })?;
        self.arguments.iter().try_for_each(|word| write!(formatter, " {}", quoted(word)))
    }
}

/// The word as a shell takes it unchanged.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    // SQL, which has quotes of its own, reads better so.
    if word.contains('\'') && !word.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_understands_what_is_shown() {
        let words =
            ["plain-1.2", "two words", "it's", "it's $x", "{\"name\":\"$x\"}", "", "a;b&c|d<e>f*g?(h)", "\\"];
        let line = Line::stack(words).to_string().replacen("cargo stack", "printf '%s\\n'", 1);

        let shell = Command::new("sh").arg("-c").arg(&line).output().expect("a shell");

        assert_eq!(String::from_utf8_lossy(&shell.stdout), format!("{}\n", words.join("\n")), "{line}");
    }
}
