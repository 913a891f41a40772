//! How late, how far out of order and how often things come.

use std::time::Duration;

use crate::random::Random;

/// What a bridge does to what crosses it. A delay is chosen for each event by itself.
#[derive(Clone, Debug)]
pub struct Disorder {
    /// Most events are delayed by up to this.
    pub usual: Duration,
    /// One event in this many is delayed by up to `seldom` instead.
    pub seldom_one_in: usize,
    /// The bound of a seldom delay: it makes the holes that last.
    pub seldom: Duration,
    /// Every other watermark is delayed by up to this; those between are delayed as most events are, and overtake the
    /// others.
    pub watermark: Duration,
    /// One event in this many comes once more, and so does one watermark.
    pub again_one_in: usize,
    /// The most events in a message; each message has a bound of its own, from 1 to this.
    pub message_max_events: usize,
    /// A lie: every watermark says this position in place of its own.
    pub watermark_position: Option<i64>,
}

impl Disorder {
    /// Everything comes late, out of order and often twice.
    pub const STRONG: Self = Self {
        usual: Duration::from_millis(40),
        seldom_one_in: 35,
        seldom: Duration::from_millis(1500),
        watermark: Duration::from_millis(700),
        again_one_in: 6,
        message_max_events: 8,
        watermark_position: None,
    };

    /// Everything comes at once, in order and once; an event a message.
    pub const NONE: Self = Self {
        usual: Duration::ZERO,
        seldom_one_in: usize::MAX,
        seldom: Duration::ZERO,
        watermark: Duration::ZERO,
        again_one_in: usize::MAX,
        message_max_events: 1,
        watermark_position: None,
    };

    /// How long the next event takes.
    pub(super) fn delay_of_event(&self, random: &mut Random) -> Duration {
        let seldom = random.below(self.seldom_one_in) == 0 && self.seldom > Duration::ZERO;
        up_to(if seldom { self.seldom } else { self.usual }, random)
    }

    /// How long the next watermark takes.
    pub(super) fn delay_of_watermark(&self, random: &mut Random) -> Duration {
        let late = random.below(2) == 0;
        up_to(if late { self.watermark } else { self.usual }, random)
    }

    /// Whether this one comes once more.
    pub(super) fn again(&self, random: &mut Random) -> bool {
        self.again_one_in < usize::MAX && random.below(self.again_one_in) == 0
    }
}

fn up_to(bound: Duration, random: &mut Random) -> Duration {
    let micros = usize::try_from(bound.as_micros()).unwrap_or(usize::MAX - 1);
    Duration::from_micros(random.below(micros + 1) as u64)
}
