//! The state that a rebuild keeps between two looks.

use tokio::time::Instant;

use super::{claims::Claims, copy::CopyStatus, follower::Follower, outcome::RebuildError};

/// The state of the loop from one look to the next.
pub(super) struct Course {
    /// The known end of the log at the last look. The copy is level if it has reached it at the next.
    pub(super) goal: Option<i64>,
    /// What the replica claims, as far as the log refutes it.
    pub(super) claims: Claims,
    /// Since when watermarks are of another epoch than the copy's.
    pub(super) contradicted_since: Option<Instant>,
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
            claims: Claims::default(),
            contradicted_since: None,
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

    /// Keeps the sessions that blocked two tries in a row; without any, takes the newest.
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

/// Why the copy makes no progress.
pub(super) fn stuck(look: &CopyStatus, known_end: i64, follower: &Follower) -> RebuildError {
    // Without a pause in the writing no watermark says where the log ends.
    match look.lacks.filter(|_| look.epoch.is_some() && look.through >= known_end) {
        Some(claimed) => RebuildError::Busy { claimed },
        None => follower.dependency_down(),
    }
}
