//! The transactions over rows: each fetches what the rules need and writes what they say.

use super::counters::{Counters, Holder};
use super::rows::{Rows, RowsMut, SaleRow, Stored, TopUp, page};
use super::{
    Batch, Change, Changed, Changes, Head, Holding, Opened, OutboxEntry, Record, StoreError,
};
use super::{Switch, Verdict, change, commit};
use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::{Units, Wanted};
use membership::MemberId;
use std::collections::HashMap;

pub(super) fn create(rows: &mut dyn RowsMut, terms: &Terms) -> Stored<()> {
    match rows.sale(&terms.id)? {
        // The call is repeated, and no process has opened the sale since.
        Some(row) if row.counters.epoch == 0 && row.terms == *terms => return Ok(()),
        Some(_) => return Err(StoreError::SaleExists),
        None => {}
    }
    let (terms, counters) = (terms.clone(), Counters::new(terms.stock));
    rows.put_sale(&SaleRow { terms, counters, gaps: Vec::new(), trimmed_to: 0 })
}

pub(super) fn open(rows: &mut dyn RowsMut, sale: &SaleId, now: Millis) -> Stored<Opened> {
    let mut row = rows.sale(sale)?.ok_or(StoreError::UnknownSale)?;
    row.counters.begin_epoch(now);
    rows.put_sale(&row)?;
    let holders = page(usize::MAX, |see| rows.each_holder(sale, see))?;
    let (mut keyed, mut unpaid, mut made) = (Vec::new(), Vec::new(), HashMap::new());
    rows.each_order(sale, 0, &mut |record| {
        *made.entry(record.member.clone()).or_default() += 1;
        unpaid.extend((record.status == Status::Confirmed).then(|| record.clone()));
        keyed.extend(record.key.is_some().then_some(record));
        true
    })?;
    let waiting = page(usize::MAX, |see| rows.each_waiting(sale, see))?;
    let SaleRow { terms, counters, .. } = row;
    Ok(Opened {
        terms,
        epoch: counters.epoch,
        stock: counters.stock,
        left: counters.left,
        is_paused: counters.is_paused,
        is_closed: counters.is_closed,
        next_number: counters.next_number,
        tallies: counters.tallies,
        holdings: holdings(holders, &made),
        keyed,
        unpaid,
        waiting,
    })
}

/// What each member holds; `made` counts the orders of each.
pub(super) fn holdings(
    holders: Vec<(MemberId, Holder)>,
    made: &HashMap<MemberId, u32>,
) -> Vec<Holding> {
    let holding = |(member, holder): (MemberId, Holder)| {
        let orders = made.get(&member).copied().unwrap_or_default();
        Holding { member, units: holder.units, orders }
    };
    holders.into_iter().map(holding).collect()
}

pub(super) fn commit(rows: &mut dyn RowsMut, batch: &Batch) -> Stored<Vec<Verdict>> {
    let sale = &batch.sale;
    let mut row = rows.sale(sale)?.ok_or(StoreError::UnknownSale)?;
    let mut verdicts = Vec::with_capacity(batch.orders.len());
    let mut entries = Vec::with_capacity(batch.orders.len());
    for order in batch.orders.iter() {
        // Most numbers are higher than any stored one; no order with such a number can be stored.
        let known = match order.number < row.counters.next_number {
            true => rows.order(sale, order.number)?,
            false => None,
        };
        let verdict = commit::known_verdict(&row.counters, batch.epoch, known.as_ref())?;
        if let Some(verdict) = verdict {
            verdicts.push(verdict);
            continue;
        }
        let holder = rows.holder(sale, &order.member)?;
        let limit = row.terms.limits[order.tier];
        let status = commit::judge(&row.counters, &holder, Wanted { units: order.units, limit });
        let record = order.settled(batch.epoch, status, batch.at);
        put(rows, &mut row, holder, record, &mut entries)?;
        if order.is_offer {
            rows.remove_waiting(sale, &order.member)?;
        }
        verdicts.push(Verdict::Stored(status, batch.at));
    }
    finish(rows, &row, &entries)?;
    Ok(verdicts)
}

pub(super) fn change(rows: &mut dyn RowsMut, changes: &Changes) -> Stored<Vec<Changed>> {
    let sale = &changes.sale;
    let mut row = sold_by(rows, sale, changes.epoch)?;
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
                            let steps = [(next, changes.at)];
                            advance(rows, &mut row, &mut record, &steps, &mut entries)?;
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
            Change::Dissolve => {
                rows.clear_waiting(sale)?;
                Changed::DoesNotWait
            }
        });
    }
    finish(rows, &row, &entries)?;
    Ok(made)
}

