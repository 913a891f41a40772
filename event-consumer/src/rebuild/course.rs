//! What a rebuild remembers on its way.

use tokio::time::Instant;

use super::{copy::CopyStatus, follower::Follower, outcome::RebuildError};

/// What the loop remembers from one look to the next.
pub(super) struct Course {
    /// What was known to be there at the last look, which the copy must have at the next one.
    pub(super) goal: Option<i64>,
    settled: i64,
    pub(super) moved_at: Instant,
    pub(super) is_counted: bool,
    pub(super) swap_since: Option<Instant>,
    in_the_way: Vec<String>,
}

impl Course {
    pub(super) fn new() -> Self {
        Self {
            goal: None,
            settled: 0,
            moved_at: Instant::now(),
            is_counted: false,
            swap_since: None,
            in_the_way: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, look: &CopyStatus) {
        if self.settled != look.settled {
            self.settled = look.settled;
            self.moved_at = Instant::now();
        }
    }

    /// Who was there at two tries in a row stays; others come and go.
    pub(super) fn note_in_the_way(&mut self, who: Vec<String>) {
        let stayed: Vec<_> = who.iter().filter(|one| self.in_the_way.contains(one)).cloned().collect();
        self.in_the_way = if stayed.is_empty() { who } else { stayed };
    }

    pub(super) fn who_is_in_the_way(&self) -> String {
        match self.in_the_way.is_empty() {
            true => "more is written than the copy takes".to_owned(),
            false => self.in_the_way.join(", "),
        }
    }
}

/// Why nothing moves.
pub(super) fn stuck(look: &CopyStatus, known_end: i64, follower: &Follower) -> RebuildError {
    let is_whole = look.epoch.is_some() && look.through >= known_end;
    let told = follower.newest_watermark().is_some_and(|newest| newest.position < look.held_reach);
    if is_whole && told && !look.holds_all {
        return RebuildError::BeyondLog { claimed: look.held_reach, end: known_end };
    }
    follower.dependency_down()
}
