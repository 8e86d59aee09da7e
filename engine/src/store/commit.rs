//! The rules of a commit: pure functions over a sale's counters, one holder and one order. Redis has
//! them in Lua.

use super::counters::{Counters, Holder};
use super::{StoreError, Verdict};
use crate::rules::cents::Cents;
use crate::rules::order::Status;
use crate::rules::time::Millis;
use crate::rules::units::{Units, Wanted};
use crate::rules::why::Why;
use membership::Tier;
use serde::{Deserialize, Serialize};

/// An order that is stored already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) status: Status,
    pub(super) changed_at: Millis,
    pub(super) why: Option<Why>,
}

/// The verdict on an order that is not to be decided: it is stored already, or another process
/// sells the sale. `None` if the order is to be decided now.
pub(super) fn known_verdict(
    counters: &Counters,
    epoch: u64,
    known: Option<Known>,
) -> Result<Option<Verdict>, StoreError> {
    match known {
        Some(Known { epoch: of, status, changed_at, why, .. }) if of == epoch => {
            Ok(Some(verdict(status, why, changed_at)))
        }
        _ if counters.sold_by(epoch).is_err() => Ok(Some(Verdict::Fenced)),
        Some(Known { number, epoch, .. }) => {
            let twice = format!("order {number} was given out by epoch {epoch} and again");
            Err(StoreError::Damaged(twice))
        }
        None => Ok(None),
    }
}

/// What was decided of an order. The first two stand where older versions have a `bool`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Decided {
    /// An older version released it, and wrote down no reason.
    Released,
    Confirmed,
    /// Nothing was due, so it was paid when it was confirmed.
    Paid,
    ReleasedFor(Why),
}

impl Decided {
    pub(super) const fn status(self) -> Status {
        match self {
            Self::Released | Self::ReleasedFor(_) => Status::Released,
            Self::Confirmed => Status::Confirmed,
            Self::Paid => Status::Paid,
        }
    }

    pub(super) const fn why(self) -> Option<Why> {
        match self {
            Self::ReleasedFor(why) => Some(why),
            Self::Released | Self::Confirmed | Self::Paid => None,
        }
    }
}

/// What the store says of an order that it has.
pub(super) fn verdict(status: Status, why: Option<Why>, at: Millis) -> Verdict {
    match why {
        Some(why) if status == Status::Released => Verdict::Released(why, at),
        _ => Verdict::Stored(status, at),
    }
}

/// What becomes of a new order: it is confirmed if limit and stock allow it, and paid at once if nothing is due.
/// `limit` is that of the tier at the click; `refused` says why it is to be released in any case.
pub(super) fn judge(
    counters: &Counters,
    holder: &Holder,
    wanted: Wanted,
    due: Cents,
    refused: Option<Why>,
) -> Decided {
    let Wanted { units, limit } = wanted;
    let held = Units(holder.units.0 + units.0);
    match refused {
        Some(why) => Decided::ReleasedFor(why),
        None if held > limit.max(holder.limit) => Decided::ReleasedFor(Why::LimitReached),
        None if units > counters.left => Decided::ReleasedFor(Why::SoldOut),
        None if due == Cents(0) => Decided::Paid,
        None => Decided::Confirmed,
    }
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
