//! Work: what is on its way to the store, and what came of it.

use crate::open::asks::Answer;
use crate::store::{Batch, Changed, Changes};
use std::collections::BTreeSet;
use std::time::Duration;

/// What one piece of work came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// There was nothing to do.
    Idle,
    /// This many orders were settled, or changes made.
    Settled(usize),
    /// The store gave no answer; the same work is to be sent again after this long.
    Retry(Duration),
    /// The sale was halted: another process sells it, or the store is damaged.
    Halted,
}

/// Work that is on its way to the store. The same work is sent again, with the time of that try,
/// until there is an answer.
#[derive(Debug)]
pub(super) enum Work {
    Orders(Committing),
    Changes(Making),
}

/// Orders on their way to the store.
#[derive(Debug)]
pub(super) struct Committing {
    pub(super) batch: Batch,
    /// Those of which the book has said whether it keeps what they are paid with beside money. They are not
    /// asked for again: with its word, what they took of their members' purses has ended.
    pub(super) asked: BTreeSet<u64>,
}

/// Changes on their way to the store, and where the answer to each goes.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) changes: Changes,
    pub(super) answers: Vec<Answer>,
    /// Whether an earlier try, whose answer did not come, may have made them.
    pub(super) is_in_doubt: bool,
}

impl Making {
    /// The callers that wait; the changes go on without them.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Tells the callers that wait. It is called only when memory has followed, so that a caller
    /// that is told finds the change made.
    pub(super) fn answer(&mut self, made: Vec<Changed>) {
        for (answer, made) in self.take_answers().into_iter().zip(made) {
            if let Some(answer) = answer {
                // Err: the caller has given up; asking again finds the change made.
                answer.send(Ok(made)).ok();
            }
        }
    }
}
