//! RowStore: the store over any keeper of rows. It runs the transactions; the keeper makes each of
//! them atomic and durable.

use super::rows::{Rows, RowsMut, Stored, page};
use super::{
    Audit, Batch, BrokenOff, Changed, Changes, Head, Members, Opened, Opening, Operating,
    OutboxEntry, Reading, Record, Selling, Switch, Verdict, Waiting, audit, transactions,
};
use crate::clock::Clock;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use async_trait::async_trait;
use membership::MemberId;
use std::fmt::Debug;

/// Reads rows.
pub(super) trait Reader: Debug + Send + Sync + 'static {
    /// Reads rows of one instant.
    fn read<T: Send + 'static>(
        &self,
        view: impl FnOnce(&dyn Rows) -> Stored<T> + Send + 'static,
    ) -> impl Future<Output = Stored<T>> + Send;
}

/// Keeps rows, and runs one transaction at a time on them.
pub(super) trait Keeper: Reader {
    /// Reads and writes rows; all of it is kept when this returns `Ok`, else nothing.
    fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn RowsMut) -> Stored<T> + Send + 'static,
    ) -> impl Future<Output = Stored<T>> + Send;
}

/// A store whose rows are kept by `K`.
#[derive(Debug, Default)]
pub struct RowStore<K> {
    pub(super) keeper: K,
}

#[async_trait]
impl<K: Keeper> Selling for RowStore<K> {
    fn batch_orders_max(&self) -> usize {
        8_192
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff> {
        let batch = batch.clone();
        Ok(self.keeper.write(move |rows| transactions::commit(rows, &batch)).await?)
    }

    async fn change(&self, changes: &Changes) -> Stored<Vec<Changed>> {
        let changes = changes.clone();
        self.keeper.write(move |rows| transactions::change(rows, &changes)).await
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Stored<()> {
        let sale = sale.clone();
        self.keeper.read(move |rows| transactions::sold_by(rows, &sale, epoch).map(drop)).await
    }
}

#[async_trait]
impl<K: Keeper> Opening for RowStore<K> {
    async fn create(&self, terms: &Terms) -> Stored<()> {
        let terms = terms.clone();
        self.keeper.write(move |rows| transactions::create(rows, &terms)).await
    }

    async fn open(&self, sale: &SaleId) -> Stored<Opened> {
        let sale = sale.clone();
        let now = Clock::Wall.now();
        self.keeper.write(move |rows| transactions::open(rows, &sale, now)).await
    }

    async fn restore(&self, sale: &SaleId, epoch: u64, orders: &[Record]) -> Stored<Head> {
        let (sale, orders) = (sale.clone(), orders.to_vec());
        self.keeper.write(move |rows| transactions::restore(rows, &sale, epoch, &orders)).await
    }
}

#[async_trait]
impl<K: Keeper> Operating for RowStore<K> {
    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Stored<()> {
        let sale = sale.clone();
        self.keeper.write(move |rows| transactions::switch(rows, &sale, epoch, switch)).await
    }

    async fn top_up(&self, sale: &SaleId, epoch: u64, key: &str, add: Units) -> Stored<Units> {
        let (sale, key) = (sale.clone(), key.to_owned());
        self.keeper.write(move |rows| transactions::top_up(rows, &sale, epoch, &key, add)).await
    }
}

#[async_trait]
impl<K: Reader> Reading for RowStore<K> {
    async fn sales(&self) -> Stored<Vec<SaleId>> {
        self.keeper.read(|rows| rows.sales()).await
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Stored<Option<Record>> {
        let sale = sale.clone();
        self.keeper.read(move |rows| rows.order(&sale, number)).await
    }

    async fn orders_of(
        &self,
        sale: &SaleId,
        member: &MemberId,
        after: Option<u64>,
        most: usize,
    ) -> Stored<Vec<Record>> {
        let (sale, member) = (sale.clone(), member.clone());
        self.keeper
            .read(move |rows| transactions::orders_of(rows, &sale, &member, after, most))
            .await
    }

    async fn waiting(&self, sale: &SaleId) -> Stored<Vec<Waiting>> {
        let sale = sale.clone();
        self.keeper.read(move |rows| page(usize::MAX, |see| rows.each_waiting(&sale, see))).await
    }

    async fn orders_after(&self, sale: &SaleId, after: u64, most: usize) -> Stored<Vec<Record>> {
        let sale = sale.clone();
        self.keeper.read(move |rows| page(most, |see| rows.each_order(&sale, after, see))).await
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Stored<Vec<OutboxEntry>> {
        let sale = sale.clone();
        self.keeper.read(move |rows| page(most, |see| rows.each_entry(&sale, after, see))).await
    }

    async fn audit(&self) -> Stored<Audit> {
        self.keeper.read(|rows| audit::audit(rows)).await
    }
}

#[async_trait]
impl<K: Keeper> Members for RowStore<K> {
    async fn blocked(&self) -> Stored<Vec<MemberId>> {
        self.keeper.read(|rows| rows.blocked()).await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Stored<()> {
        let member = member.clone();
        self.keeper.write(move |rows| rows.set_blocked(&member, is_blocked)).await
    }
}
