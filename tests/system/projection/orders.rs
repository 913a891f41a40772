//! Every order, repetition and batching of a list of events gives the same rows.

use anyhow::{Result, ensure};
use event_consumer::projection::ReplicaSession;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy},
    prop_assert_eq, sample,
};
use shared::messages::event::LoggedEvent;
use system_tests::{
    level::{
        PrimaryRow, ReplicaRow, Tombstone, fold,
        rows::{replica_slots, replication_status, summary, tombstones},
    },
    random::{Random, seed},
};

use super::{Stand, Step, apply, fail, log_of, rows_of};

const CASES: u32 = 120;

/// Rows, tombstones and summary, which must follow from the log alone.
#[derive(Debug, PartialEq)]
struct Content {
    slots: Vec<ReplicaRow>,
    tombstones: Vec<Tombstone>,
    summary: Vec<(String, i64)>,
    applied: String,
}

impl Content {
    fn of_log(log: &[LoggedEvent]) -> Result<Self> {
        let (slots, tombstones) = fold(&rows_of(log))?;
        let slots: Vec<ReplicaRow> = slots.iter().map(PrimaryRow::copy).collect();
        let summary = ["available", "blocked", "occupied", "reserved"].map(|status| {
            let count = slots.iter().filter(|slot| slot.status == status).count();
            (status.to_owned(), i64::try_from(count).unwrap_or(i64::MAX))
        });
        Ok(Self {
            slots,
            tombstones,
            summary: summary.to_vec(),
            applied: format!("{{[0,{})}}", log.len() + 1),
        })
    }

    async fn of_replica(stand: &Stand) -> Result<Self> {
        let replica = stand.replica.sql().await?;
        Ok(Self {
            slots: replica_slots(&replica).await?,
            tombstones: tombstones(&replica).await?,
            summary: summary(&replica).await?.into_iter().collect(),
            applied: replication_status(&replica).await?.applied,
        })
    }
}

/// Splits `events` behind each place whose bit is set in `cuts`.
fn split(events: &[LoggedEvent], cuts: usize) -> Vec<Vec<LoggedEvent>> {
    let mut batches = vec![Vec::new()];
    for (place, event) in events.iter().enumerate() {
        if let Some(batch) = batches.last_mut() {
            batch.push(event.clone());
        }
        if place + 1 < events.len() && cuts & (1 << place) != 0 {
            batches.push(Vec::new());
        }
    }
    batches
}

/// Every order of `events` (Heap's algorithm).
fn permutations(events: &[LoggedEvent]) -> Vec<Vec<LoggedEvent>> {
    fn permute(events: &mut Vec<LoggedEvent>, count: usize, out: &mut Vec<Vec<LoggedEvent>>) {
        if count <= 1 {
            out.push(events.clone());
            return;
        }
        for place in 0..count {
            permute(events, count - 1, out);
            events.swap(if count.is_multiple_of(2) { place } else { 0 }, count - 1);
        }
    }
    let mut out = Vec::new();
    permute(&mut events.to_vec(), events.len(), &mut out);
    out
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let steps = vec![Step::Create, Step::Create, Step::Rename, Step::Rename, Step::Occupy, Step::Delete];
    (0..6_u8, sample::select(steps))
}

/// A log, then its events shuffled, with some of them repeated, and where to cut.
fn shuffled_log() -> impl Strategy<Value = (Vec<LoggedEvent>, Vec<LoggedEvent>, usize)> {
    let log = vec(step(), 5..45).prop_map(|steps| log_of(&steps));
    let log = log.prop_filter("an empty log", |log| !log.is_empty());
    log.prop_flat_map(|log| {
        let repeated = sample::subsequence(log.clone(), 0..=log.len());
        let sent = repeated.prop_map({
            let log = log.clone();
            move |repeated| [log.clone(), repeated].concat()
        });
        (Just(log), sent.prop_shuffle(), proptest::prelude::any::<usize>())
    })
}

