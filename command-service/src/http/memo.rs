//! Remembers the last result of a pure function, so that equal arguments in a row cost a comparison.

use std::cell::RefCell;

/// The last result, and the arguments that it belongs to.
#[derive(Debug)]
pub(super) struct Memo<A, R>(RefCell<Option<(A, R)>>);

impl<A, R: Clone> Memo<A, R> {
    pub(super) const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// The result for arguments that `are_same` recognises; `make` computes it for any others.
    pub(super) fn get(&self, are_same: impl FnOnce(&A) -> bool, make: impl FnOnce() -> (A, R)) -> R {
        let mut last = self.0.borrow_mut();
        match &*last {
            Some((arguments, result)) if are_same(arguments) => result.clone(),
            _ => last.insert(make()).1.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_computed_once_for_equal_arguments_in_a_row() {
        let (memo, mut computed) = (Memo::new(), Vec::new());
        for argument in [1, 1, 2, 2, 1] {
            let result = memo.get(
                |known| *known == argument,
                || {
                    computed.push(argument);
                    (argument, argument * 10)
                },
            );
            assert_eq!(result, argument * 10);
        }
        assert_eq!(computed, [1, 2, 1]);
    }
}
