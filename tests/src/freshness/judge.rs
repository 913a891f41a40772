//! Whether a read told the truth.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    book::Write,
    register::{Floor, Register, raise},
    sample::{Answer, Claim, Demand, Sample, Scope, Shown},
    verdict::Checks,
};
use crate::level::EventRow;

/// How far commit times may be ahead of the clock: a microsecond for each event of the largest batch, with room.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_millis(5);

/// A read that took longer has waited for what it demanded.
const WAITED: Duration = Duration::from_millis(20);

/// Judges samples, those of one sequence in their order.
#[derive(Debug, Default)]
pub struct Judge {
    /// What was checked.
    pub checks: Checks,
    sequences: HashMap<usize, Floor>,
    /// What must be seen as of the times that answers of this log have said: many say the same.
    floors: HashMap<Timestamp, Floor>,
    events: usize,
}

/// What a sample is judged against: the log and the acknowledgements, both read after its answer. For a read of one slot,
/// those of this slot are enough.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'e> {
    /// The log.
    pub register: &'e Register,
    /// The acknowledgements.
    pub writes: &'e [Arc<Write>],
}

impl Judge {
    /// Checks everything that an answer claims.
    ///
    /// # Errors
    /// What was not true.
    pub fn judge(&mut self, sample: &Sample, evidence: Evidence<'_>) -> Result<()> {
        let answer = match &sample.outcome {
            Ok(answer) => answer,
            Err(refusal) if refusal.status == 504 => return count(&mut self.checks.behind),
            Err(_) => return count(&mut self.checks.unavailable),
        };
        let seen = Seen { sample, answer, register: evidence.register };
        self.check(&seen, evidence).with_context(|| seen.describe())
    }

    fn check(&mut self, seen: &Seen<'_>, evidence: Evidence<'_>) -> Result<()> {
        ensure!(seen.answer.missing.is_none(), "nothing was dead-lettered, and Freshness-Missing is there");
        seen.shows_only_what_was_written()?;
        self.check_as_of(seen)?;
        match seen.answer.claim {
            Claim::Satisfied => self.check_demand(seen, evidence)?,
            Claim::Stale => self.checks.stale += 1,
            Claim::Eventual => self.check_eventual(seen, evidence)?,
        }
        self.check_sequence(seen)?;
        match seen.sample.scope {
            Scope::One(_) => count(&mut self.checks.of_one),
            Scope::Page { .. } => count(&mut self.checks.of_page),
            Scope::Summary => count(&mut self.checks.of_summary),
        }
    }

    fn check_as_of(&mut self, seen: &Seen<'_>) -> Result<()> {
        let Some(as_of) = seen.answer.as_of else { return Ok(()) };
        ensure!(as_of <= seen.latest_commit_time(), "Freshness-As-Of is {as_of}, which is yet to come");
        if let Scope::One(uuid) = seen.sample.scope {
            let floor = seen.register.floor_of_slot_at(uuid, as_of);
            seen.shows(&floor).with_context(|| format!("Freshness-As-Of is {as_of}"))?;
            return count(&mut self.checks.as_of);
        }
        if self.events != seen.register.events.len() {
            self.events = seen.register.events.len();
            self.floors.clear();
        }
        let floor = self.floors.entry(as_of).or_insert_with(|| seen.register.floor_at(as_of));
        seen.shows(floor).with_context(|| format!("Freshness-As-Of is {as_of}"))?;
        count(&mut self.checks.as_of)
    }

    fn check_demand(&mut self, seen: &Seen<'_>, Evidence { register, writes }: Evidence<'_>) -> Result<()> {
        let (demand, sent) = (&seen.sample.demand, seen.sample.sent);
        self.checks.satisfied += 1;
        self.checks.after_wait += usize::from(seen.sample.answered - sent > WAITED);
        if !demand.writes.is_empty() {
            seen.shows(&floor_of(&demand.writes, register)?).context("these receipts were demanded")?;
            self.checks.receipt += 1;
        }
        if demand.strong {
            let before = acknowledged_before(writes, Some(sent));
            seen.shows(&floor_of(before, register)?).context("it was to be strong")?;
            self.checks.strong += 1;
        }
        if let Some(bound) = demand.staleness {
            let before = acknowledged_before(writes, sent.checked_sub(bound));
            seen.shows(&floor_of(before, register)?)
                .with_context(|| format!("it was to be at most {bound:?} behind"))?;
            self.checks.bounded += 1;
        }
        Ok(())
    }

    fn check_eventual(&mut self, seen: &Seen<'_>, Evidence { register, writes }: Evidence<'_>) -> Result<()> {
        self.checks.eventual += 1;
        if let Some(write) = &seen.sample.demand.said_applied {
            let floor = floor_of(std::slice::from_ref(write), register)?;
            seen.shows(&floor).context("this write had been said to be applied")?;
            self.checks.said_applied += 1;
        }
        let before = acknowledged_before(writes, Some(seen.sample.sent));
        self.checks.lacking += usize::from(seen.shows(&floor_of(before, register)?).is_err());
        Ok(())
    }

