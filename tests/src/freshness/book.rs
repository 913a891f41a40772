//! What was acknowledged.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use uuid::Uuid;

use super::register::{Floor, Register, raise};

/// A state of a slot that somebody was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It has this version.
    Version(i64),
    /// It was removed.
    Removed,
}

/// An acknowledged command.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its `Write-Receipt`.
    pub receipt: String,
    /// What it was told about which slots.
    pub slots: Vec<(Uuid, Told)>,
    /// When the answer had come.
    pub acknowledged: Instant,
}

/// All acknowledged commands, in order of their answers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Book {
    shared: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    writes: Vec<Arc<Write>>,
    slots: Vec<(Uuid, i64)>,
}

impl Write {
    /// Raises the floor to what who sees this write must see. [`Write::is_in`] finds what the log does not have.
    pub fn demands(&self, register: &Register, floor: &mut Floor) {
        for (uuid, told) in &self.slots {
            let version = match told {
                Told::Version(version) => Some(*version),
                Told::Removed => register.removal(*uuid).map(|event| event.version),
            };
            if let Some(version) = version {
                raise(floor, *uuid, version);
            }
        }
    }

    /// Whether everything that it was told of stands in the log.
    #[must_use]
    pub fn is_in(&self, register: &Register) -> bool {
        self.slots.iter().all(|(uuid, told)| match told {
            Told::Version(version) => register.event(*uuid, *version).is_some(),
            Told::Removed => register.removal(*uuid).is_some(),
        })
    }
}

impl Book {
    /// Notes an acknowledgement that has just come.
    pub fn note(&self, receipt: String, slots: Vec<(Uuid, Told)>) {
        let mut pages = self.pages();
        for (uuid, told) in &slots {
            let known = pages.slots.iter().rposition(|(other, _)| other == uuid);
            match (told, known) {
                (Told::Version(version), Some(known)) => pages.slots[known].1 = *version,
                (Told::Version(version), None) => pages.slots.push((*uuid, *version)),
                (Told::Removed, Some(known)) => drop(pages.slots.remove(known)),
                (Told::Removed, None) => {}
            }
        }
        pages.writes.push(Arc::new(Write { receipt, slots, acknowledged: Instant::now() }));
    }

    /// The writes so far, in order of their answers.
    #[must_use]
    pub fn writes(&self) -> Vec<Arc<Write>> {
        self.pages().writes.clone()
    }

    /// How many writes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages().writes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The write that was acknowledged this many before the last one; the first if there are not so many.
    #[must_use]
    pub fn back(&self, back: usize) -> Option<Arc<Write>> {
        let pages = self.pages();
        pages.writes.iter().rev().nth(back).or(pages.writes.first()).cloned()
    }

    /// The last write that said something about a slot.
    #[must_use]
    pub fn newest(&self, uuid: Uuid) -> Option<Arc<Write>> {
        let pages = self.pages();
        pages.writes.iter().rev().find(|write| write.slots.iter().any(|(slot, _)| *slot == uuid)).cloned()
    }

    /// How many slots there are, as far as anybody was told.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.pages().slots.len()
    }

    /// A slot and the version that somebody was told last, counted from the youngest.
    #[must_use]
    pub fn slot(&self, back: usize) -> Option<(Uuid, i64)> {
        self.pages().slots.iter().rev().nth(back).copied()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
