//! Receipts as users carry them, and what a read's demand comes to.

use std::collections::BTreeSet;

use command_service::{
    freshness::demand::{Need, ReplicaLevel},
    register::{
        place::LogEnd,
        receipt::{ReadReceipt, Receipt, WriteReceipt},
    },
};
use proptest::{collection::btree_set, prelude::*};
use shared::position::Position;
use uuid::Uuid;

fn receipts() -> impl Strategy<Value = Receipt> {
    let epoch = any::<u128>().prop_map(Uuid::from_u128);
    let write = (epoch.clone(), 1..i64::MAX - 1000, 0..1000_i64).prop_filter_map(
        "no position",
        |(epoch, first, more)| {
            let (first, last) = (Position::new(first)?, Position::new(first + more)?);
            Some(Receipt::Write(WriteReceipt { epoch, first, last }))
        },
    );
    let read = (epoch, 0..i64::MAX).prop_map(|(epoch, reach)| {
        let epoch = (!epoch.is_nil()).then_some(epoch);
        Receipt::Read(ReadReceipt { epoch, reach })
    });
    prop_oneof![write, read]
}

fn encode(receipt: &Receipt) -> String {
    match receipt {
        Receipt::Write(write) => write.encode(),
        Receipt::Read(read) => read.encode(),
    }
}

proptest! {
    #[test]
    fn a_receipt_comes_back_as_it_was_given(receipt in receipts()) {
        let text = encode(&receipt);

        let back = Receipt::decode(&text);

        prop_assert_eq!(back, Some(receipt));
        prop_assert!(text.len() <= 200, "{} bytes", text.len());
        let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        prop_assert!(text.bytes().all(is_url_safe), "{text}");
    }

    #[test]
    fn a_receipt_with_one_wrong_character_is_refused(receipt in receipts(), at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]") {
        let text = encode(&receipt);
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != other);

        let damaged = format!("{}{other}{}", &text[..at], &text[at + 1..]);

        prop_assert_eq!(Receipt::decode(&damaged), None);
    }

    /// Whatever was applied: a write is taken to be visible only if it and everything before it was.
    #[test]
    fn a_position_is_never_taken_to_be_reached_too_early(applied in btree_set(1..30_i64, 0..30), position in 1..30_i64) {
        let epoch = Uuid::from_u128(1);
        let applied_through = first_missing(&applied) - 1;
        let level = ReplicaLevel { applied_through, as_of: None, epoch: Some(epoch) };

        let need = Need { up_to: vec![LogEnd { epoch, position }], bounded: None };

        let all_applied = (1..=position).all(|one| applied.contains(&one));
        prop_assert_eq!(need.lack(&level, None).is_none(), all_applied);
    }
}

fn first_missing(applied: &BTreeSet<i64>) -> i64 {
    (1..).find(|position| !applied.contains(position)).unwrap_or(1)
}