    fn check_sequence(&mut self, seen: &Seen<'_>) -> Result<()> {
        let Some(sequence) = seen.sample.sequence else { return Ok(()) };
        let floor = self.sequences.entry(sequence).or_default();
        let kept = seen.shows(floor);
        if seen.sample.demand.read_receipt.is_some() && seen.answer.claim == Claim::Satisfied {
            kept.context("an earlier read had shown this, and its receipt was handed on")?;
            self.checks.handed_on += 1;
        } else if kept.is_err() {
            self.checks.went_back += 1;
            floor.clear();
        }
        seen.raise(floor);
        Ok(())
    }
}

fn count(counter: &mut usize) -> Result<()> {
    *counter += 1;
    Ok(())
}

fn acknowledged_before(writes: &[Arc<Write>], moment: Option<Instant>) -> &[Arc<Write>] {
    let before = writes.partition_point(|write| moment.is_some_and(|moment| write.acknowledged < moment));
    &writes[..before]
}

fn floor_of(writes: &[Arc<Write>], register: &Register) -> Result<Floor> {
    let mut floor = Floor::new();
    for write in writes {
        ensure!(write.is_in(register), "this was acknowledged and is not in the log: {write:?}");
        write.demands(register, &mut floor);
    }
    Ok(floor)
}

/// An answer beside the log.
struct Seen<'s> {
    sample: &'s Sample,
    answer: &'s Answer,
    register: &'s Register,
}

impl Seen<'_> {
    fn describe(&self) -> String {
        let Sample { scope, demand, sent, answered, .. } = self.sample;
        let Answer { claim, as_of, .. } = self.answer;
        let Demand { writes, read_receipt, strong, staleness, wait, or_stale, .. } = demand;
        format!(
            "a read of {scope:?} (receipts: {}, of a read: {}, strong: {strong}, staleness: {staleness:?}, wait: \
             {wait:?}, or stale: {or_stale}) that took {:?} was answered {claim:?} as of {as_of:?}",
            writes.len(),
            read_receipt.is_some(),
            *answered - *sent
        )
    }

    /// Nothing that was committed later can have been shown.
    fn latest_commit_time(&self) -> Timestamp {
        self.sample.answered_at.saturating_add(CLOCK_SLACK).unwrap_or(self.sample.answered_at)
    }

    fn shows_only_what_was_written(&self) -> Result<()> {
        let Shown::Slots(slots, _) = &self.answer.shown else { return Ok(()) };
        for (uuid, version) in slots {
            ensure!(
                self.register.event(*uuid, *version).is_some(),
                "nobody wrote version {version} of {uuid}"
            );
        }
        Ok(())
    }

    /// Whether everything at or above the floor is there.
    fn shows(&self, floor: &Floor) -> Result<()> {
        match &self.answer.shown {
            Shown::Counts(counts) => {
                let counts =
                    super::counting::SORTS.map(|status| counts.get(status).copied().unwrap_or_default());
                super::counting::check(self.register, floor, self.latest_commit_time(), counts)
            }
            Shown::Slots(slots, _) => {
                for (uuid, least) in floor.iter().filter(|(uuid, _)| self.is_in_scope(**uuid)) {
                    match slots.get(uuid) {
                        Some(version) if version >= least => {}
                        None if self.may_be_absent(*uuid, *least) => {}
                        shown => bail!("of {uuid}, version {least} was to be seen, and seen was {shown:?}"),
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether a slot would be shown at all if it exists and has the right name.
    fn is_in_scope(&self, uuid: Uuid) -> bool {
        let end = match &self.answer.shown {
            Shown::Slots(_, end) => *end,
            Shown::Counts(_) => None,
        };
        match &self.sample.scope {
            Scope::One(one) => *one == uuid,
            Scope::Summary => true,
            Scope::Page { after, .. } => self.register.place(uuid).is_some_and(|place| {
                after.as_ref().is_none_or(|(after, _)| place > *after) && end.is_none_or(|end| place <= end)
            }),
        }
    }

    /// Whether a slot of this version or a later one was removed, or renamed out of the scope, before the answer.
    fn may_be_absent(&self, uuid: Uuid, least: i64) -> bool {
        let needle = match &self.sample.scope {
            Scope::Page { name, .. } => name.as_deref().unwrap_or_default(),
            Scope::One(_) | Scope::Summary => "",
        };
        let hidden = |event: &EventRow| match &event.name {
            Some(name) => !name.to_lowercase().contains(needle),
            None => true,
        };
        let latest = self.latest_commit_time();
        self.register
            .history(uuid)
            .any(|event| event.version >= least && event.committed_at <= latest && hidden(event))
    }

    /// Raises the floor to what this answer has shown. Of a list by name nothing follows for what it does not show.
    fn raise(&self, floor: &mut Floor) {
        let Shown::Slots(slots, _) = &self.answer.shown else { return };
        let shows_all = !matches!(self.sample.scope, Scope::Page { name: Some(_), .. });
        let gone: Vec<Uuid> = floor
            .keys()
            .copied()
            .filter(|uuid| shows_all && self.is_in_scope(*uuid) && !slots.contains_key(uuid))
            .collect();
        for uuid in gone {
            if let Some(removal) = self.register.removal(uuid) {
                raise(floor, uuid, removal.version);
            }
        }
        for (uuid, version) in slots {
            raise(floor, *uuid, *version);
        }
    }
}
