//! The transactions after confirmation: steps in an order's life, the waitlist, and what is put back
//! after a history was lost. Written once over rows, like `commit.rs`.

use super::commit::{Kept, RowsMut, advance, finish, held_by, put};
use super::{Change, Changed, Changes, Head, Record, StoreError};
use crate::rules::order::Status;
use crate::rules::terms::SaleId;

/// Makes each change that what is stored allows.
pub(super) fn change(rows: &mut impl RowsMut, changes: &Changes) -> Kept<Vec<Changed>> {
    let sale = &changes.sale;
    let mut row = held_by(rows, sale, changes.epoch)?;
    let mut entries = Vec::new();
    let mut made = Vec::with_capacity(changes.changes.len());
    for change in changes.changes.iter() {
        made.push(match change {
            Change::Order { step, epoch, number } => {
                let stored = rows.order(sale, *number)?;
                match stored.filter(|record| record.epoch == *epoch) {
                    None => Changed::NoOrder,
                    Some(mut record) => {
                        if let Some(next) = record.status.after(*step) {
                            let path = [(next, changes.at)];
                            advance(rows, &mut row, &mut record, &path, &mut entries)?;
                        }
                        Changed::Order(record)
                    }
                }
            }
            Change::Join(wish) => {
                let waiting = match rows.waiting(sale, &wish.member)? {
                    Some(waiting) => waiting,
                    None => {
                        rows.put_waiting(sale, wish)?;
                        wish.clone()
                    }
                };
                Changed::Waits(waiting)
            }
            Change::Leave(member) => {
                rows.remove_waiting(sale, member)?;
                Changed::DoesNotWait
            }
        });
    }
    finish(rows, &row, &entries)?;
    Ok(made)
}

/// Puts back what the caller knows to have been stored; units only from those that are left.
pub(super) fn restore(
    rows: &mut impl RowsMut,
    sale: &SaleId,
    epoch: u64,
    records: &[Record],
) -> Kept<Head> {
    let mut row = held_by(rows, sale, epoch)?;
    // Everything is checked before anything is written.
    let mut left = u64::from(row.left.0);
    let mut lost = Vec::new();
    for record in records {
        let units = u64::from(record.units.0);
        let known = rows.order(sale, record.number)?;
        let held = match &known {
            None => false,
            Some(known) => {
                let (has, knows) = (known.status, record.status);
                let is_behind = has.steps() < knows.steps() && has != Status::Released;
                // What it knows more than the caller is for the caller to find out.
                let is_ahead = has.steps() > knows.steps();
                if !known.is_same_as(record) || !(is_behind || is_ahead || has == knows) {
                    let number = known.number;
                    let other = format!("order {number} is another one in the store");
                    return Err(StoreError::Damaged(other));
                }
                if !is_behind {
                    continue;
                }
                has.holds_units()
            }
        };
        match (held, record.status.holds_units()) {
            (false, true) if units > left => return Err(StoreError::TooLittleStock(row.left)),
            (false, true) => left -= units,
            (true, false) => left += units,
            (true, true) | (false, false) => {}
        }
        lost.push((record, known));
    }
    let mut entries = Vec::new();
    for (record, known) in lost {
        let Some(mut known) = known else {
            put(rows, &mut row, record.clone(), &mut entries)?;
            continue;
        };
        let mut path = record.path();
        path.retain(|(status, _)| status.steps() > known.status.steps());
        advance(rows, &mut row, &mut known, &path, &mut entries)?;
    }
    finish(rows, &row, &entries)?;
    Ok(Head { stock: row.stock, left: row.left, tallies: row.tallies })
}
