//! Counts that no sale can have.

use crate::rules::terms::Terms;
use crate::store::{Holding, Opened, StoreError};

/// Refuses counts that no sale can have: the store holds what Flashlane did not write.
pub(super) fn check(opened: &Opened) -> Result<(), StoreError> {
    let Opened { stock, left, next_number, holdings, .. } = opened;
    let damaged = |why: String| Err(StoreError::Damaged(why));
    if left > stock || *stock > Terms::STOCK_MAX || *next_number == 0 {
        return damaged(format!("{left} units left of {stock}, the next order is {next_number}"));
    }
    match holdings.iter().find(|holding| holding.units > Terms::LIMIT_MAX) {
        Some(Holding { member, units, .. }) => {
            damaged(format!("{member} holds {units} units, over any limit"))
        }
        None => Ok(()),
    }
}
