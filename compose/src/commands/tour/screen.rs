//! How the tour looks: lines as long as the terminal is wide, colours where they can be seen, JSON in lines.

use std::{
    env,
    io::{self, IsTerminal},
};

use serde::de::IgnoredAny;

/// Where there is no terminal, so that what is written to a file is the same everywhere.
const COLUMNS_WITHOUT_TERMINAL: usize = 80;

/// Longer lines are hard to read, however wide the terminal is.
const MAX_COLUMNS: usize = 100;

const BOLD: &str = "1";
const CYAN: &str = "36";
const DIM: &str = "2";

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    columns: usize,
    has_colours: bool,
}

impl Screen {
    pub(super) fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { columns: COLUMNS_WITHOUT_TERMINAL, has_colours: false };
        }
        let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { COLUMNS_WITHOUT_TERMINAL } else { columns.min(MAX_COLUMNS) };
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { columns, has_colours: !is_set("NO_COLOR") && !is_dumb }
    }

    /// Prints a paragraph.
    pub(super) fn say(self, text: &str) {
        println!("{}", wrapped(text, self.columns));
    }

    /// Prints the title of a step.
    pub(super) fn title(self, text: &str) {
        println!("\n{}", self.coloured(BOLD, text));
    }

    /// Prints a command, on one line so that it can be copied.
    pub(super) fn command(self, text: &str) {
        println!("\n{}", self.coloured(CYAN, &format!("$ {text}")));
    }

    /// Prints what a command printed.
    pub(super) fn output(self, text: &str) {
        let text = text.replace('\r', "");
        if !text.trim().is_empty() {
            println!("{}", readable(text.trim_end()));
        }
    }

    /// A question to the reader, to be printed without a line's end.
    pub(super) fn question(self, text: &str) -> String {
        self.coloured(DIM, text)
    }

    fn coloured(self, colour: &str, text: &str) -> String {
        if self.has_colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The words of a text in lines of at most `columns`. A longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// The text with its JSON in lines, be it all of the text or what follows the headers of an answer.
fn readable(text: &str) -> String {
    let (head, body) = text.rsplit_once("\n\n").map_or(("", text), |(head, body)| (head, body));
    let is_document = body.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(body).is_ok();
    match (is_document, head) {
        (false, _) => text.to_owned(),
        (true, "") => in_lines(body),
        (true, head) => format!("{head}\n\n{}", in_lines(body)),
    }
}

/// A JSON document with a line for each member. The members keep their order, which they would lose in a map.
fn in_lines(json: &str) -> String {
    let (mut lines, mut depth) = (String::new(), 0);
    let (mut in_string, mut is_escaped) = (false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            lines.push(character);
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        match character {
            '{' | '[' => {
                lines.push(character);
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    lines.push(end);
                } else {
                    depth += 1;
                    begin_line(&mut lines, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                begin_line(&mut lines, depth);
                lines.push(character);
            }
            ',' => {
                lines.push(character);
                begin_line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            blank if blank.is_whitespace() => {}
            other => {
                in_string = other == '"';
                lines.push(other);
            }
        }
    }
    lines
}

fn begin_line(lines: &mut String, depth: usize) {
    lines.push('\n');
    lines.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one\ntwo", 7), "one two");
        assert_eq!(wrapped("extraordinary day", 7), "extraordinary\nday");
    }

    #[test]
    fn json_is_shown_in_lines_and_all_else_as_it_is() {
        for (text, shown, reason) in [
            (
                r#"{"b":"{,\":","a":[1,{}]}"#,
                "{\n  \"b\": \"{,\\\":\",\n  \"a\": [\n    1,\n    {}\n  ]\n}",
                "an object",
            ),
            ("HTTP/1.1 200 OK\n\n{\"a\":1}", "HTTP/1.1 200 OK\n\n{\n  \"a\": 1\n}", "an answer"),
            ("UPDATE 1", "UPDATE 1", "no JSON"),
            ("{a}", "{a}", "not quite JSON"),
        ] {
            assert_eq!(readable(text), shown, "{reason}");
        }
    }
}
