//! Reads the values of arguments. Each error says what the value must be.

use std::num::NonZeroUsize;

use shared::{
    position::Position,
    slot::{NameError, SlotName, SlotStatus, Version},
};

use crate::queries::list::Filter;

pub(super) fn parse_name(text: &str) -> Result<SlotName, NameError> {
    SlotName::parse(text)
}

pub(super) fn parse_name_part(text: &str) -> Result<String, &'static str> {
    Filter::name_part(text).ok_or("must be 1 to 200 characters, none of them control")
}

pub(super) fn parse_status(text: &str) -> Result<SlotStatus, &'static str> {
    SlotStatus::parse(text).ok_or("must be available, reserved, occupied or blocked")
}

pub(super) fn parse_limit(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "must be a number: 1 or more")
}

pub(super) fn parse_position(text: &str) -> Result<Position, &'static str> {
    text.parse().ok().and_then(Position::new).ok_or("must be a position: 1 or more")
}

pub(super) fn parse_version(text: &str) -> Result<Version, &'static str> {
    text.parse().ok().and_then(Version::new).ok_or("must be a version: 1 or more")
}