pub(super) fn restore(
    rows: &mut dyn RowsMut,
    sale: &SaleId,
    epoch: u64,
    records: &[Record],
) -> Stored<Head> {
    let mut row = sold_by(rows, sale, epoch)?;
    // Everything is checked before anything is written.
    let mut left = u64::from(row.counters.left.0);
    let mut lost = Vec::new();
    for record in records {
        let stored = rows.order(sale, record.number)?;
        let held = stored.as_ref().is_some_and(|stored| stored.status.holds_units());
        let missing = change::compare(stored.as_ref(), record)?;
        if missing == change::Lost::Nothing {
            continue;
        }
        let units = u64::from(record.units.0);
        match (held, record.status.holds_units()) {
            (false, true) if units > left => {
                return Err(StoreError::TooLittleStock(row.counters.left));
            }
            (false, true) => left -= units,
            (true, false) => left += units,
            (true, true) | (false, false) => {}
        }
        lost.push((record, stored, missing));
    }
    let mut entries = Vec::new();
    for (record, stored, missing) in lost {
        match (stored, missing) {
            (Some(mut stored), change::Lost::Steps(steps)) => {
                advance(rows, &mut row, &mut stored, &steps, &mut entries)?;
            }
            _ => {
                let holder = rows.holder(sale, &record.member)?;
                put(rows, &mut row, holder, record.clone(), &mut entries)?;
            }
        }
    }
    finish(rows, &row, &entries)?;
    let Counters { stock, left, tallies, .. } = row.counters;
    Ok(Head { stock, left, tallies })
}

/// Writes down an order that is not stored yet and all that follows from it; what the outbox is to
/// tell of it goes to `entries`.
fn put(
    rows: &mut dyn RowsMut,
    row: &mut SaleRow,
    mut holder: Holder,
    mut record: Record,
    entries: &mut Vec<OutboxEntry>,
) -> Stored<()> {
    let sale = &row.terms.id;
    let limit = row.terms.limits[record.tier];
    commit::count_in(&mut row.counters, &mut holder, &mut record, limit);
    entries.extend(row.counters.tell(record.number, &record.path()));
    rows.put_holder(sale, &record.member, holder)?;
    rows.put_order(sale, &record)
}

/// Moves a stored order on along `steps`, likewise. Its holder is looked at only if units go back.
fn advance(
    rows: &mut dyn RowsMut,
    row: &mut SaleRow,
    record: &mut Record,
    steps: &[(Status, Millis)],
    entries: &mut Vec<OutboxEntry>,
) -> Stored<()> {
    let sale = &row.terms.id;
    if change::gives_back(record, steps) {
        let mut holder = rows.holder(sale, &record.member)?;
        change::give_back(&mut row.counters, &mut holder, record)?;
        rows.put_holder(sale, &record.member, holder)?;
    }
    change::advance(&mut row.counters, record, steps);
    entries.extend(row.counters.tell(record.number, steps));
    rows.put_order(sale, record)
}

/// Writes the sale and the entries of a transaction that changed orders.
fn finish(rows: &mut dyn RowsMut, row: &SaleRow, entries: &[OutboxEntry]) -> Stored<()> {
    if !entries.is_empty() {
        rows.put_entries(&row.terms.id, entries)?;
        rows.put_sale(row)?;
    }
    Ok(())
}

pub(super) fn switch(
    rows: &mut dyn RowsMut,
    sale: &SaleId,
    epoch: u64,
    switch: Switch,
) -> Stored<()> {
    let mut row = sold_by(rows, sale, epoch)?;
    row.counters.turn(switch);
    rows.put_sale(&row)
}

pub(super) fn top_up(
    rows: &mut dyn RowsMut,
    sale: &SaleId,
    epoch: u64,
    key: &str,
    add: Units,
) -> Stored<Units> {
    let mut row = sold_by(rows, sale, epoch)?;
    match rows.top_up(sale, key)? {
        // The answer is the sale's total now and not the one after that top-up: others may have
        // come since.
        Some(done) if done.add == add => return Ok(row.counters.stock),
        Some(done) => return Err(StoreError::TopUpConflict(done.add)),
        None => {}
    }
    row.counters.add_stock(add)?;
    let total = row.counters.stock;
    rows.put_top_up(sale, key, &TopUp { add, total })?;
    rows.put_sale(&row)?;
    Ok(total)
}

/// The sale, if `epoch` sells it.
pub(super) fn sold_by<R: Rows + ?Sized>(rows: &R, sale: &SaleId, epoch: u64) -> Stored<SaleRow> {
    let row = rows.sale(sale)?.ok_or(StoreError::UnknownSale)?;
    row.counters.sold_by(epoch)?;
    Ok(row)
}

pub(super) fn orders_of(
    rows: &dyn Rows,
    sale: &SaleId,
    member: &MemberId,
    after: Option<u64>,
    most: usize,
) -> Stored<Vec<Record>> {
    let lost = |number| StoreError::Damaged(format!("order {number} of {member} has no record"));
    // Each order names the one that was stored before it.
    let mut number = match after {
        None => rows.holder(sale, member)?.newest,
        Some(after) => {
            let last = rows.order(sale, after)?.filter(|record| record.member == *member);
            last.map_or(0, |record| record.before)
        }
    };
    let mut records = Vec::new();
    while number > 0 && records.len() < most {
        let record = rows.order(sale, number)?.ok_or_else(|| lost(number))?;
        number = record.before;
        records.push(record);
    }
    Ok(records)
}