#[test]
fn every_order_and_batching_of_a_short_list_gives_the_same_rows() -> Result<()> {
    let stand = Stand::new()?;
    let log = log_of(&[
        (1, Step::Create),
        (2, Step::Create),
        (1, Step::Rename),
        (2, Step::Occupy),
        (1, Step::Delete),
    ]);
    let expected = Content::of_log(&log)?;
    let orders = permutations(&log);
    assert_eq!((log.len(), orders.len()), (5, 120), "all orders are tried");

    stand.runtime.block_on(async {
        for order in &orders {
            for cuts in 0..1 << (log.len() - 1) {
                stand.empty().await?;
                for batch in split(order, cuts) {
                    stand.apply(&batch).await?;
                }
                let content = Content::of_replica(&stand).await?;
                let positions: Vec<_> = order.iter().map(|event| event.position.get()).collect();
                ensure!(
                    content == expected,
                    "order {positions:?} cut by {cuts:b}: expected {expected:?}, found {content:?}"
                );
            }
        }
        Ok(())
    })
}

#[test]
fn a_long_list_shuffled_repeated_and_cut_gives_the_same_rows() -> Result<()> {
    let stand = Stand::new()?;

    stand.for_each(CASES, &shuffled_log(), async |(log, sent, cuts)| {
        let expected = Content::of_log(&log).map_err(fail)?;
        for batch in split(&sent, cuts) {
            stand.apply(&batch).await.map_err(fail)?;
            let between = Content::of_replica(&stand).await.map_err(fail)?;
            let total: i64 = between.summary.iter().map(|(_, slots)| slots).sum();
            prop_assert_eq!(
                total,
                i64::try_from(between.slots.len()).unwrap_or(-1),
                "the summary at every moment"
            );
        }
        prop_assert_eq!(Content::of_replica(&stand).await.map_err(fail)?, expected);
        Ok(())
    })
}

#[test]
fn two_appliers_at_once_leave_the_same_rows() -> Result<()> {
    let stand = Stand::new()?;
    let mut random = Random::new(seed());

    stand.runtime.block_on(async {
        for round in 0..40 {
            let steps: Vec<(u8, Step)> = (0..60)
                .map(|_| {
                    let number = u8::try_from(random.below(6)).unwrap_or(0);
                    (
                        number,
                        *random.one_of(&[
                            Step::Create,
                            Step::Rename,
                            Step::Occupy,
                            Step::Rename,
                            Step::Delete,
                        ]),
                    )
                })
                .collect();
            let log = log_of(&steps);
            stand.empty().await?;

            // Both get everything, each in an order of its own, in small batches.
            let orders = [shuffle(&log, &mut random), shuffle(&log, &mut random)];
            let url = &stand.url;
            let appliers = orders.map(|order| async move {
                let mut session = ReplicaSession::open(url).await?;
                for batch in order.chunks(4) {
                    apply(&mut session, batch).await?;
                }
                anyhow::Ok(())
            });
            futures_util::future::try_join_all(appliers).await?;

            let (expected, content) = (Content::of_log(&log)?, Content::of_replica(&stand).await?);
            ensure!(content == expected, "round {round}: expected {expected:?}, found {content:?}");
        }
        Ok(())
    })
}

#[test]
fn a_duplicate_writes_nothing_and_heals_an_edit_by_hand() -> Result<()> {
    let stand = Stand::new()?;
    let log = log_of(&[(1, Step::Create), (2, Step::Create), (2, Step::Delete)]);

    stand.runtime.block_on(async {
        stand.apply(&log).await?;
        let replica = stand.replica.sql().await?;
        let versions = "SELECT array_agg(xmin::text ORDER BY uuid) FROM parking_slots";
        let written: Vec<String> = replica.query_one(versions, &[]).await?.try_get(0)?;

        stand.apply(&log).await?;
        let after_duplicate: Vec<String> = replica.query_one(versions, &[]).await?.try_get(0)?;
        replica.batch_execute("UPDATE parking_slots SET name = 'Edited', status = 'blocked'").await?;
        stand.apply(&log).await?;

        assert_eq!(after_duplicate, written, "the row was not written again");
        assert_eq!(Content::of_replica(&stand).await?, Content::of_log(&log)?, "the edit is gone");
        Ok(())
    })
}

fn shuffle(log: &[LoggedEvent], random: &mut Random) -> Vec<LoggedEvent> {
    let mut order = log.to_vec();
    for place in (1..order.len()).rev() {
        order.swap(place, random.below(place + 1));
    }
    order
}
