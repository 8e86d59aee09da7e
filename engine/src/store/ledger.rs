//! The transactions, written once over rows. The adapters keep rows and make what happens here
//! atomic and durable.

use super::{Batch, Opened, OutboxEntry, Placed, Record, StoreError, Switch, Verdict};
use crate::meter::Tally;
use crate::order::Status;
use crate::stock::{Stock, Units};
use crate::terms::{SaleId, Terms};
use membership::{MemberId, PerTier};
use serde::{Deserialize, Serialize};

/// A sale's counters and switches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SaleRow {
    pub(super) terms: Terms,
    pub(super) epoch: u64,
    pub(super) stock: Units,
    pub(super) left: Units,
    pub(super) is_paused: bool,
    pub(super) is_closed: bool,
    pub(super) next_number: u64,
    /// The newest outbox entry's.
    pub(super) seq: u64,
    pub(super) confirmed: PerTier<Tally>,
    pub(super) released: PerTier<Tally>,
}

/// What a member has in one sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Holder {
    pub(super) units: Units,
    /// The highest limit under which one of the member's orders was taken: a member's tier may change
    /// during a sale, and orders are not decided in the order of clicks.
    pub(super) limit: Units,
    /// The number of the member's order that was stored last; 0 for none. Each record names the one
    /// before it, so a member's orders need no index of their own.
    pub(super) newest: u64,
}

/// Units added under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopUp {
    pub(super) add: Units,
    pub(super) total: Units,
}

type Kept<T> = Result<T, StoreError>;

