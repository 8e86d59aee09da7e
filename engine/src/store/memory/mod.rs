//! The store that forgets everything when the process ends: for trying out and for tests.

use super::commit::{self, Holder, Rows, RowsMut, SaleRow, TopUp, Visit};
use super::{
    Audit, Batch, Changed, Changes, Head, Opened, OutboxEntry, Record, Store, StoreError, Switch,
    Verdict, Waiting, change,
};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use async_trait::async_trait;
use membership::MemberId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Sales in memory, one transaction at a time.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sales: Mutex<BTreeMap<SaleId, Kept>>,
    blocked: Mutex<BTreeSet<MemberId>>,
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) row: Option<SaleRow>,
    pub(super) orders: BTreeMap<u64, Record>,
    pub(super) holders: BTreeMap<MemberId, Holder>,
    pub(super) outbox: BTreeMap<u64, OutboxEntry>,
    pub(super) top_ups: BTreeMap<String, TopUp>,
    pub(super) waiting: BTreeMap<MemberId, Waiting>,
}

pub(super) type Rowset = BTreeMap<SaleId, Kept>;

fn walk<T>(items: impl IntoIterator<Item = T>, see: &mut Visit<'_, T>) {
    for item in items {
        if !see(item) {
            return;
        }
    }
}

impl Rows for Rowset {
    fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        Ok(self.keys().cloned().collect())
    }

    fn sale(&self, sale: &SaleId) -> Result<Option<SaleRow>, StoreError> {
        Ok(self.get(sale).and_then(|kept| kept.row.clone()))
    }

    fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        Ok(self.get(sale).and_then(|kept| kept.orders.get(&number).cloned()))
    }

    fn holder(&self, sale: &SaleId, member: &MemberId) -> Result<Holder, StoreError> {
        let holder = self.get(sale).and_then(|kept| kept.holders.get(member).copied());
        Ok(holder.unwrap_or_default())
    }

    fn top_up(&self, sale: &SaleId, key: &str) -> Result<Option<TopUp>, StoreError> {
        Ok(self.get(sale).and_then(|kept| kept.top_ups.get(key).copied()))
    }

    fn each_order(
        &self,
        sale: &SaleId,
        after: u64,
        see: &mut Visit<'_, Record>,
    ) -> Result<(), StoreError> {
        if let Some(kept) = self.get(sale) {
            walk(
                kept.orders.range(after.saturating_add(1)..).map(|(_, record)| record.clone()),
                see,
            );
        }
        Ok(())
    }

    fn each_holder(
        &self,
        sale: &SaleId,
        see: &mut Visit<'_, (MemberId, Holder)>,
    ) -> Result<(), StoreError> {
        if let Some(kept) = self.get(sale) {
            walk(kept.holders.iter().map(|(member, holder)| (member.clone(), *holder)), see);
        }
        Ok(())
    }

    fn each_entry(
        &self,
        sale: &SaleId,
        after: u64,
        see: &mut Visit<'_, OutboxEntry>,
    ) -> Result<(), StoreError> {
        if let Some(kept) = self.get(sale) {
            walk(kept.outbox.range(after.saturating_add(1)..).map(|(_, entry)| *entry), see);
        }
        Ok(())
    }

    fn each_top_up(&self, sale: &SaleId, see: &mut Visit<'_, TopUp>) -> Result<(), StoreError> {
        if let Some(kept) = self.get(sale) {
            walk(kept.top_ups.values().copied(), see);
        }
        Ok(())
    }

    fn waiting(&self, sale: &SaleId, member: &MemberId) -> Result<Option<Waiting>, StoreError> {
        Ok(self.get(sale).and_then(|kept| kept.waiting.get(member).cloned()))
    }

    fn each_waiting(&self, sale: &SaleId, see: &mut Visit<'_, Waiting>) -> Result<(), StoreError> {
        if let Some(kept) = self.get(sale) {
            walk(kept.waiting.values().cloned(), see);
        }
        Ok(())
    }
}

fn kept<'a>(rows: &'a mut Rowset, sale: &SaleId) -> &'a mut Kept {
    rows.entry(sale.clone()).or_default()
}

impl RowsMut for Rowset {
    fn put_sale(&mut self, row: &SaleRow) -> Result<(), StoreError> {
        kept(self, &row.terms.id).row = Some(row.clone());
        Ok(())
    }

    fn put_order(&mut self, sale: &SaleId, record: &Record) -> Result<(), StoreError> {
        kept(self, sale).orders.insert(record.number, record.clone());
        Ok(())
    }

    fn put_holder(
        &mut self,
        sale: &SaleId,
        member: &MemberId,
        holder: Holder,
    ) -> Result<(), StoreError> {
        kept(self, sale).holders.insert(member.clone(), holder);
        Ok(())
    }

    fn put_entries(&mut self, sale: &SaleId, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        kept(self, sale).outbox.extend(entries.iter().map(|entry| (entry.seq, *entry)));
        Ok(())
    }

    fn put_top_up(&mut self, sale: &SaleId, key: &str, top_up: &TopUp) -> Result<(), StoreError> {
        kept(self, sale).top_ups.insert(key.to_owned(), *top_up);
        Ok(())
    }

    fn put_waiting(&mut self, sale: &SaleId, waiting: &Waiting) -> Result<(), StoreError> {
        kept(self, sale).waiting.insert(waiting.member.clone(), waiting.clone());
        Ok(())
    }

    fn remove_waiting(&mut self, sale: &SaleId, member: &MemberId) -> Result<(), StoreError> {
        kept(self, sale).waiting.remove(member);
        Ok(())
    }
}

// Every transaction checks all that may fail before it writes, so a failed one has changed nothing;
// what is damaged already may be left half changed.
#[async_trait]
impl Store for MemoryStore {
    fn batch_orders_max(&self) -> usize {
        8_192
    }

    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        commit::create(&mut *self.sales.lock(), terms)
    }

    async fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        self.sales.lock().sales()
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        commit::open(&mut *self.sales.lock(), sale)
    }

    async fn hold(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        commit::hold(&*self.sales.lock(), sale, epoch)
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        change::restore(&mut *self.sales.lock(), sale, epoch, orders)
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        commit::commit(&mut *self.sales.lock(), batch)
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        change::change(&mut *self.sales.lock(), changes)
    }

    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        commit::switch(&mut *self.sales.lock(), sale, epoch, switch)
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        commit::top_up(&mut *self.sales.lock(), sale, epoch, key, add)
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        self.sales.lock().order(sale, number)
    }

    async fn orders_of(&self, sale: &SaleId, member: &MemberId) -> Result<Vec<Record>, StoreError> {
        commit::orders_of(&*self.sales.lock(), sale, member)
    }

    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let rows = self.sales.lock();
        commit::page(most, |see| rows.each_order(sale, after, see))
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let rows = self.sales.lock();
        commit::page(most, |see| rows.each_entry(sale, after, see))
    }

    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        let rows = self.sales.lock();
        commit::page(usize::MAX, |see| rows.each_waiting(sale, see))
    }

    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        Ok(self.blocked.lock().iter().cloned().collect())
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        let mut blocked = self.blocked.lock();
        match is_blocked {
            true => blocked.insert(member.clone()),
            false => blocked.remove(member),
        };
        Ok(())
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        super::audit::audit(&*self.sales.lock())
    }
}
