//! The transactions, written once over rows. The adapters keep rows and make what happens here
//! atomic and durable.

use super::{Batch, Opened, OutboxEntry, Placed, Record, StoreError, Switch, Verdict, Waiting};
use crate::rules::order::Status;
use crate::rules::tally::Tallies;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use membership::MemberId;
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
    pub(super) tallies: Tallies,
    /// Outbox entries that there are none of, because a history was lost and taken up after it.
    #[serde(skip)]
    pub(super) gaps: Vec<Gap>,
    /// Outbox entries up to and with this one were read by all who need them, and deleted.
    #[serde(skip)]
    pub(super) trimmed_to: u64,
}

/// The entries over `after`, up to and with `to`, are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) after: u64,
    pub(super) to: u64,
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

pub(super) type Kept<T> = Result<T, StoreError>;

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
    fn waiting(&self, sale: &SaleId, member: &MemberId) -> Kept<Option<Waiting>>;
    fn each_waiting(&self, sale: &SaleId, see: &mut Visit<'_, Waiting>) -> Kept<()>;
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
    fn put_waiting(&mut self, sale: &SaleId, waiting: &Waiting) -> Kept<()>;
    fn remove_waiting(&mut self, sale: &SaleId, member: &MemberId) -> Kept<()>;
}

pub(super) fn create(rows: &mut impl RowsMut, terms: &Terms) -> Kept<()> {
    match rows.sale(&terms.id)? {
        // The same call again, before anyone has opened the sale.
        Some(row) if row.epoch == 0 && row.terms == *terms => return Ok(()),
        Some(_) => return Err(StoreError::SaleExists),
        None => {}
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
        tallies: Tallies::default(),
        gaps: Vec::new(),
        trimmed_to: 0,
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
    let (mut keyed, mut unpaid, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    rows.each_order(sale, 0, &mut |record| {
        unpaid.extend((record.status == Status::Confirmed).then(|| record.clone()));
        keyed.extend(record.key.is_some().then_some(record));
        true
    })?;
    rows.each_waiting(sale, &mut |member| {
        waiting.push(member);
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
        tallies: row.tallies,
        held,
        keyed,
        unpaid,
        waiting,
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
                Verdict::Stored(known.status, known.changed_at)
            }
            _ if row.epoch != batch.epoch => Verdict::Fenced,
            Some(known) => {
                let (number, epoch) = (placed.number, known.epoch);
                let twice = format!("order {number} was given out by epoch {epoch} and again");
                return Err(StoreError::Damaged(twice));
            }
            None => {
                let record = judge(rows, &row, batch, placed)?;
                if placed.is_offer {
                    rows.remove_waiting(&batch.sale, &placed.member)?;
                }
                let status = record.status;
                put(rows, &mut row, record, &mut entries)?;
                Verdict::Stored(status, batch.at)
            }
        });
    }
    finish(rows, &row, &entries)?;
    Ok(verdicts)
}

/// A new order's verdict: confirmed if limit and stock allow it.
fn judge(rows: &impl Rows, row: &SaleRow, batch: &Batch, placed: &Placed) -> Kept<Record> {
    let holder = rows.holder(&batch.sale, &placed.member)?;
    let wanted = Units(holder.units.0 + placed.units.0);
    let limit = row.terms.limits[placed.tier].max(holder.limit);
    let fits = wanted <= limit && placed.units <= row.left;
    let status = if fits { Status::Confirmed } else { Status::Released };
    Ok(placed.settled(batch.epoch, status, batch.at))
}

/// Writes down an order that is not stored yet and all that follows from it; what the outbox is to
/// tell of it goes to `entries`.
pub(super) fn put(
    rows: &mut impl RowsMut,
    row: &mut SaleRow,
    record: Record,
    entries: &mut Vec<OutboxEntry>,
) -> Kept<()> {
    let Record { number, tier, status, units, .. } = record;
    let sale = &row.terms.id;
    let mut holder = rows.holder(sale, &record.member)?;
    if status.holds_units() {
        holder.units.0 += units.0;
        row.left.0 -= units.0;
    }
    row.tallies.pass(tier, units, None, status);
    holder.limit = row.terms.limits[tier].max(holder.limit);
    let before = std::mem::replace(&mut holder.newest, number);
    rows.put_holder(sale, &record.member, holder)?;
    row.next_number = row.next_number.max(number + 1);
    for (status, at) in record.path() {
        row.seq += 1;
        entries.push(OutboxEntry { seq: row.seq, number, status, at });
    }
    rows.put_order(&row.terms.id, &Record { before, ..record })
}

/// Moves a stored order on in its life, along `path`, likewise.
pub(super) fn advance(
    rows: &mut impl RowsMut,
    row: &mut SaleRow,
    record: &mut Record,
    path: &[(Status, Millis)],
    entries: &mut Vec<OutboxEntry>,
) -> Kept<()> {
    let (sale, number) = (&row.terms.id, record.number);
    let Some(&(status, changed_at)) = path.last() else { return Ok(()) };
    if record.status.holds_units() && !status.holds_units() {
        let member = &record.member;
        let mut holder = rows.holder(sale, member)?;
        let held = holder.units.0.checked_sub(record.units.0);
        let too_few = || StoreError::Damaged(format!("{member} holds less than order {number}"));
        holder.units = Units(held.ok_or_else(too_few)?);
        rows.put_holder(sale, member, holder)?;
        row.left.0 += record.units.0;
    }
    row.tallies.pass(record.tier, record.units, Some(record.status), status);
    (record.status, record.changed_at) = (status, changed_at);
    for &(status, at) in path {
        row.seq += 1;
        entries.push(OutboxEntry { seq: row.seq, number, status, at });
    }
    rows.put_order(&row.terms.id, record)
}

/// Writes the sale and the entries of a transaction that changed orders.
pub(super) fn finish(rows: &mut impl RowsMut, row: &SaleRow, entries: &[OutboxEntry]) -> Kept<()> {
    if !entries.is_empty() {
        rows.put_entries(&row.terms.id, entries)?;
        rows.put_sale(row)?;
    }
    Ok(())
}

/// Whether `epoch` still sells the sale.
pub(super) fn hold(rows: &impl Rows, sale: &SaleId, epoch: u64) -> Kept<()> {
    held_by(rows, sale, epoch).map(drop)
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
    let total = total.filter(|total| *total <= Terms::STOCK_MAX);
    let Some(total) = total else { return Err(StoreError::TooMuchStock(row.stock)) };
    row.stock = total;
    row.left.0 += add.0;
    rows.put_top_up(sale, key, &TopUp { add, total })?;
    rows.put_sale(&row)?;
    Ok(total)
}

pub(super) fn held_by(rows: &impl Rows, sale: &SaleId, epoch: u64) -> Kept<SaleRow> {
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
