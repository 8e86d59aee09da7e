//! Rows in redb tables: keys begin with the sale, values are postcard.

use super::failure::{damaged, failed};
use super::sale_row;
use crate::rules::order::Status;
use crate::rules::terms::SaleId;
use crate::rules::units::Units;
use crate::store::counters::Holder;
use crate::store::rows::{Rows, RowsMut, SaleRow, Stored, TopUp, Visit};
use crate::store::{OutboxEntry, Record, Waiting};
use membership::MemberId;
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// The tables, read and written in one transaction, or only read in one snapshot.
pub(super) struct Set<S, O, H, E, T, B> {
    sales: S,
    orders: O,
    holders: H,
    outbox: E,
    top_ups: T,
    waiting: T,
    blocked: B,
    /// Whether this transaction has written anything.
    is_changed: bool,
}

pub(super) type Tables<'t> = Set<
    Table<'t, &'static str, &'static [u8]>,
    Table<'t, Numbered, &'static [u8]>,
    Table<'t, Named, (u32, u32, u64)>,
    Table<'t, Numbered, &'static [u8]>,
    Table<'t, Named, &'static [u8]>,
    Table<'t, &'static str, ()>,
>;

pub(super) type Views = Set<
    ReadOnlyTable<&'static str, &'static [u8]>,
    ReadOnlyTable<Numbered, &'static [u8]>,
    ReadOnlyTable<Named, (u32, u32, u64)>,
    ReadOnlyTable<Numbered, &'static [u8]>,
    ReadOnlyTable<Named, &'static [u8]>,
    ReadOnlyTable<&'static str, ()>,
>;

impl<'t> Tables<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Stored<Self> {
        Ok(Self {
            sales: txn.open_table(SALES).map_err(failed)?,
            orders: txn.open_table(ORDERS).map_err(failed)?,
            holders: txn.open_table(HOLDERS).map_err(failed)?,
            outbox: txn.open_table(OUTBOX).map_err(failed)?,
            top_ups: txn.open_table(TOP_UPS).map_err(failed)?,
            waiting: txn.open_table(WAITING).map_err(failed)?,
            blocked: txn.open_table(BLOCKED).map_err(failed)?,
            is_changed: false,
        })
    }
}

impl Tables<'_> {
    /// Whether this transaction has written anything.
    pub(super) const fn is_changed(&self) -> bool {
        self.is_changed
    }
}

impl Views {
    pub(super) fn open(txn: &ReadTransaction) -> Stored<Self> {
        Ok(Self {
            sales: txn.open_table(SALES).map_err(failed)?,
            orders: txn.open_table(ORDERS).map_err(failed)?,
            holders: txn.open_table(HOLDERS).map_err(failed)?,
            outbox: txn.open_table(OUTBOX).map_err(failed)?,
            top_ups: txn.open_table(TOP_UPS).map_err(failed)?,
            waiting: txn.open_table(WAITING).map_err(failed)?,
            blocked: txn.open_table(BLOCKED).map_err(failed)?,
            is_changed: false,
        })
    }
}

impl<S, O, H, E, T, B> Rows for Set<S, O, H, E, T, B>
where
    S: ReadableTable<&'static str, &'static [u8]>,
    O: ReadableTable<Numbered, &'static [u8]>,
    H: ReadableTable<Named, (u32, u32, u64)>,
    E: ReadableTable<Numbered, &'static [u8]>,
    T: ReadableTable<Named, &'static [u8]>,
    B: ReadableTable<&'static str, ()>,
{
    fn sales(&self) -> Stored<Vec<SaleId>> {
        let mut sales = Vec::new();
        for entry in self.sales.iter().map_err(failed)? {
            let (id, _) = entry.map_err(failed)?;
            sales.push(id.value().parse().map_err(damaged)?);
        }
        Ok(sales)
    }

    fn sale(&self, sale: &SaleId) -> Stored<Option<SaleRow>> {
        let found = self.sales.get(sale.as_str()).map_err(failed)?;
        found.map(|bytes| sale_row::decode(bytes.value())).transpose()
    }

    fn order(&self, sale: &SaleId, number: u64) -> Stored<Option<Record>> {
        let found = self.orders.get((sale.as_str(), number)).map_err(failed)?;
        found.map(|bytes| decode(bytes.value())).transpose()
    }

    fn holder(&self, sale: &SaleId, member: &MemberId) -> Stored<Holder> {
        let found = self.holders.get((sale.as_str(), member.as_str())).map_err(failed)?;
        Ok(found.map_or_else(Holder::default, |row| holder(row.value())))
    }

    fn top_up(&self, sale: &SaleId, key: &str) -> Stored<Option<TopUp>> {
        let found = self.top_ups.get((sale.as_str(), key)).map_err(failed)?;
        found.map(|bytes| decode(bytes.value())).transpose()
    }

    fn each_order(&self, sale: &SaleId, after: u64, see: &mut Visit<'_, Record>) -> Stored<()> {
        each_numbered(&self.orders, sale, after, see)
    }

    fn each_holder(&self, sale: &SaleId, see: &mut Visit<'_, (MemberId, Holder)>) -> Stored<()> {
        for entry in self.holders.range((sale.as_str(), "")..).map_err(failed)? {
            let (key, row) = entry.map_err(failed)?;
            let (of, member) = key.value();
            let member = member.parse().map_err(damaged)?;
            if of != sale.as_str() || !see((member, holder(row.value()))) {
                break;
            }
        }
        Ok(())
    }

    fn each_entry(
        &self,
        sale: &SaleId,
        after: u64,
        see: &mut Visit<'_, OutboxEntry>,
    ) -> Stored<()> {
        each_numbered(&self.outbox, sale, after, &mut |commit: Vec<OutboxEntry>| {
            commit.into_iter().filter(|entry| entry.seq > after).all(&mut *see)
        })
    }

    fn each_top_up(&self, sale: &SaleId, see: &mut Visit<'_, TopUp>) -> Stored<()> {
        each_named(&self.top_ups, sale, see)
    }

    fn waiting(&self, sale: &SaleId, member: &MemberId) -> Stored<Option<Waiting>> {
        let found = self.waiting.get((sale.as_str(), member.as_str())).map_err(failed)?;
        found.map(|bytes| decode(bytes.value())).transpose()
    }

    fn each_waiting(&self, sale: &SaleId, see: &mut Visit<'_, Waiting>) -> Stored<()> {
        each_named(&self.waiting, sale, see)
    }

    fn blocked(&self) -> Stored<Vec<MemberId>> {
        let mut members = Vec::new();
        for entry in self.blocked.iter().map_err(failed)? {
            members.push(entry.map_err(failed)?.0.value().parse().map_err(damaged)?);
        }
        Ok(members)
    }
}

