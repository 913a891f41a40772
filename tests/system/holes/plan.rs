//! What is asked for and when, against a plain set of what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use event_consumer::holes::{
    missing::Missing,
    plan::{OPEN_MAX, PATIENCE, Plan},
};
use proptest::{collection::vec, prelude::*};
use rangemap::RangeSet;
use shared::messages::replay::REPLAY_MAX_POSITIONS;
use tokio::time::Instant;

/// Positions come in blocks of this many, so that a plain set is small and requests still meet their bound.
const BLOCK: i64 = 1_500;

/// The blocks that a log of these tests can have.
const BLOCKS: i64 = 60;

/// What happens between two looks.
#[derive(Clone, Debug)]
struct Step {
    pause_ms: u64,
    lost: Vec<i64>,
    log_grows: bool,
    is_busy: bool,
    /// Of the blocks that have been asked for, those that arrive: one of so many, or none for 0.
    answered_one_in: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let pause_ms = prop_oneof![3 => 100..600_u64, 1 => 600..6_000_u64];
    (pause_ms, vec(0..BLOCKS, 0..4), any::<bool>(), prop::bool::weighted(0.3), 0..4_usize).prop_map(
        |(pause_ms, lost, log_grows, is_busy, answered_one_in)| Step {
            pause_ms,
            lost,
            log_grows,
            is_busy,
            answered_one_in,
        },
    )
}

/// A replica and the log of which it misses something.
struct World {
    plan: Plan,
    now: Instant,
    /// What is missing, with the look that saw it first; `None` until then.
    missing: BTreeMap<i64, Option<Instant>>,
    /// Up to here, blocks have been applied or are missing.
    applied_end: i64,
    log_end: i64,
    asked: BTreeSet<i64>,
    /// What came stays: it is not missed again.
    arrived: BTreeSet<i64>,
}

impl World {
    fn new() -> Self {
        Self {
            plan: Plan::default(),
            now: Instant::now(),
            missing: BTreeMap::new(),
            applied_end: BLOCKS / 2,
            log_end: BLOCKS / 2,
            asked: BTreeSet::new(),
            arrived: BTreeSet::new(),
        }
    }

    fn happen(&mut self, step: &Step) {
        self.now += Duration::from_millis(step.pause_ms);
        if step.log_grows && self.log_end < BLOCKS {
            // What is beyond the highest applied block has not come yet.
            self.missing.insert(self.log_end, None);
            self.log_end += 1;
        }
        let lost = step.lost.iter().filter(|block| **block < self.applied_end);
        for block in lost.filter(|block| !self.arrived.contains(block)) {
            self.missing.entry(*block).or_insert(None);
        }
        if step.answered_one_in > 0 {
            let arrived: Vec<i64> = self.asked.iter().copied().step_by(step.answered_one_in).collect();
            arrived.into_iter().for_each(|block| self.arrives(block));
        }
    }

    fn arrives(&mut self, block: i64) {
        self.missing.remove(&block);
        self.asked.remove(&block);
        self.arrived.insert(block);
        self.applied_end = self.applied_end.max(block + 1);
    }

    /// A look, with every rule checked that holds at each of them.
    fn look(&mut self, is_busy: bool) -> Result<Vec<Range<i64>>, TestCaseError> {
        let mut missing = Missing { is_busy, ..Missing::default() };
        for (block, seen_at) in &mut self.missing {
            seen_at.get_or_insert(self.now);
            let side = if *block < self.applied_end { &mut missing.between } else { &mut missing.beyond };
            side.insert(positions(*block));
        }
        let asks = self.plan.look(&missing, self.now);
        for ask in &asks {
            prop_assert!(ask.start < ask.end && ask.end - ask.start <= REPLAY_MAX_POSITIONS, "{ask:?}");
            for block in ask.start / BLOCK..=(ask.end - 1) / BLOCK {
                let seen_at = self.missing.get(&block).copied().flatten();
                prop_assert!(seen_at.is_some(), "{ask:?} was asked for, and {block} is not missing");
                prop_assert!(seen_at <= Some(self.now - PATIENCE), "{block} was asked for too early");
                self.asked.insert(block);
            }
        }
        prop_assert!(self.plan.open().count() <= OPEN_MAX);
        prop_assert!(self.plan.open().all(|open| open.end - open.start <= REPLAY_MAX_POSITIONS));
        let open: RangeSet<i64> = self.plan.open().cloned().collect();
        let lengths: i64 = open.iter().map(|range| range.end - range.start).sum();
        let apart: i64 = self.plan.open().map(|range| range.end - range.start).sum();
        prop_assert_eq!(lengths, apart, "the same position is awaited twice");
        Ok(asks)
    }
}

fn positions(block: i64) -> Range<i64> {
    block * BLOCK..(block + 1) * BLOCK
}

