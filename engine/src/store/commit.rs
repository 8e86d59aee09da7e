//! The rules of a commit: pure functions over a sale's counters, one holder and one order. Redis has
//! them in Lua.

use super::counters::{Counters, Holder};
use super::{Record, StoreError, Verdict};
use crate::rules::order::Status;
use crate::rules::units::{Units, Wanted};

/// The verdict on an order that is not to be decided: it is stored already, or another process
/// sells the sale. `None` if the order is to be decided now.
pub(super) fn known_verdict(
    counters: &Counters,
    epoch: u64,
    known: Option<&Record>,
) -> Result<Option<Verdict>, StoreError> {
    match known {
        Some(known) if known.epoch == epoch => {
            Ok(Some(Verdict::Stored(known.status, known.changed_at)))
        }
        _ if counters.sold_by(epoch).is_err() => Ok(Some(Verdict::Fenced)),
        Some(Record { number, epoch, .. }) => {
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

/// Counts in an order that was not stored before, and chains its record to the member's last one.
pub(super) fn count_in(
    counters: &mut Counters,
    holder: &mut Holder,
    record: &mut Record,
    limit: Units,
) {
    if record.status.holds_units() {
        holder.units.0 += record.units.0;
        counters.left.0 -= record.units.0;
    }
    counters.tallies.count(record.tier, record.units, None, record.status);
    counters.next_number = counters.next_number.max(record.number + 1);
    holder.limit = limit.max(holder.limit);
    record.before = std::mem::replace(&mut holder.newest, record.number);
}
