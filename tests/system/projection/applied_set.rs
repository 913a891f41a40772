//! The set of applied positions in SQL against a plain set of integers.

use std::collections::BTreeSet;

use anyhow::Result;
use proptest::{collection::vec, prop_assert, prop_assert_eq};
use system_tests::level::rows::replication_status;

use super::{Stand, Step, fail, log_of, second};

const POSITIONS: u8 = 40;
const CASES: u32 = 150;

/// The set as PostgreSQL writes a multirange; 0 stands for the empty log.
fn as_multirange(applied: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = vec![(0, 1)];
    for position in applied {
        match ranges.last_mut() {
            Some((_, end)) if end == position => *end += 1,
            _ => ranges.push((*position, position + 1)),
        }
    }
    let ranges: Vec<String> = ranges.iter().map(|(start, end)| format!("[{start},{end})")).collect();
    format!("{{{}}}", ranges.join(","))
}

fn through(applied: &BTreeSet<i64>) -> i64 {
    (1..).take_while(|position| applied.contains(position)).last().unwrap_or(0)
}

#[test]
fn the_applied_set_is_a_set_in_any_order_repetition_and_batching() -> Result<()> {
    let stand = Stand::new()?;
    let log = log_of(&(0..POSITIONS).map(|number| (number, Step::Create)).collect::<Vec<_>>());
    let batches = vec(vec(0..usize::from(POSITIONS), 0..12), 1..12);

    stand.for_each(CASES, &batches, async |batches| {
        let mut expected = BTreeSet::new();
        for batch in batches {
            let events: Vec<_> = batch.iter().map(|place| log[*place].clone()).collect();
            expected.extend(events.iter().map(|event| event.position.get()));

            let applied = stand.apply(&events).await.map_err(fail)?;

            let replica = stand.replica.sql().await.map_err(fail)?;
            let status = replication_status(&replica).await.map_err(fail)?;
            let through = through(&expected);
            prop_assert_eq!(&status.applied, &as_multirange(&expected), "the set");
            prop_assert_eq!(status.applied_through, through, "the last position before the first hole");
            prop_assert_eq!(applied.applied_through, through, "what the step reports");
            let as_of = (through > 0).then(|| second(through));
            prop_assert_eq!(status.as_of, as_of, "the commit time at applied_through");
            let beyond = expected.range(through + 1..).next().is_some();
            prop_assert!(beyond || status.ahead == 0, "nothing is kept for a hole that is filled");
        }
        Ok(())
    })
}