/// Reads one sale's rows, all of one instant. Visitors are called in the order of keys and stop
/// the walk by giving `false`.
pub(super) trait Rows {
    fn sales(&self) -> Kept<Vec<SaleId>>;
    fn sale(&self, sale: &SaleId) -> Kept<Option<SaleRow>>;
    fn order(&self, sale: &SaleId, number: u64) -> Kept<Option<Record>>;
    fn holder(&self, sale: &SaleId, member: &MemberId) -> Kept<Holder>;
    fn top_up(&self, sale: &SaleId, key: &str) -> Kept<Option<TopUp>>;
    fn each_order(&self, sale: &SaleId, after: u64, see: &mut Visit<'_, Record>) -> Kept<()>;
    fn each_holder(&self, sale: &SaleId, see: &mut Visit<'_, (MemberId, Holder)>) -> Kept<()>;
    fn each_entry(&self, sale: &SaleId, after: u64, see: &mut Visit<'_, OutboxEntry>) -> Kept<()>;
    fn each_top_up(&self, sale: &SaleId, see: &mut Visit<'_, TopUp>) -> Kept<()>;
}

pub(super) type Visit<'a, T> = dyn FnMut(T) -> bool + 'a;

/// Writes one sale's rows. Nothing is seen by others before the adapter commits.
pub(super) trait RowsMut: Rows {
    fn put_sale(&mut self, row: &SaleRow) -> Kept<()>;
    fn put_order(&mut self, sale: &SaleId, record: &Record) -> Kept<()>;
    fn put_holder(&mut self, sale: &SaleId, member: &MemberId, holder: Holder) -> Kept<()>;
    /// Entries of one commit, by `seq`; not empty.
    fn put_entries(&mut self, sale: &SaleId, entries: &[OutboxEntry]) -> Kept<()>;
    fn put_top_up(&mut self, sale: &SaleId, key: &str, top_up: &TopUp) -> Kept<()>;
}

pub(super) fn create(rows: &mut impl RowsMut, terms: &Terms) -> Kept<()> {
    if rows.sale(&terms.id)?.is_some() {
        return Err(StoreError::SaleExists);
    }
    rows.put_sale(&SaleRow {
        terms: terms.clone(),
        epoch: 0,
        stock: terms.stock,
        left: terms.stock,
        is_paused: false,
        is_closed: false,
        next_number: 1,
        seq: 0,
        confirmed: PerTier::default(),
        released: PerTier::default(),
    })
}

pub(super) fn open(rows: &mut impl RowsMut, sale: &SaleId) -> Kept<Opened> {
    let mut row = rows.sale(sale)?.ok_or(StoreError::UnknownSale)?;
    row.epoch += 1;
    rows.put_sale(&row)?;
    let mut held = Vec::new();
    rows.each_holder(sale, &mut |(member, holder)| {
        held.push((member, holder.units));
        true
    })?;
    let mut keyed = Vec::new();
    rows.each_order(sale, 0, &mut |record| {
        keyed.extend(record.key.is_some().then_some(record));
        true
    })?;
    Ok(Opened {
        terms: row.terms,
        epoch: row.epoch,
        stock: row.stock,
        left: row.left,
        is_paused: row.is_paused,
        is_closed: row.is_closed,
        next_number: row.next_number,
        confirmed: row.confirmed,
        released: row.released,
        held,
        keyed,
    })
}

pub(super) fn commit(rows: &mut impl RowsMut, batch: &Batch) -> Kept<Vec<Verdict>> {
    let mut row = rows.sale(&batch.sale)?.ok_or(StoreError::UnknownSale)?;
    let mut verdicts = Vec::with_capacity(batch.orders.len());
    let mut entries = Vec::with_capacity(batch.orders.len());
    for placed in batch.orders.iter() {
        // Most numbers are higher than any stored one: such an order is not known.
        let known = match placed.number < row.next_number {
            true => rows.order(&batch.sale, placed.number)?,
            false => None,
        };
        verdicts.push(match known {
            Some(known) if known.epoch == batch.epoch => {
                Verdict::Stored(known.status, known.settled_at)
            }
            _ if row.epoch != batch.epoch => Verdict::Fenced,
            Some(known) => {
                let (number, epoch) = (placed.number, known.epoch);
                let twice = format!("order {number} was given out by epoch {epoch} and again");
                return Err(StoreError::Damaged(twice));
            }
            None => {
                let status = decide(rows, &mut row, batch, placed)?;
                let (seq, number, at) = (row.seq, placed.number, batch.at);
                entries.push(OutboxEntry { seq, number, status, at });
                Verdict::Stored(status, at)
            }
        });
    }
    if !entries.is_empty() {
        rows.put_entries(&batch.sale, &entries)?;
        rows.put_sale(&row)?;
    }
    Ok(verdicts)
}

/// Confirms an order if the limit and the stock still allow it, else releases it; writes all that
/// follows from that, but for the outbox entry with the number `row.seq`.
fn decide(
    rows: &mut impl RowsMut,
    row: &mut SaleRow,
    batch: &Batch,
    placed: &Placed,
) -> Kept<Status> {
    let holder = rows.holder(&batch.sale, &placed.member)?;
    let wanted = Units(holder.units.0 + placed.units.0);
    let limit = row.terms.limits[placed.tier].max(holder.limit);
    let fits = wanted <= limit && placed.units <= row.left;
    let (status, units) =
        if fits { (Status::Confirmed, wanted) } else { (Status::Released, holder.units) };
    if fits {
        row.left.0 -= placed.units.0;
        row.confirmed[placed.tier].add(placed.units);
    } else {
        row.released[placed.tier].add(placed.units);
    }
    let newest = placed.number;
    rows.put_holder(&batch.sale, &placed.member, Holder { units, limit, newest })?;
    row.next_number = row.next_number.max(placed.number + 1);
    row.seq += 1;
    rows.put_order(
        &batch.sale,
        &Record {
            number: placed.number,
            epoch: batch.epoch,
            member: placed.member.clone(),
            tier: placed.tier,
            units: placed.units,
            status,
            reserved_at: placed.reserved_at,
            settled_at: batch.at,
            key: placed.key,
            before: holder.newest,
        },
    )?;
    Ok(status)
}

pub(super) fn switch(
    rows: &mut impl RowsMut,
    sale: &SaleId,
    epoch: u64,
    switch: Switch,
) -> Kept<()> {
    let mut row = held_by(rows, sale, epoch)?;
    match switch {
        Switch::Pause => row.is_paused = true,
        Switch::Resume => row.is_paused = false,
        Switch::Close => row.is_closed = true,
    }
    rows.put_sale(&row)
}

pub(super) fn top_up(
    rows: &mut impl RowsMut,
    sale: &SaleId,
    epoch: u64,
    key: &str,
    add: Units,
) -> Kept<Units> {
    let mut row = held_by(rows, sale, epoch)?;
    match rows.top_up(sale, key)? {
        // The sale's own total, not the one of back then: other top-ups may have come since.
        Some(done) if done.add == add => return Ok(row.stock),
        Some(done) => return Err(StoreError::TopUpConflict(done.add)),
        None => {}
    }
    let total = row.stock.0.checked_add(add.0).map(Units);
    let total = total.filter(|total| *total <= Stock::UNITS_MAX);
    let Some(total) = total else { return Err(StoreError::TooMuchStock(row.stock)) };
    row.stock = total;
    row.left.0 += add.0;
    rows.put_top_up(sale, key, &TopUp { add, total })?;
    rows.put_sale(&row)?;
    Ok(total)
}

fn held_by(rows: &impl Rows, sale: &SaleId, epoch: u64) -> Kept<SaleRow> {
    let row = rows.sale(sale)?.ok_or(StoreError::UnknownSale)?;
    if row.epoch == epoch { Ok(row) } else { Err(StoreError::Fenced) }
}

pub(super) fn orders_of(rows: &impl Rows, sale: &SaleId, member: &MemberId) -> Kept<Vec<Record>> {
    let mut records = Vec::new();
    let mut number = rows.holder(sale, member)?.newest;
    while number > 0 {
        let lost = || StoreError::Damaged(format!("order {number} of {member} has no record"));
        let record = rows.order(sale, number)?.ok_or_else(lost)?;
        number = record.before;
        records.push(record);
    }
    records.sort_unstable_by_key(|record| record.number);
    Ok(records)
}

/// At most `most` of what a walk gives.
pub(super) fn page<T>(
    most: usize,
    walk: impl FnOnce(&mut Visit<'_, T>) -> Kept<()>,
) -> Kept<Vec<T>> {
    let mut found = Vec::new();
    if most > 0 {
        walk(&mut |item| {
            found.push(item);
            found.len() < most
        })?;
    }
    Ok(found)
}
