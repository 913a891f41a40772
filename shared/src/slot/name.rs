//! The name of a slot.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest name of a slot, in Unicode scalar values after trimming and normalisation to NFC.
pub const NAME_MAX_CHARS: usize = 200;

/// The name of a slot: trimmed, in NFC, 1 to [`NAME_MAX_CHARS`] scalar values, without control characters.
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
}

impl SlotName {
    /// Trims and normalises `text`, and accepts it if what is left is a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
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

    /// A name that was read from one of the databases: what stands there is the name, whoever wrote it.
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
