//! What the summary may say.

use anyhow::{Result, ensure};
use jiff::Timestamp;

use super::register::{Floor, Register};

/// What a slot can be counted as.
pub(super) const SORTS: [&str; 4] = ["available", "reserved", "occupied", "blocked"];

/// How many slots are surely of a sort, and how many may be.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    least: i64,
    most: i64,
}

impl Bounds {
    fn add(&mut self, may_be: bool, must_be: bool) {
        self.least += i64::from(must_be);
        self.most += i64::from(may_be);
    }

    fn hold(self, count: i64) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

/// Checks counts of slots each of which is at the floor's version or at a later one that was committed by `latest`;
/// a slot that the floor does not know may also not be there yet.
pub(super) fn check(register: &Register, floor: &Floor, latest: Timestamp, counts: [i64; 4]) -> Result<()> {
    let (mut sorts, mut total) = ([Bounds::default(); 4], Bounds::default());
    for uuid in register.slots() {
        let least = floor.get(&uuid).copied().unwrap_or_default();
        let (mut may_be, mut may_be_absent) = ([false; 4], least == 0);
        for event in
            register.history(uuid).filter(|event| event.version >= least && event.committed_at <= latest)
        {
            match SORTS.iter().position(|sort| event.status.as_deref() == Some(*sort)) {
                Some(sort) => may_be[sort] = true,
                None => may_be_absent = true,
            }
        }
        let ways = may_be.iter().filter(|may_be| **may_be).count();
        total.add(ways > 0, !may_be_absent);
        for (bounds, may_be) in sorts.iter_mut().zip(may_be) {
            bounds.add(may_be, may_be && ways == 1 && !may_be_absent);
        }
    }
    ensure!(
        total.hold(counts.iter().sum()) && sorts.iter().zip(counts).all(|(bounds, count)| bounds.hold(count)),
        "of {SORTS:?} and of all, {sorts:?} and {total:?} were to be counted, and counted were {counts:?}"
    );
    Ok(())
}
