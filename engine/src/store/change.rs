//! The rules of a change: pure functions over a sale's counters, one holder and one order. Redis has
//! them in Lua.

use super::counters::{Counters, Holder};
use super::{Record, StoreError};
use crate::rules::order::Status;
use crate::rules::time::Millis;

/// Moves a stored order on in its life, along `steps`; its units go back with the step after which
/// it no longer holds them.
pub(super) fn advance(
    counters: &mut Counters,
    holder: &mut Holder,
    record: &mut Record,
    steps: &[(Status, Millis)],
) -> Result<(), StoreError> {
    let Some(&(status, changed_at)) = steps.last() else { return Ok(()) };
    if ends_holding(record.status, status) {
        let Record { member, number, units, .. } = record;
        let held = holder.units.0.checked_sub(units.0);
        let too_few = || StoreError::Damaged(format!("{member} holds less than order {number}"));
        holder.units.0 = held.ok_or_else(too_few)?;
        counters.left.0 += units.0;
    }
    counters.tallies.count(record.tier, record.units, Some(record.status), status);
    (record.status, record.changed_at) = (status, changed_at);
    Ok(())
}

/// Whether units go back with the step from one state to another.
pub(super) const fn ends_holding(from: Status, to: Status) -> bool {
    from.holds_units() && !to.holds_units()
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
    let is_behind = has.steps() < knows.steps() && has != Status::Released;
    // The store may be ahead of the caller. It answers with what it has stored; the caller catches up
    // from that.
    let is_ahead = has.steps() > knows.steps();
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
