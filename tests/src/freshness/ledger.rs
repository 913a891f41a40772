//! The log and the acknowledgements by slot: a read of one slot is judged quickly, however long the log is.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::{book::Write, judge::Evidence, register::Register};
use crate::level::EventRow;

/// The log and the acknowledgements by slot.
#[derive(Debug, Default)]
pub struct Ledger {
    slots: HashMap<Uuid, Account>,
    nothing: Account,
}

#[derive(Debug, Default)]
struct Account {
    register: Register,
    writes: Vec<Arc<Write>>,
}

impl Ledger {
    /// Takes the log in order of position, and the acknowledgements in order of their answers. Each is of one slot.
    #[must_use]
    pub fn new(events: Vec<EventRow>, writes: &[Arc<Write>]) -> Self {
        let mut histories: HashMap<Uuid, Vec<EventRow>> = HashMap::new();
        for event in events {
            histories.entry(event.slot_uuid).or_default().push(event);
        }
        let account = |events| Account { register: Register::new(events), writes: Vec::new() };
        let mut slots: HashMap<Uuid, Account> =
            histories.into_iter().map(|(uuid, events)| (uuid, account(events))).collect();
        for write in writes {
            for (uuid, _) in &write.slots {
                slots.entry(*uuid).or_default().writes.push(Arc::clone(write));
            }
        }
        Self { slots, nothing: Account::default() }
    }

    /// What a read of this slot is judged against.
    #[must_use]
    pub fn of(&self, uuid: Uuid) -> Evidence<'_> {
        let account = self.slots.get(&uuid).unwrap_or(&self.nothing);
        Evidence { register: &account.register, writes: &account.writes }
    }

    /// The first acknowledgement that the log does not bear out.
    #[must_use]
    pub fn lost_write(&self) -> Option<&Write> {
        let accounts = self.slots.values();
        let mut writes =
            accounts.flat_map(|account| account.writes.iter().map(move |write| (write, &account.register)));
        writes.find(|(write, register)| !write.is_in(register)).map(|(write, _)| write.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::freshness::{
        book::Told,
        judge::Judge,
        sample::{Answer, Claim, Demand, Sample, Scope, Shown},
    };

    const SLOT: Uuid = Uuid::from_u128(1);

    /// Created, changed and removed: a commit each second, the last of them a second ago.
    fn events() -> Vec<EventRow> {
        let end = Timestamp::now() - SignedDuration::from_secs(4);
        let event = |version: i64| {
            let name = (version < 3).then(|| "Slot".to_owned());
            EventRow {
                position: version,
                version,
                committed_at: end + SignedDuration::from_secs(version),
                created_at: end + SignedDuration::from_secs(1),
                id: Uuid::from_u128(100),
                slot_uuid: SLOT,
                kind: "parking.update".to_owned(),
                status: name.as_ref().map(|_| "available".to_owned()),
                name,
                changed: None,
            }
        };
        (1..=3).map(event).collect()
    }

    fn write(told: Told, ago: Duration) -> Arc<Write> {
        let acknowledged = Instant::now().checked_sub(ago).expect("a clock that runs for some seconds");
        Arc::new(Write { receipt: String::new(), slots: vec![(SLOT, told)], acknowledged })
    }

    fn sample(demand: Demand, shown: Option<i64>, as_of: Option<Timestamp>) -> Sample {
        let claim = if demand.is_some() { Claim::Satisfied } else { Claim::Eventual };
        let shown = Shown::Slots(shown.map(|version| (SLOT, version)).into_iter().collect(), None);
        let (receipt, missing, next_cursor) = (String::new(), None, None);
        Sample {
            scope: Scope::One(SLOT),
            demand,
            sequence: Some(0),
            sent: Instant::now(),
            answered: Instant::now(),
            answered_at: Timestamp::now(),
            outcome: Ok(Answer { claim, as_of, receipt, missing, shown, next_cursor }),
        }
    }

    #[test]
    fn an_answer_that_is_older_than_demanded_is_caught_whatever_the_demand_is() {
        let changed = write(Told::Version(2), Duration::from_secs(2));
        let removed = write(Told::Removed, Duration::from_secs(1));
        let own = |write: &Arc<Write>| Demand { writes: vec![Arc::clone(write)], ..Demand::default() };
        let strong = Demand { strong: true, ..Demand::default() };
        let bounded = |ms| Demand { staleness: Some(Duration::from_millis(ms)), ..Demand::default() };
        let handed_on = Demand { read_receipt: Some(String::new()), ..Demand::default() };
        let (events, writes) = (events(), vec![Arc::clone(&changed), Arc::clone(&removed)]);
        let as_of = Some(events[1].committed_at);

        for (demand, as_of, before, shown, right, reason) in [
            (own(&changed), None, None, Some(2), true, "exactly what was demanded"),
            (own(&changed), None, None, None, true, "removed since"),
            (own(&changed), None, None, Some(1), false, "a version too low"),
            (own(&removed), None, None, None, true, "404 for a delete"),
            (own(&removed), None, None, Some(2), false, "a slot whose delete was demanded"),
            (strong.clone(), None, None, None, true, "all that was acknowledged"),
            (strong, None, None, Some(2), false, "the delete was acknowledged before"),
            (bounded(1500), None, None, Some(2), true, "the delete is younger than that"),
            (bounded(1500), None, None, Some(1), false, "the change is older than that"),
            (bounded(500), None, None, Some(2), false, "so is the delete"),
            (handed_on.clone(), None, Some(1), Some(2), true, "later than the read before"),
            (handed_on.clone(), None, Some(2), Some(1), false, "earlier than the read before"),
            (handed_on, None, Some(3), Some(2), false, "a slot that was gone is there again"),
            (Demand::default(), as_of, None, Some(2), true, "all up to its time"),
            (Demand::default(), as_of, None, Some(1), false, "something before its time is missing"),
            (Demand::default(), None, None, Some(4), false, "a version that nobody wrote"),
        ] {
            let ledger = Ledger::new(events.clone(), &writes);
            let mut judge = Judge::default();
            if let Some(version) = before {
                judge.judge(&sample(Demand::default(), Some(2), None), ledger.of(SLOT)).expect(reason);
                // The third version is the delete.
                let before = sample(Demand::default(), Some(version).filter(|version| *version < 3), None);
                judge.judge(&before, ledger.of(SLOT)).expect(reason);
            }

            let judged = judge.judge(&sample(demand, shown, as_of), ledger.of(SLOT));

            assert_eq!(judged.is_ok(), right, "{reason}: {judged:?}");
        }
    }

    #[test]
    fn an_acknowledged_write_that_the_log_does_not_have_is_found() {
        let written = write(Told::Version(2), Duration::ZERO);
        let lost = write(Told::Version(4), Duration::ZERO);

        assert!(Ledger::new(events(), &[Arc::clone(&written)]).lost_write().is_none());
        assert!(Ledger::new(events(), &[written, lost]).lost_write().is_some());
        assert!(Ledger::new(Vec::new(), &[write(Told::Removed, Duration::ZERO)]).lost_write().is_some());
    }
}
