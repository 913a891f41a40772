//! Makes the text of a message safe for a terminal.

/// Escapes control characters, except those in `allowed`, so that a message cannot move the terminal's cursor.
pub(super) fn printable(text: &str, allowed: &str) -> String {
    let shown = |one: char| match one.is_control() && !allowed.contains(one) {
        true => one.escape_default().to_string(),
        false => one.to_string(),
    };
    text.chars().map(shown).collect()
}
