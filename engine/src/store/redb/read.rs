//! Reads a redb file whole, as every version that wrote one wrote it.

use super::failure::{damaged, failed};
use super::look::{Found, explained, look};
use crate::rules::cents::Cents;
use crate::rules::key::IdempotencyKey;
use crate::rules::member_terms::MemberTerms;
use crate::rules::money::Money;
use crate::rules::order::Status;
use crate::rules::tally::{Tallies, Tally};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::window::Windows;
use crate::store::counters::{Counters, Holder};
use crate::store::rows::{NewOrder, SaleRows, Stored, TopUp};
use crate::store::{OutboxEntry, Waiting, audit};
use membership::{MemberId, PerTier, Tier};
use redb::{
    Database, Key, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition,
    TableError, Value,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;

type Numbered = (&'static str, u64);
type Named = (&'static str, &'static str);

const SALES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sales");
const ORDERS: TableDefinition<'_, Numbered, &[u8]> = TableDefinition::new("orders");
const HOLDERS: TableDefinition<'_, Named, (u32, u32, u64)> = TableDefinition::new("holders");
/// The entries of one commit together, under the last one's `seq`.
const OUTBOX: TableDefinition<'_, Numbered, &[u8]> = TableDefinition::new("outbox");
const TOP_UPS: TableDefinition<'_, Named, &[u8]> = TableDefinition::new("top_ups");
const WAITING: TableDefinition<'_, Named, &[u8]> = TableDefinition::new("waiting");
const BLOCKED: TableDefinition<'_, &str, ()> = TableDefinition::new("blocked");

/// What a redb file had.
#[derive(Debug, Default)]
pub(in crate::store) struct FromRedb {
    /// The sales and their outbox entries.
    pub(in crate::store) sales: Vec<(SaleRows, Vec<OutboxEntry>)>,
    pub(in crate::store) blocked: Vec<MemberId>,
}

/// Orders by state, in the order of `Status::STORED`.
type ByState<const N: usize> = [PerTier<Tally>; N];

/// The terms as they were.
#[derive(Debug, Deserialize)]
struct OldTerms {
    id: SaleId,
    title: String,
    price: Cents,
    currency: String,
    stock: Units,
    windows: Windows,
    limits: PerTier<Units>,
    pay_within_s: u32,
}

/// A sale's row; the tallies of `refunded` and `returned` come behind it, in newer files.
#[derive(Debug, Deserialize)]
struct OldSale {
    terms: OldTerms,
    epoch: u64,
    stock: Units,
    left: Units,
    is_paused: bool,
    is_closed: bool,
    next_number: u64,
    seq: u64,
    tallies: ByState<6>,
}

#[derive(Debug, Deserialize)]
struct OldOrder {
    number: u64,
    epoch: u64,
    member: MemberId,
    tier: Tier,
    units: Units,
    status: Status,
    reserved_at: Millis,
    settled_at: Millis,
    changed_at: Millis,
    key: Option<IdempotencyKey>,
    before: u64,
}

#[derive(Debug, Deserialize)]
struct OldEntry {
    seq: u64,
    number: u64,
    status: Status,
    at: Millis,
}

#[derive(Debug, Deserialize)]
struct OldWaiting {
    member: MemberId,
    tier: Tier,
    units: Units,
    place: u64,
}

/// Reads the file; `None` if there is none. A file that its process did not close is repaired first.
///
/// # Errors
/// [`StoreError`](crate::store::StoreError) when it is not a store, or when what is in it does not add up.
pub(in crate::store) fn read(path: &Path) -> Stored<Option<FromRedb>> {
    let database = match look(path)? {
        Found::Store(database) => database,
        Found::Unclosed => repaired(path).map_err(|error| explained(failed(error), path))?,
        Found::Nothing => return Ok(None),
        Found::EmptyFile => return Ok(Some(FromRedb::default())),
    };
    let all = database.begin_read().map_err(failed).and_then(|txn| read_all(&txn));
    all.map(Some).map_err(|error| explained(error, path))
}

fn repaired(path: &Path) -> Result<ReadOnlyDatabase, redb::Error> {
    drop(Database::open(path)?);
    Ok(ReadOnlyDatabase::open(path)?)
}

fn read_all(txn: &ReadTransaction) -> Stored<FromRedb> {
    let mut all = FromRedb::default();
    each(txn, BLOCKED, "".., |member, ()| {
        all.blocked.push(member.parse().map_err(damaged)?);
        Ok(())
    })?;
    let mut rows = Vec::new();
    each(txn, SALES, "".., |_, bytes| {
        rows.push(sale(u32::try_from(rows.len() + 1).map_err(damaged)?, bytes)?);
        Ok(())
    })?;
    for mut rows in rows {
        let outbox = fill(txn, &mut rows)?;
        let found = audit::audit(&rows, outbox.iter().cloned().map(Ok));
        if let Some(difference) = found.differences.first() {
            return Err(damaged(format!("{} does not add up: {difference}", found.sale)));
        }
        all.sales.push((rows, outbox));
    }
    Ok(all)
}

fn sale(number: u32, bytes: &[u8]) -> Stored<SaleRows> {
    let (old, rest) = postcard::take_from_bytes::<OldSale>(bytes).map_err(damaged)?;
    let [refunded, returned] = match rest {
        [] => Default::default(),
        rest => postcard::from_bytes::<ByState<2>>(rest).map_err(damaged)?,
    };
    let OldTerms { id, title, price, currency, stock, windows, limits, pay_within_s } = old.terms;
    let (adults_only, members) = (false, MemberTerms::default());
    let terms = Terms {
        id,
        title,
        price,
        currency,
        stock,
        windows,
        limits,
        pay_within_s,
        adults_only,
        image_url: None,
        members,
    };
    let [a, b, c, d, e, f] = old.tallies;
    let mut rows = SaleRows::new(number, terms);
    rows.counters = Counters {
        epoch: old.epoch,
        stock: old.stock,
        left: old.left,
        is_paused: old.is_paused,
        is_closed: old.is_closed,
        next_number: old.next_number,
        seq: old.seq,
        tallies: Tallies([a, b, c, d, e, f, refunded, returned]),
    };
    Ok(rows)
}

/// Reads what belongs to a sale; returns its outbox.
fn fill(txn: &ReadTransaction, rows: &mut SaleRows) -> Stored<Vec<OutboxEntry>> {
    let sale = rows.terms.id.clone();
    // No sale id has this character, so no other sale's rows lie in the range.
    let end = format!("{sale}\0");
    let (named, numbered) = ((sale.as_str(), "")..(&*end, ""), (sale.as_str(), 0)..(&*end, 0));
    each(txn, HOLDERS, named.clone(), |(_, member), (units, limit, newest)| {
        let holder = Holder { units: Units(units), limit: Units(limit), orders: 0, newest };
        rows.holders.add(member.parse().map_err(damaged)?, holder);
        Ok(())
    })?;
    each(txn, ORDERS, numbered.clone(), |_, bytes| keep(rows, &decode(bytes)?))?;
    each(txn, TOP_UPS, named.clone(), |(_, key), bytes| {
        let top_up: TopUp = decode(bytes)?;
        rows.top_ups.insert(key.to_owned(), top_up);
        Ok(())
    })?;
    each(txn, WAITING, named, |_, bytes| {
        let OldWaiting { member, tier, units, place } = decode(bytes)?;
        rows.waiting.insert(member.clone(), Waiting { member, tier, units, place });
        Ok(())
    })?;
    let mut outbox = Vec::new();
    each(txn, OUTBOX, numbered, |_, bytes| {
        for OldEntry { seq, number, status, at } in decode::<Vec<OldEntry>>(bytes)? {
            outbox.push(OutboxEntry { seq, number, status, at, refund: None });
        }
        Ok(())
    })?;
    Ok(outbox)
}

fn keep(rows: &mut SaleRows, old: &OldOrder) -> Stored<()> {
    let OldOrder { number, units, status, settled_at, .. } = *old;
    let no_holder = || damaged(format!("order {number} has no holder"));
    let holder = rows.holders.find(old.member.as_str()).ok_or_else(no_holder)?;
    rows.holders.get_mut(holder).ok_or_else(no_holder)?.orders += 1;
    let money = Money::list(rows.terms.price, units);
    let order = NewOrder {
        number,
        epoch: old.epoch,
        tier: old.tier,
        units,
        status,
        reserved_at: old.reserved_at,
        settled_at,
        changed_at: old.changed_at,
        pay_by: match status {
            Status::Released => settled_at,
            _ => rows.terms.pay_by(settled_at),
        },
        key: old.key,
        money: Some(&money),
        refunds: &[],
        why: None,
    };
    rows.keep(holder, old.before, &order)
}

/// Visits the rows of a table in a range; a table that is not there has none.
fn each<'a, K: Key + 'static, V: Value + 'static, R: std::borrow::Borrow<K::SelfType<'a>> + 'a>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
    range: impl std::ops::RangeBounds<R> + 'a,
    mut see: impl FnMut(K::SelfType<'_>, V::SelfType<'_>) -> Stored<()>,
) -> Stored<()> {
    let table = match txn.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    for entry in table.range(range).map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        see(key.value(), value.value())?;
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Stored<T> {
    postcard::from_bytes(bytes).map_err(damaged)
}
