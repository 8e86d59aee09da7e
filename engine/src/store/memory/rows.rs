//! Rows in memory. A sale in Redis is read into them, too, so that the audit can add it up again.

use crate::rules::terms::SaleId;
use crate::store::counters::Holder;
use crate::store::rows::{Rows, RowsMut, SaleRow, Stored, TopUp, Visit};
use crate::store::{OutboxEntry, Record, Waiting};
use membership::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// All rows of one sale.
#[derive(Debug, Default)]
pub(in crate::store) struct SaleRows {
    pub(in crate::store) row: Option<SaleRow>,
    pub(in crate::store) orders: BTreeMap<u64, Record>,
    pub(in crate::store) holders: BTreeMap<MemberId, Holder>,
    pub(in crate::store) outbox: BTreeMap<u64, OutboxEntry>,
    pub(in crate::store) top_ups: BTreeMap<String, TopUp>,
    pub(in crate::store) waiting: BTreeMap<MemberId, Waiting>,
}

/// All rows there are.
#[derive(Debug, Default)]
pub(in crate::store) struct MemoryRows {
    sales: BTreeMap<SaleId, SaleRows>,
    blocked: BTreeSet<MemberId>,
}

impl MemoryRows {
    /// The rows of one sale alone.
    pub(in crate::store) fn of(sale: SaleId, rows: SaleRows) -> Self {
        Self { sales: BTreeMap::from([(sale, rows)]), blocked: BTreeSet::new() }
    }

    fn of_mut(&mut self, sale: &SaleId) -> &mut SaleRows {
        self.sales.entry(sale.clone()).or_default()
    }

    fn walk<'a, T, I: Iterator<Item = T>>(
        &'a self,
        sale: &SaleId,
        rows: impl FnOnce(&'a SaleRows) -> I,
        see: &mut Visit<'_, T>,
    ) -> Stored<()> {
        if let Some(of_sale) = self.sales.get(sale) {
            rows(of_sale).all(see);
        }
        Ok(())
    }
}

impl Rows for MemoryRows {
    fn sales(&self) -> Stored<Vec<SaleId>> {
        Ok(self.sales.keys().cloned().collect())
    }

    fn sale(&self, sale: &SaleId) -> Stored<Option<SaleRow>> {
        Ok(self.sales.get(sale).and_then(|rows| rows.row.clone()))
    }

    fn order(&self, sale: &SaleId, number: u64) -> Stored<Option<Record>> {
        Ok(self.sales.get(sale).and_then(|rows| rows.orders.get(&number).cloned()))
    }

    fn holder(&self, sale: &SaleId, member: &MemberId) -> Stored<Holder> {
        let holder = self.sales.get(sale).and_then(|rows| rows.holders.get(member).copied());
        Ok(holder.unwrap_or_default())
    }

    fn top_up(&self, sale: &SaleId, key: &str) -> Stored<Option<TopUp>> {
        Ok(self.sales.get(sale).and_then(|rows| rows.top_ups.get(key).copied()))
    }

    fn waiting(&self, sale: &SaleId, member: &MemberId) -> Stored<Option<Waiting>> {
        Ok(self.sales.get(sale).and_then(|rows| rows.waiting.get(member).cloned()))
    }

    fn blocked(&self) -> Stored<Vec<MemberId>> {
        Ok(self.blocked.iter().cloned().collect())
    }

    fn each_order(&self, sale: &SaleId, after: u64, see: &mut Visit<'_, Record>) -> Stored<()> {
        let from = after.saturating_add(1);
        self.walk(sale, |rows| rows.orders.range(from..).map(|(_, record)| record.clone()), see)
    }

    fn each_holder(&self, sale: &SaleId, see: &mut Visit<'_, (MemberId, Holder)>) -> Stored<()> {
        self.walk(sale, |rows| rows.holders.iter().map(|(m, holder)| (m.clone(), *holder)), see)
    }

    fn each_entry(
        &self,
        sale: &SaleId,
        after: u64,
        see: &mut Visit<'_, OutboxEntry>,
    ) -> Stored<()> {
        let from = after.saturating_add(1);
        self.walk(sale, |rows| rows.outbox.range(from..).map(|(_, entry)| *entry), see)
    }

    fn each_top_up(&self, sale: &SaleId, see: &mut Visit<'_, TopUp>) -> Stored<()> {
        self.walk(sale, |rows| rows.top_ups.values().copied(), see)
    }

    fn each_waiting(&self, sale: &SaleId, see: &mut Visit<'_, Waiting>) -> Stored<()> {
        self.walk(sale, |rows| rows.waiting.values().cloned(), see)
    }
}

impl RowsMut for MemoryRows {
    fn put_sale(&mut self, row: &SaleRow) -> Stored<()> {
        self.of_mut(&row.terms.id).row = Some(row.clone());
        Ok(())
    }

    fn put_order(&mut self, sale: &SaleId, record: &Record) -> Stored<()> {
        self.of_mut(sale).orders.insert(record.number, record.clone());
        Ok(())
    }

    fn put_holder(&mut self, sale: &SaleId, member: &MemberId, holder: Holder) -> Stored<()> {
        self.of_mut(sale).holders.insert(member.clone(), holder);
        Ok(())
    }

    fn put_entries(&mut self, sale: &SaleId, entries: &[OutboxEntry]) -> Stored<()> {
        self.of_mut(sale).outbox.extend(entries.iter().map(|entry| (entry.seq, *entry)));
        Ok(())
    }

    fn put_top_up(&mut self, sale: &SaleId, key: &str, top_up: &TopUp) -> Stored<()> {
        self.of_mut(sale).top_ups.insert(key.to_owned(), *top_up);
        Ok(())
    }

    fn put_waiting(&mut self, sale: &SaleId, waiting: &Waiting) -> Stored<()> {
        self.of_mut(sale).waiting.insert(waiting.member.clone(), waiting.clone());
        Ok(())
    }

    fn remove_waiting(&mut self, sale: &SaleId, member: &MemberId) -> Stored<()> {
        self.of_mut(sale).waiting.remove(member);
        Ok(())
    }

    fn clear_waiting(&mut self, sale: &SaleId) -> Stored<()> {
        self.of_mut(sale).waiting.clear();
        Ok(())
    }

    fn set_blocked(&mut self, member: &MemberId, is_blocked: bool) -> Stored<()> {
        match is_blocked {
            true => self.blocked.insert(member.clone()),
            false => self.blocked.remove(member),
        };
        Ok(())
    }
}