impl RowsMut for Tables<'_> {
    fn put_sale(&mut self, row: &SaleRow) -> Stored<()> {
        let bytes = sale_row::encode(row)?;
        self.is_changed = true;
        self.sales.insert(row.terms.id.as_str(), &*bytes).map_err(failed)?;
        Ok(())
    }

    fn put_order(&mut self, sale: &SaleId, record: &Record) -> Stored<()> {
        debug_assert_ne!(record.status, Status::Reserved, "the store keeps decided orders");
        let (sale, number) = (sale.as_str(), record.number);
        let bytes = encode(record)?;
        self.is_changed = true;
        self.orders.insert((sale, number), &*bytes).map_err(failed)?;
        Ok(())
    }

    fn put_holder(&mut self, sale: &SaleId, member: &MemberId, holder: Holder) -> Stored<()> {
        let key = (sale.as_str(), member.as_str());
        self.is_changed = true;
        self.holders
            .insert(key, (holder.units.0, holder.limit.0, holder.newest))
            .map_err(failed)?;
        Ok(())
    }

    fn put_entries(&mut self, sale: &SaleId, entries: &[OutboxEntry]) -> Stored<()> {
        let last = entries.last().map_or(0, |entry| entry.seq);
        let bytes = encode(&entries)?;
        self.is_changed = true;
        self.outbox.insert((sale.as_str(), last), &*bytes).map_err(failed)?;
        Ok(())
    }

    fn put_top_up(&mut self, sale: &SaleId, key: &str, top_up: &TopUp) -> Stored<()> {
        let bytes = encode(top_up)?;
        self.is_changed = true;
        self.top_ups.insert((sale.as_str(), key), &*bytes).map_err(failed)?;
        Ok(())
    }

    fn put_waiting(&mut self, sale: &SaleId, waiting: &Waiting) -> Stored<()> {
        let bytes = encode(waiting)?;
        let key = (sale.as_str(), waiting.member.as_str());
        self.is_changed = true;
        self.waiting.insert(key, &*bytes).map_err(failed)?;
        Ok(())
    }

    fn remove_waiting(&mut self, sale: &SaleId, member: &MemberId) -> Stored<()> {
        let removed = self.waiting.remove((sale.as_str(), member.as_str())).map_err(failed)?;
        self.is_changed |= removed.is_some();
        Ok(())
    }

    fn clear_waiting(&mut self, sale: &SaleId) -> Stored<()> {
        // No sale id has this character, so no other sale's rows lie in the range.
        let end = format!("{sale}\0");
        let mut removed = 0;
        let rows = (sale.as_str(), "")..(end.as_str(), "");
        let forgotten = self.waiting.retain_in(rows, |_, _| {
            removed += 1;
            false
        });
        forgotten.map_err(failed)?;
        self.is_changed |= removed > 0;
        Ok(())
    }

    fn set_blocked(&mut self, member: &MemberId, is_blocked: bool) -> Stored<()> {
        let before = match is_blocked {
            true => self.blocked.insert(member.as_str(), ()).map_err(failed)?,
            false => self.blocked.remove(member.as_str()).map_err(failed)?,
        };
        self.is_changed |= before.is_some() != is_blocked;
        Ok(())
    }
}

fn each_named<V: DeserializeOwned>(
    table: &impl ReadableTable<Named, &'static [u8]>,
    sale: &SaleId,
    see: &mut Visit<'_, V>,
) -> Stored<()> {
    for entry in table.range((sale.as_str(), "")..).map_err(failed)? {
        let (key, bytes) = entry.map_err(failed)?;
        if key.value().0 != sale.as_str() || !see(decode(bytes.value())?) {
            break;
        }
    }
    Ok(())
}

fn each_numbered<V: DeserializeOwned>(
    table: &impl ReadableTable<Numbered, &'static [u8]>,
    sale: &SaleId,
    after: u64,
    see: &mut Visit<'_, V>,
) -> Stored<()> {
    let sale = sale.as_str();
    let range = table.range((sale, after.saturating_add(1))..=(sale, u64::MAX));
    for entry in range.map_err(failed)? {
        let (_, bytes) = entry.map_err(failed)?;
        if !see(decode(bytes.value())?) {
            break;
        }
    }
    Ok(())
}

const fn holder((units, limit, newest): (u32, u32, u64)) -> Holder {
    Holder { units: Units(units), limit: Units(limit), newest }
}

fn encode(value: &impl Serialize) -> Stored<Vec<u8>> {
    // A record fits into this capacity; for the entries of a commit the buffer grows as needed.
    postcard::to_extend(value, Vec::with_capacity(128)).map_err(damaged)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Stored<T> {
    postcard::from_bytes(bytes).map_err(damaged)
}
