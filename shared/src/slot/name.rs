//! The name of a slot.

use std::{fmt, ops::RangeInclusive};

use unicode_normalization::UnicodeNormalization;

/// The longest name of a slot, in Unicode scalar values after trimming and normalisation to NFC.
pub const NAME_MAX_CHARS: usize = 200;

/// The name of a slot: trimmed, in NFC, 1 to [`NAME_MAX_CHARS`] scalar values, without control characters.
///
/// A name from a client also shows something, fits on one line, and does not reorder the text around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotName(String);

/// Why a text is not a slot's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More than [`NAME_MAX_CHARS`] scalar values.
    #[error("must have at most 200 characters")]
    TooLong,
    /// A control character (Unicode category Cc), NUL among them.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A line or paragraph separator.
    #[error("must not contain a line or paragraph separator (U+2028, U+2029)")]
    LineSeparator,
    /// A character that embeds, overrides or isolates a direction of writing.
    #[error("must not contain bidirectional controls (U+202A to U+202E, U+2066 to U+2069)")]
    BidirectionalControl,
    /// Only characters that show nothing.
    #[error("must contain a character that can be seen")]
    Invisible,
}

impl SlotName {
    /// Trims and normalises `text`, then checks the rules for a name from a client.
    ///
    /// # Errors
    /// [`NameError`] names the broken rule.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = Self::parse_written(text)?;
        if name.0.chars().any(|one| matches!(one, '\u{2028}' | '\u{2029}')) {
            return Err(NameError::LineSeparator);
        }
        if name.0.chars().any(|one| matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
            return Err(NameError::BidirectionalControl);
        }
        if name.0.chars().all(shows_nothing) {
            return Err(NameError::Invisible);
        }
        Ok(name)
    }

    /// Reads a name from a message, by the rules that every version has kept. [`SlotName::parse`] demands
    /// more now, and an event of an older version must not become a dead letter for that.
    ///
    /// # Errors
    /// [`NameError`] names the broken rule.
    pub(crate) fn parse_written(text: &str) -> Result<Self, NameError> {
        let name: String = text.trim().nfc().collect();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > NAME_MAX_CHARS {
            return Err(NameError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter);
        }
        Ok(Self(name))
    }

    /// Takes a name from a database without checking it.
    pub(crate) fn as_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters that show nothing by themselves: Unicode's `Default_Ignorable_Code_Point`, and the annotation
/// characters U+FFF9 to U+FFFB. Next to other characters they have their uses: a joiner shapes Persian words
/// and composes emoji.
const IGNORABLE: [RangeInclusive<char>; 16] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
];

/// The plane that Unicode reserves for characters that show nothing.
const IGNORABLE_PLANE: RangeInclusive<char> = '\u{e0000}'..='\u{e0fff}';

fn shows_nothing(one: char) -> bool {
    one.is_whitespace()
        || IGNORABLE_PLANE.contains(&one)
        || IGNORABLE.iter().any(|range| range.contains(&one))
}
