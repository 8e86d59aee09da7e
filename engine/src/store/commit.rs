//! The rules of a commit: pure functions over a sale's counters, one holder and one order. Redis has
//! them in Lua.

use super::counters::{Counters, Holder};
use super::{StoreError, Verdict};
use crate::rules::order::Status;
use crate::rules::time::Millis;
use crate::rules::units::{Units, Wanted};
use membership::Tier;

/// An order that is stored already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) status: Status,
    pub(super) changed_at: Millis,
}

/// The verdict on an order that is not to be decided: it is stored already, or another process
/// sells the sale. `None` if the order is to be decided now.
pub(super) fn known_verdict(
    counters: &Counters,
    epoch: u64,
    known: Option<Known>,
) -> Result<Option<Verdict>, StoreError> {
    match known {
        Some(known) if known.epoch == epoch => {
            Ok(Some(Verdict::Stored(known.status, known.changed_at)))
        }
        _ if counters.sold_by(epoch).is_err() => Ok(Some(Verdict::Fenced)),
        Some(Known { number, epoch, .. }) => {
            let twice = format!("order {number} was given out by epoch {epoch} and again");
            Err(StoreError::Damaged(twice))
        }
        None => Ok(None),
    }
}

/// What becomes of a new order: it is confirmed if limit and stock allow it. `limit` is that of the
/// tier at the click.
pub(super) fn judge(counters: &Counters, holder: &Holder, wanted: Wanted) -> Status {
    let Wanted { units, limit } = wanted;
    let held = Units(holder.units.0 + units.0);
    let fits = held <= limit.max(holder.limit) && units <= counters.left;
    if fits { Status::Confirmed } else { Status::Released }
}

/// What counts of an order that was not stored before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) number: u64,
    pub(super) tier: Tier,
    pub(super) units: Units,
    pub(super) status: Status,
}

/// Counts in an order that was not stored before. Returns the member's order that was stored before
/// it; 0 for none.
pub(super) fn count_in(
    counters: &mut Counters,
    holder: &mut Holder,
    order: Counted,
    limit: Units,
) -> u64 {
    let Counted { number, tier, units, status } = order;
    if status.holds_units() {
        holder.units.0 += units.0;
        counters.left.0 -= units.0;
    }
    counters.tallies.count(tier, units, None, status);
    counters.next_number = counters.next_number.max(number + 1);
    holder.limit = limit.max(holder.limit);
    holder.orders += 1;
    std::mem::replace(&mut holder.newest, number)
}
