//! Finds out which claims of a replica are false. A rebuild starts from the log: what the replica says of itself may be
//! an edit by hand, or come from a forged event.
//!
//! A claim is false if it stands while the log, whose later watermarks say where it ends, does not reach it.

use jiff::{SignedDuration, Timestamp};
use shared::messages::watermark::Watermark;

use super::copy::look::{CopyStatus, Refuted};

/// How much later than the first doubt a watermark must be taken, by the primary's clock. Up to two earlier ones may
/// still be on their way, which are at most a second apart.
const DOUBT: SignedDuration = SignedDuration::from_secs(2);

/// A claim that goes beyond the newest watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt<T> {
    claim: T,
    /// The newest watermark's time when the claim was first seen.
    since: Timestamp,
}

/// The claims that are doubted, and those that are refuted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claims {
    position: Option<Doubt<i64>>,
    as_of: Option<Doubt<Timestamp>>,
    reach: Option<Doubt<i64>>,
    refuted: Refuted,
    is_copy_false: bool,
}

impl Claims {
    /// Compares what is claimed with the newest watermark of the copy's epoch.
    pub(super) fn note(&mut self, look: &CopyStatus, newest: Option<&Watermark>) {
        let Some(told) = newest.filter(|told| Some(told.epoch) == look.epoch) else { return };
        let beyond = |position: &i64| *position > told.position;
        if let Some(from) = doubt(&mut self.position, look.lacks.filter(beyond), told) {
            self.refuted.positions_from = Some(from);
        }
        let later = look.held_as_of.filter(|as_of| *as_of > told.as_of);
        if let Some(from) = doubt(&mut self.as_of, later, told) {
            self.refuted.as_of_from = Some(from);
        }
        self.is_copy_false = doubt(&mut self.reach, Some(look.reach).filter(beyond), told).is_some();
    }

    /// Whether the copy itself has a position that the log does not have: a forged event reached it.
    pub(super) fn is_copy_false(&self) -> bool {
        self.is_copy_false
    }

    /// What the log has refuted so far.
    pub(super) fn refuted(&self) -> Refuted {
        self.refuted
    }
}

/// The claim, if it has been doubted for long enough.
fn doubt<T: Copy + PartialEq>(doubt: &mut Option<Doubt<T>>, claim: Option<T>, told: &Watermark) -> Option<T> {
    let claim = claim.or_else(|| {
        *doubt = None;
        None
    })?;
    match doubt {
        Some(held) if held.claim == claim => {
            (told.as_of.duration_since(held.since) >= DOUBT).then_some(claim)
        }
        _ => {
            *doubt = Some(Doubt { claim, since: told.as_of });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const EPOCH: Uuid = Uuid::from_u128(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn told(position: i64, second: i64) -> Watermark {
        Watermark { epoch: EPOCH, position, as_of: at(second) }
    }

    fn look(lacks: Option<i64>, held_as_of: i64) -> CopyStatus {
        CopyStatus {
            epoch: Some(EPOCH),
            through: 10,
            reach: 10,
            settled: 10,
            held_epoch: Some(EPOCH),
            lacks,
            held_as_of: Some(at(held_as_of)),
            as_of: Some(at(0)),
        }
    }

    #[test]
    fn a_position_beyond_the_log_is_false_once_later_watermarks_have_not_reached_it() {
        let mut claims = Claims::default();

        for second in 0..2 {
            claims.note(&look(Some(1_000), 0), Some(&told(10, second)));
            assert_eq!(claims.refuted(), Refuted::default(), "after {second} s");
        }
        claims.note(&look(Some(1_000), 0), Some(&told(10, 2)));

        assert_eq!(claims.refuted().positions_from, Some(1_000));
        assert!(look(Some(1_000), 0).is_level(10, claims.refuted()));
        assert!(!look(Some(11), 0).is_level(10, claims.refuted()), "an event that is on its way");
    }

    #[test]
    fn an_event_on_its_way_is_no_false_claim() {
        let mut claims = Claims::default();

        for second in 0..20 {
            claims.note(&look(Some(11 + second), 0), Some(&told(10 + second, second)));
        }

        assert_eq!(claims.refuted(), Refuted::default());
    }

    #[test]
    fn a_time_in_the_future_is_false_once_later_watermarks_have_not_reached_it() {
        let mut claims = Claims::default();

        for second in 0..3 {
            claims.note(&look(None, 1_000_000), Some(&told(10, second)));
        }

        assert_eq!(claims.refuted().as_of_from, Some(at(1_000_000)));
        assert!(look(None, 1_000_000).is_level(10, claims.refuted()));
        assert!(!look(None, 1).is_level(10, claims.refuted()), "the copy must catch up with that");
    }
}
