//! What was asked, what was answered, and whether the log agrees.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, ensure};
use uuid::Uuid;

use crate::{
    client::{Reply, Slot},
    level::EventRow,
};

/// What a client asked. No two ask for the same event: names are asked for only once, and a slot is deleted only
/// once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A slot of this name.
    Create {
        /// Asked for only once.
        name: String,
        /// Its first status.
        status: &'static str,
    },
    /// A slot's new name and status.
    Change {
        /// Which slot.
        uuid: Uuid,
        /// Asked for only once.
        name: String,
        /// Its new status.
        status: &'static str,
    },
    /// A change without any field.
    ChangeNothing {
        /// Which slot.
        uuid: Uuid,
    },
    /// A slot's end.
    Delete {
        /// Which slot.
        uuid: Uuid,
    },
}

/// What became of a command, as far as its client was told.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It was acknowledged, with the slot unless it was deleted.
    Done(Option<Box<Slot>>),
    /// The service answered that it was not carried out.
    Refused {
        /// The answer's status.
        status: u16,
    },
    /// The service was not there.
    NotAsked,
    /// The connection was lost, or the service answered that it does not know.
    Unknown(String),
}

/// A command and what became of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub fate: Fate,
}

/// Every command of a load.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The commands, in no particular order.
    pub entries: Vec<Entry>,
}

/// What tells the event of one command from those of all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Mark {
    Named(String),
    Deleted(Uuid),
}

impl Fate {
    pub(super) fn of(answer: Result<Reply, reqwest::Error>) -> Self {
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) if error.is_connect() => return Self::NotAsked,
            Err(error) => return Self::Unknown(error.to_string()),
        };
        if reply.status.is_success() {
            return Self::Done(serde_json::from_value(reply.body).ok());
        }
        match reply.problem() {
            "outcome-unknown" => Self::Unknown("outcome-unknown".to_owned()),
            _ => Self::Refused { status: reply.status.as_u16() },
        }
    }
}

impl History {
    /// How many commands were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Done(_)))
    }

    /// How many commands ended in doubt.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Unknown(_)))
    }

    /// How many commands were refused with a status for which this holds.
    #[must_use]
    pub fn refused(&self, with: impl Fn(u16) -> bool) -> usize {
        self.count(|fate| matches!(fate, Fate::Refused { status } if with(*status)))
    }

    /// Checks that the log is what the clients were told: every acknowledged command has exactly its event, with what
    /// was answered; every refused one has none; one in doubt has one or none; and there is no event that nobody
    /// asked for.
    ///
    /// # Errors
    /// The first command or event that breaks this.
    pub fn check(&self, log: &[EventRow]) -> Result<()> {
        let mut by_mark: HashMap<Mark, &EventRow> = HashMap::new();
        for event in log {
            let twice = by_mark.insert(mark_of_event(event), event);
            ensure!(twice.is_none(), "one command made two events: {twice:?} and {event:?}");
        }
        let mut allowed: HashSet<Mark> = HashSet::new();
        for entry in &self.entries {
            let mark = entry.asked.mark();
            let event = mark.as_ref().and_then(|mark| by_mark.get(mark).copied());
            match &entry.fate {
                Fate::Done(slot) => entry.check_done(slot.as_deref(), event, log)?,
                Fate::Refused { .. } | Fate::NotAsked => continue,
                Fate::Unknown(_) => {}
            }
            allowed.extend(mark);
        }
        for (mark, event) in &by_mark {
            ensure!(
                allowed.contains(mark),
                "nobody was told of this event, and nobody was left in doubt: {event:?}"
            );
        }
        Ok(())
    }

    /// The commands in doubt that were carried out all the same, so that their answers were lost.
    #[must_use]
    pub fn lost_answers(&self, log: &[EventRow]) -> Vec<&Entry> {
        let happened: HashSet<Mark> = log.iter().map(mark_of_event).collect();
        let in_doubt = self.entries.iter().filter(|entry| matches!(entry.fate, Fate::Unknown(_)));
        in_doubt.filter(|entry| entry.asked.mark().is_some_and(|mark| happened.contains(&mark))).collect()
    }

    fn count(&self, with: impl Fn(&Fate) -> bool) -> usize {
        self.entries.iter().filter(|entry| with(&entry.fate)).count()
    }
}

impl Entry {
    fn check_done(&self, slot: Option<&Slot>, event: Option<&EventRow>, log: &[EventRow]) -> Result<()> {
        if let (Asked::ChangeNothing { uuid }, Some(slot)) = (&self.asked, slot) {
            let seen = log.iter().any(|event| event.slot_uuid == *uuid && event.version == slot.version);
            ensure!(seen, "this was answered, and no event made that version: {slot:?}");
            return Ok(());
        }
        let Some(event) = event else {
            anyhow::bail!("this was acknowledged and is not in the log: {self:?}");
        };
        let Some(slot) = slot else {
            ensure!(matches!(self.asked, Asked::Delete { .. }), "an answer without its slot: {self:?}");
            return Ok(());
        };
        let answered =
            (slot.uuid, slot.version, Some(&slot.name), Some(&slot.status), slot.created_at, slot.updated_at);
        let logged = (
            event.slot_uuid,
            event.version,
            event.name.as_ref(),
            event.status.as_ref(),
            event.created_at,
            event.committed_at,
        );
        ensure!(answered == logged, "{answered:?} was answered, and {logged:?} stands in the log");
        Ok(())
    }
}

impl Asked {
    fn mark(&self) -> Option<Mark> {
        match self {
            Self::Create { name, .. } | Self::Change { name, .. } => Some(Mark::Named(name.clone())),
            Self::ChangeNothing { .. } => None,
            Self::Delete { uuid } => Some(Mark::Deleted(*uuid)),
        }
    }
}

/// An update carries its slot's name as well, which is always a new one.
fn mark_of_event(event: &EventRow) -> Mark {
    match &event.name {
        Some(name) => Mark::Named(name.clone()),
        None => Mark::Deleted(event.slot_uuid),
    }
}