proptest! {
    #[test]
    fn only_what_has_been_missing_long_enough_is_asked_for_and_all_of_it_in_the_end(
        steps in vec(step(), 0..60),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.happen(step);
            world.look(step.is_busy)?;
        }

        // From now on, all that is asked for comes before the next look.
        let calm = Step { pause_ms: 1_000, lost: vec![], log_grows: false, is_busy: false, answered_one_in: 1 };
        for _ in 0..40 {
            world.happen(&calm);
            world.look(false)?;
        }

        prop_assert!(world.missing.is_empty(), "never asked for: {:?}", world.missing.keys());
        prop_assert!(!world.plan.is_waiting());
        prop_assert_eq!(world.plan.in_vain().count(), 0);
    }

    #[test]
    fn what_never_comes_is_named_and_holds_up_nothing_else(
        lost in proptest::collection::btree_set(0..BLOCKS / 2, 1..20),
        stuck in vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let mut world = World::new();
        let stuck: BTreeSet<i64> =
            stuck.iter().map(|index| *index.get(&lost.iter().copied().collect::<Vec<_>>())).collect();
        world.missing = lost.iter().map(|block| (*block, None)).collect();

        for _ in 0..200 {
            world.now += Duration::from_secs(1);
            world.look(false)?;
            let arrived: Vec<i64> = world.asked.difference(&stuck).copied().collect();
            arrived.into_iter().for_each(|block| world.arrives(block));
        }

        let left: BTreeSet<i64> = world.missing.keys().copied().collect();
        prop_assert_eq!(&left, &stuck, "all but these came");
        let named: RangeSet<i64> = world.plan.in_vain().cloned().collect();
        let expected: RangeSet<i64> = stuck.iter().copied().map(positions).collect();
        prop_assert_eq!(named, expected);
    }
}

#[test]
fn a_request_without_answer_is_made_again_and_in_the_end_one_by_one() {
    let mut plan = Plan::default();
    let missing = Missing { between: std::iter::once(10..13).collect(), ..Missing::default() };
    let start = Instant::now();

    let asked: Vec<(u64, Vec<Range<i64>>)> = (0..20)
        .map(|second| (second, plan.look(&missing, start + Duration::from_secs(second))))
        .filter(|(_, asks)| !asks.is_empty())
        .collect();

    let whole = vec![Range { start: 10, end: 13 }];
    let singly = vec![10..11, 11..12, 12..13];
    assert_eq!(asked, [(2, whole.clone()), (7, whole), (12, singly.clone()), (17, singly)]);
}

#[test]
fn who_answers_one_request_after_the_other_is_not_asked_again_meanwhile() {
    let mut plan = Plan::default();
    let start = Instant::now();
    let all = 1..OPEN_MAX as i64 * REPLAY_MAX_POSITIONS + 1;
    let missing_from =
        |first: i64| Missing { between: std::iter::once(first..all.end).collect(), ..Missing::default() };
    plan.look(&missing_from(1), start);
    let asked = plan.look(&missing_from(1), start + PATIENCE);
    assert_eq!(asked.len(), OPEN_MAX);

    // Each takes longer than the patience with one that makes no progress.
    let seconds = (3..all.end / 1_000).map(|second| (second, second * 1_000));
    let again: Vec<Range<i64>> = seconds
        .flat_map(|(second, applied)| {
            plan.look(&missing_from(applied), start + Duration::from_secs(second.unsigned_abs()))
        })
        .collect();

    assert_eq!(again, [], "the answers are on their way");
}

#[test]
fn what_lies_beyond_the_last_that_was_applied_may_be_on_its_way_while_something_arrives() {
    let mut plan = Plan::default();
    let start = Instant::now();
    let beyond = |is_busy| Missing { beyond: std::iter::once(5..9).collect(), is_busy, ..Missing::default() };

    let while_busy: Vec<Range<i64>> =
        (0..10).flat_map(|second| plan.look(&beyond(true), start + Duration::from_secs(second))).collect();
    let then: Vec<Range<i64>> =
        (10..13).flat_map(|second| plan.look(&beyond(false), start + Duration::from_secs(second))).collect();

    assert_eq!(while_busy, []);
    assert_eq!(then, [Range { start: 5, end: 9 }]);
}

#[test]
fn a_subscription_is_doubted_while_nothing_of_an_answer_comes_and_no_longer() {
    let mut plan = Plan::default();
    let start = Instant::now();
    let missing = |first| Missing { between: std::iter::once(first..13).collect(), ..Missing::default() };
    let mut doubted = |second, first| {
        let now = start + Duration::from_secs(second);
        plan.look(&missing(first), now);
        plan.is_unanswered(now)
    };

    // Asked for at 2 s; of the answer, a dependency comes at 5 s.
    let found: Vec<bool> = (0..5).map(|second| doubted(second, 10)).collect();
    let then: Vec<bool> = (5..8).map(|second| doubted(second, 11)).collect();

    assert_eq!(found, [false, false, false, false, true]);
    assert_eq!(then, [false, false, true]);
}
