//! Text of a message, made safe for a terminal.

/// Escapes control characters, except those in `allowed`: the text of a foreign message must not move the cursor of the
/// terminal.
pub(super) fn printable(text: &str, allowed: &str) -> String {
    let shown = |one: char| match one.is_control() && !allowed.contains(one) {
        true => one.escape_default().to_string(),
        false => one.to_string(),
    };
    text.chars().map(shown).collect()
}
