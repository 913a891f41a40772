//! The exact check of given slots: however busy the register is, it cannot err.

use uuid::Uuid;

use super::{
    comparison::Comparison,
    difference::{SlotDifference, SlotState},
    error::VerifyError,
    judge::{Expected, judge},
    replica_side::Exact,
};

/// The most slots of one check.
pub const LOOK_SLOTS_MAX: usize = 256;

impl Comparison {
    /// Returns those of the given slots, at most [`LOOK_SLOTS_MAX`], that are wrong on the replica. The log
    /// and the positions that the replica has settled determine what is right.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn exactly(&self, slots: &[Uuid]) -> Result<Vec<SlotDifference>, VerifyError> {
        let Exact { slots: found, settled, aside, epoch } = self.replica.exactly(slots).await?;
        if found.len() != slots.len() || epoch.is_some_and(|epoch| epoch != self.epoch) {
            return Err(VerifyError::Replaced);
        }
        // The log is read after the replica, so it has every position that the replica has settled.
        let mut expected = self.primary.expected(slots, &settled, &aside).await?;
        let nothing = Expected { due: SlotState::Never, dead_lettered: Vec::new() };
        let mut differences = Vec::new();
        for (uuid, found) in found {
            let expected = expected.remove(&uuid).unwrap_or_else(|| nothing.clone());
            differences.extend(judge(uuid, &expected, found));
        }
        self.name_dead_letters(&mut differences).await?;
        Ok(differences)
    }

    /// Adds the dead letter of each dead-lettered position, if it still exists.
    async fn name_dead_letters(&self, differences: &mut [SlotDifference]) -> Result<(), VerifyError> {
        let positions: Vec<i64> = differences.iter().filter_map(|difference| difference.position).collect();
        if positions.is_empty() {
            return Ok(());
        }
        let dead_letters = self.replica.dead_letters(&positions).await?;
        for difference in differences {
            difference.dead_letter =
                difference.position.and_then(|position| dead_letters.get(&position).copied());
        }
        Ok(())
    }
}
