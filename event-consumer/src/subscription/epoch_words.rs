//! Which epoch the primary has, as far as its words tell: events and watermarks name the epoch of their log.
//!
//! A message of another epoch than the replica's comes from a restored primary, or from a stranger: another
//! installation on the same broker, or a former primary. The consumer has no access to the primary, but a primary is
//! heard at least twice a second. So a word of the replica's own epoch that comes later shows that the message is a
//! stranger's. While only words of the other epoch come, the primary was restored.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// How much later than the first word of another epoch a word of the own epoch must come: a watermark may wait in its
/// queue meanwhile.
const OWN_WORD_MIN_LAG: Duration = Duration::from_secs(1);

/// How long a word of the own epoch counts. A primary that is not restored is heard at least twice a second.
const OWN_WORD_MAX_AGE: Duration = Duration::from_secs(5);

/// How long only words of another epoch must come until the primary counts as restored.
const RESTORED_AFTER: Duration = Duration::from_secs(2);

/// How many other epochs are remembered; beyond them the oldest is forgotten.
const EPOCHS_MAX: usize = 64;

/// Whose message it is that has another epoch than the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is not known yet.
    Unknown,
    /// The primary still has the replica's epoch.
    Stranger,
    /// The primary was restored or replaced.
    RestoredPrimary,
}

/// Another epoch.
#[derive(Clone, Copy, Debug)]
struct OtherEpoch {
    epoch: Uuid,
    met_at: Instant,
    /// The first and the last word since the last word of the own epoch.
    words: Option<(Instant, Instant)>,
}

/// When which epoch was heard.
#[derive(Clone, Debug, Default)]
pub(super) struct EpochWords {
    own: Option<(Uuid, Instant)>,
    others: Vec<OtherEpoch>,
}

impl EpochWords {
    /// Notes an event or a watermark of the replica's own epoch. After a rebuild that is another one than before.
    pub(super) fn hear_own(&mut self, epoch: Uuid, now: Instant) {
        if self.own.is_some_and(|(former, _)| former != epoch) {
            self.others.clear();
        }
        self.own = Some((epoch, now));
        for other in &mut self.others {
            other.words = None;
        }
    }

    /// Notes a message of another epoch. One that the broker delivers again is no word of now.
    pub(super) fn hear_other(&mut self, epoch: Uuid, is_delivered_again: bool, now: Instant) {
        let known = self.others.iter().position(|other| other.epoch == epoch);
        let index = known.unwrap_or_else(|| {
            if self.others.len() == EPOCHS_MAX {
                self.others.remove(0);
            }
            self.others.push(OtherEpoch { epoch, met_at: now, words: None });
            self.others.len() - 1
        });
        if !is_delivered_again && let Some(other) = self.others.get_mut(index) {
            other.words = Some((other.words.map_or(now, |(first, _)| first), now));
        }
    }

    /// Whether the replica's own epoch was heard within this time.
    pub(super) fn was_own_heard(&self, within: Duration, now: Instant) -> bool {
        self.own.is_some_and(|(_, own_at)| now <= own_at + within)
    }

    /// Judges messages of another epoch.
    pub(super) fn judge(&self, epoch: Uuid, now: Instant) -> Origin {
        let Some(other) = self.others.iter().find(|other| other.epoch == epoch) else {
            return Origin::Unknown;
        };
        if other.words.is_some_and(|(first, last)| last >= first + RESTORED_AFTER) {
            return Origin::RestoredPrimary;
        }
        let is_refuted =
            |own_at: Instant| own_at >= other.met_at + OWN_WORD_MIN_LAG && now <= own_at + OWN_WORD_MAX_AGE;
        match self.own.is_some_and(|(_, own_at)| is_refuted(own_at)) {
            true => Origin::Stranger,
            false => Origin::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    /// Words at these moments, in milliseconds; the judgement at the last moment.
    fn judged(words: &[(u64, bool)], at: u64) -> Origin {
        let begin = Instant::now();
        let moment = |millis| begin + Duration::from_millis(millis);
        let mut heard = EpochWords::default();
        for &(millis, is_own) in words {
            match is_own {
                true => heard.hear_own(OWN, moment(millis)),
                false => heard.hear_other(OTHER, false, moment(millis)),
            }
        }
        heard.judge(OTHER, moment(at))
    }

    #[test]
    fn one_message_is_a_strangers_once_the_own_epoch_is_heard_after_it() {
        assert_eq!(judged(&[(0, true), (100, false)], 200), Origin::Unknown);
        assert_eq!(
            judged(&[(100, false), (600, true)], 700),
            Origin::Unknown,
            "it may have waited in a queue"
        );
        assert_eq!(judged(&[(100, false), (600, true), (1100, true)], 1100), Origin::Stranger);
    }

    #[test]
    fn a_stranger_that_goes_on_is_a_stranger_while_the_own_epoch_is_heard() {
        let words: Vec<_> =
            (0..40).flat_map(|turn| [(turn * 500, false), (turn * 500 + 250, true)]).collect();

        assert_eq!(judged(&words, 20_000), Origin::Stranger);
    }

    #[test]
    fn a_primary_is_restored_once_only_the_other_epoch_is_heard() {
        let before = [(0, true), (500, true), (700, false), (900, true)];
        let after = (2..10).map(|turn| (turn * 500, false));

        let words: Vec<_> = before.into_iter().chain(after).collect();

        assert_eq!(judged(&words[..6], 1_500), Origin::Unknown);
        assert_eq!(judged(&words, 4_500), Origin::RestoredPrimary);
    }

    #[test]
    fn a_former_judgement_ends_when_the_own_epoch_is_heard_no_more() {
        let words = [(0, false), (1_500, true)];

        assert_eq!(judged(&words, 2_000), Origin::Stranger);
        assert_eq!(judged(&words, 6_501), Origin::Unknown);
    }

    #[test]
    fn the_epoch_that_the_replica_took_over_is_no_strangers() {
        let begin = Instant::now();
        let mut heard = EpochWords::default();
        heard.hear_own(OWN, begin);
        heard.hear_other(OTHER, false, begin);

        heard.hear_own(OTHER, begin + Duration::from_secs(3));

        assert_eq!(heard.judge(OTHER, begin + Duration::from_secs(3)), Origin::Unknown);
    }

    #[test]
    fn what_is_delivered_again_is_no_word_of_now() {
        let begin = Instant::now();
        let mut heard = EpochWords::default();

        for seconds in 0..10 {
            heard.hear_other(OTHER, true, begin + Duration::from_secs(seconds));
        }

        assert_eq!(heard.judge(OTHER, begin + Duration::from_secs(10)), Origin::Unknown);
    }
}
