//! Marks: what an operator did with a sale since this process opened it, for charts of the sale.

use crate::rules::time::Millis;
use crate::rules::units::Units;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Most marks that are kept; the oldest make room.
const MARKS_MAX: usize = 256;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// This process took the sale over.
    Opened,
    /// The operator paused it.
    Paused,
    /// The operator let it go on.
    Resumed,
    /// The operator closed it.
    Closed,
    /// The operator added units.
    ToppedUp(Units),
    /// The operator changed its terms.
    Changed,
}

/// The marks of one sale, each with its instant, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<VecDeque<(Millis, Mark)>>);

impl Marks {
    pub(crate) fn note(&self, at: Millis, mark: Mark) {
        let mut marks = self.0.lock();
        if marks.len() == MARKS_MAX {
            marks.pop_front();
        }
        marks.push_back((at, mark));
    }

    pub(crate) fn all(&self) -> Vec<(Millis, Mark)> {
        self.0.lock().iter().copied().collect()
    }
}
