//! The rules of a change: pure functions over a sale's counters, one holder and one order. Redis has
//! them in Lua.

use super::counters::{Counters, Holder};
use super::{Record, StoreError};
use crate::rules::order::Status;
use crate::rules::time::Millis;

/// Whether an order's units go back with these steps: it holds them now, and after them no longer.
pub(super) fn gives_back(record: &Record, steps: &[(Status, Millis)]) -> bool {
    let ends = steps.last().is_some_and(|(status, _)| !status.holds_units());
    record.status.holds_units() && ends
}

/// Gives an order's units back, of its sale and of its holder's limit.
pub(super) fn give_back(
    counters: &mut Counters,
    holder: &mut Holder,
    record: &Record,
) -> Result<(), StoreError> {
    let Record { member, number, units, .. } = record;
    let held = holder.units.0.checked_sub(units.0);
    let too_few = || StoreError::Damaged(format!("{member} holds less than order {number}"));
    holder.units.0 = held.ok_or_else(too_few)?;
    counters.left.0 += units.0;
    Ok(())
}

/// Moves a stored order on in its life, along `steps`.
pub(super) fn advance(counters: &mut Counters, record: &mut Record, steps: &[(Status, Millis)]) {
    let Some(&(status, changed_at)) = steps.last() else { return };
    counters.tallies.count(record.tier, record.units, Some(record.status), status);
    (record.status, record.changed_at) = (status, changed_at);
}

/// What is to be done for an order that is put back after a lost history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The store has it as far as the caller knows it, or further.
    Nothing,
    /// The store has not got it.
    Order,
    /// The store has it in an earlier state: these steps are missing.
    Steps(Vec<(Status, Millis)>),
}

/// Compares what is stored of an order with what the caller knows of it.
pub(super) fn compare(stored: Option<&Record>, told: &Record) -> Result<Lost, StoreError> {
    let Some(stored) = stored else { return Ok(Lost::Order) };
    let (has, knows) = (stored.status, told.status);
    let is_behind = has.leads_to(knows);
    // The store may be ahead of the caller. It answers with what it has stored; the caller catches up
    // from that.
    let is_ahead = knows.leads_to(has);
    if !stored.is_same_as(told) || !(is_behind || is_ahead || has == knows) {
        let number = stored.number;
        return Err(StoreError::Damaged(format!("order {number} is another one in the store")));
    }
    if !is_behind {
        return Ok(Lost::Nothing);
    }
    let mut steps = told.path();
    steps.retain(|(status, _)| status.steps() > has.steps());
    Ok(Lost::Steps(steps))
}
