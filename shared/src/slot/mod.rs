//! The rules of a parking slot: its commands, what they do, and the slot afterwards.
//!
//! | module | holds |
//! |---|---|
//! | [`name`] | the name of a slot |
//! | [`state`] | a slot: status, version, and the whole |
//! | [`command`] | the commands |
//! | [`decision`] | `decide` and `evolve` |
//!
//! Everything here is pure. [`decide`] answers a command with an event or a rejection; [`evolve`] returns the
//! slot after an event. Times and positions are absent, because only the commit sets them.

pub mod name;
pub mod state;
pub mod command;
pub mod decision;

pub use self::{
    command::{ChangeSlot, Command, CreateSlot, DeleteSlot, Precondition},
    decision::{Changed, Rejection, SlotEvent, created, decide, evolve},
    name::{NAME_MAX_CHARS, NameError, SlotName},
    state::{Slot, SlotStatus, Version},
};
