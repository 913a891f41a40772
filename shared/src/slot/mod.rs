//! The rules of a parking slot: what may be asked of it, what happens then, and what it is afterwards.
//!
//! | module | holds |
//! |---|---|
//! | [`name`] | the name of a slot |
//! | [`state`] | a slot as its rules see it |
//! | [`command`] | what may be asked |
//! | [`decision`] | `decide` and `evolve` |
//!
//! Everything here is pure. [`decide`] answers a command with an event or a rejection; [`evolve`] says what an
//! event makes of a slot. Times and positions are not known before the commit and therefore absent.

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
