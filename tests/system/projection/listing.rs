//! What the list shows while positions are missing: a prefix of the order of creation that only ever grows, so that no
//! slot turns up behind a cursor that was given out, and none that was listed disappears.

use anyhow::Result;
use command_service::queries::{cursor::Cursor, list::Filter, replica::Replica, status::HandedBack};
use proptest::{collection::vec, prelude::Strategy, prop_assert_eq, sample};
use shared::process::{dependency_state::Dependency, tasks::Tasks};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Stand, Step, fail, log_of};

const CASES: u32 = 100;

/// How the places of a log are shared out over batches, in the order in which these come; every place comes.
fn batches(count: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    let order = sample::subsequence((0..count).collect::<Vec<_>>(), count).prop_shuffle();
    (order, vec(1..5_usize, count)).prop_map(|(mut places, sizes)| {
        let mut batches = Vec::new();
        for size in sizes {
            let rest = places.split_off(size.min(places.len()));
            batches.push(std::mem::replace(&mut places, rest));
        }
        batches.retain(|batch| !batch.is_empty());
        batches
    })
}

#[test]
fn the_list_is_a_growing_prefix_of_the_order_of_creation() -> Result<()> {
    let stand = Stand::new()?;
    let log = log_of(&(0..20).map(|number| (number, Step::Create)).collect::<Vec<_>>());
    let created: Vec<Uuid> = log.iter().map(|event| event.event.uuid()).collect();
    let (reader, mut tasks) = (stand.reader_url()?, Tasks::default());
    let queries = stand.runtime.block_on(async {
        Replica::open(&reader, &Dependency::new("replica"), &mut tasks, &CancellationToken::new())
    });

    stand.for_each(CASES, &batches(log.len()), async |batches| {
        for batch in batches {
            let events: Vec<_> = batch.iter().map(|place| log[*place].clone()).collect();
            let through = stand.apply(&events).await.map_err(fail)?.applied_through;

            let page = queries.list(&Filter::default(), Cursor::START, 100, &HandedBack::default()).await;

            let page = page.map_err(|error| fail(error.into()))?.found;
            let listed: Vec<Uuid> = page.items().iter().map(|record| record.slot.uuid).collect();
            let through = usize::try_from(through).unwrap_or(0);
            prop_assert_eq!(
                &listed,
                &created[..through],
                "what is before the first hole, and nothing behind it"
            );
        }
        Ok(())
    })
}
