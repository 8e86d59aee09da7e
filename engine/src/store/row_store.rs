//! RowStore: the store over any keeper of sales' rows. It asks for transactions; the keeper makes each
//! of them atomic and durable.

use super::rows::{SaleRows, Stored};
use super::{
    Audit, Batch, BrokenOff, Changed, Changes, Head, Members, Opened, Opening, Operating,
    OutboxEnd, OutboxEntry, Reading, Record, Selling, StoreError, Switch, Verdict, Waiting,
};
use crate::clock::Clock;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use async_trait::async_trait;
use membership::MemberId;
use std::fmt::Debug;
use std::time::Duration;

/// Reads what is stored, and nothing that is not durable yet.
pub(super) trait Reader: Debug + Send + Sync + 'static {
    /// The ids of all sales.
    fn sales(&self) -> Stored<Vec<SaleId>>;

    /// Reads a sale's rows, of one instant. `None`: there is no such sale.
    fn view<T: Send + 'static>(
        &self,
        sale: &SaleId,
        view: impl FnOnce(&SaleRows) -> Stored<T> + Send + 'static,
    ) -> impl Future<Output = Stored<Option<T>>> + Send;

    /// As [`Reading::outbox_after`].
    fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> impl Future<Output = Stored<Vec<OutboxEntry>>> + Send;

    /// As [`Reading::outbox_end`].
    fn outbox_end(&self, sale: &SaleId) -> impl Future<Output = Stored<OutboxEnd>> + Send;

    /// Adds everything up again.
    fn audit(&self) -> impl Future<Output = Stored<Audit>> + Send;

    fn blocked(&self) -> Stored<Vec<MemberId>>;

    fn erasing(&self) -> Stored<Vec<(MemberId, MemberId)>>;
}

/// Keeps sales, and runs one transaction at a time on each.
pub(super) trait Keeper: Reader {
    /// As [`Selling::gather`].
    const GATHER: Duration;

    /// Runs a transaction, which writes what it decided to the block. All of it is kept when this
    /// returns `Ok`, else nothing.
    fn write<T: Send + 'static>(
        &self,
        sale: &SaleId,
        change: impl FnOnce(&mut SaleRows, &mut Vec<u8>) -> Stored<T> + Send + 'static,
    ) -> impl Future<Output = Stored<T>> + Send;

    fn create(&self, terms: &Terms) -> impl Future<Output = Stored<()>> + Send;

    /// Takes a sale out of the archive again, if it is there.
    fn unarchive(&self, sale: &SaleId) -> impl Future<Output = Stored<()>> + Send;

    /// Whether this epoch sells the sale, without waiting for any transaction.
    fn still_sells(&self, sale: &SaleId, epoch: u64) -> impl Future<Output = Stored<()>> + Send;

    fn set_blocked(
        &self,
        member: &MemberId,
        is_blocked: bool,
    ) -> impl Future<Output = Stored<()>> + Send;

    fn set_erasing(
        &self,
        member: &MemberId,
        pseudonym: Option<&MemberId>,
    ) -> impl Future<Output = Stored<()>> + Send;

    /// Gives a holder another name wherever a sale stands beside its rows, too.
    fn rename_beside(
        &self,
        sale: &SaleId,
        member: &MemberId,
        to: &MemberId,
    ) -> impl Future<Output = Stored<()>> + Send;

    /// As [`Members::forget`].
    fn forget(&self) -> impl Future<Output = Stored<()>> + Send;
}

/// A store whose sales are kept by `K`.
#[derive(Debug, Default)]
pub struct RowStore<K> {
    pub(super) keeper: K,
}

#[async_trait]
impl<K: Keeper> Selling for RowStore<K> {
    fn batch_orders_max(&self) -> usize {
        8_192
    }

    fn gather(&self) -> Duration {
        K::GATHER
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff> {
        let of = batch.clone();
        Ok(self.keeper.write(&batch.sale, move |rows, block| rows.commit(&of, block)).await?)
    }

    async fn change(&self, changes: &Changes) -> Stored<Vec<Changed>> {
        let of = changes.clone();
        self.keeper.write(&changes.sale, move |rows, block| rows.change(&of, block)).await
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Stored<()> {
        self.keeper.still_sells(sale, epoch).await
    }
}

#[async_trait]
impl<K: Keeper> Opening for RowStore<K> {
    async fn create(&self, terms: &Terms) -> Stored<()> {
        self.keeper.create(terms).await
    }

    async fn open(&self, sale: &SaleId) -> Stored<Opened> {
        let now = Clock::Wall.now();
        let open = move |rows: &mut SaleRows, block: &mut Vec<u8>| {
            rows.open(now, block);
            Ok(rows.counters.epoch)
        };
        self.keeper.unarchive(sale).await?;
        let epoch = self.keeper.write(sale, open).await?;
        // A large sale takes a while to read, so that is no part of the transaction. Another opening may
        // have come in between.
        let read = move |rows: &SaleRows| {
            rows.counters.sold_by(epoch)?;
            rows.opened()
        };
        self.keeper.view(sale, read).await?.ok_or(StoreError::UnknownSale)
    }

    async fn restore(&self, sale: &SaleId, epoch: u64, orders: &[Record]) -> Stored<Head> {
        let orders = orders.to_vec();
        self.keeper.write(sale, move |rows, block| rows.restore(epoch, &orders, block)).await
    }
}

#[async_trait]
impl<K: Keeper> Operating for RowStore<K> {
    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Stored<()> {
        self.keeper.write(sale, move |rows, block| rows.switch(epoch, switch, block)).await
    }

    async fn change_terms(&self, epoch: u64, terms: &Terms) -> Stored<()> {
        let to = terms.clone();
        self.keeper.write(&terms.id, move |rows, block| rows.change_terms(epoch, to, block)).await
    }

    async fn top_up(&self, sale: &SaleId, epoch: u64, key: &str, add: Units) -> Stored<Units> {
        let key = key.to_owned();
        self.keeper.write(sale, move |rows, block| rows.top_up(epoch, &key, add, block)).await
    }
}

#[async_trait]
impl<K: Reader> Reading for RowStore<K> {
    async fn sales(&self) -> Stored<Vec<SaleId>> {
        self.keeper.sales()
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Stored<Option<Record>> {
        Ok(self.keeper.view(sale, move |rows| rows.record(number)).await?.flatten())
    }

    async fn orders_of(
        &self,
        sale: &SaleId,
        member: &MemberId,
        after: Option<u64>,
        most: usize,
    ) -> Stored<Vec<Record>> {
        let member = member.clone();
        let found = self.keeper.view(sale, move |rows| rows.orders_of(&member, after, most)).await;
        Ok(found?.unwrap_or_default())
    }

    async fn waiting(&self, sale: &SaleId) -> Stored<Vec<Waiting>> {
        let all = |rows: &SaleRows| Ok(rows.waiting.values().cloned().collect());
        Ok(self.keeper.view(sale, all).await?.unwrap_or_default())
    }

    async fn orders_after(&self, sale: &SaleId, after: u64, most: usize) -> Stored<Vec<Record>> {
        let found = self.keeper.view(sale, move |rows| rows.orders_after(after, most)).await;
        Ok(found?.unwrap_or_default())
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Stored<Vec<OutboxEntry>> {
        self.keeper.outbox_after(sale, after, most).await
    }

    async fn outbox_end(&self, sale: &SaleId) -> Stored<OutboxEnd> {
        self.keeper.outbox_end(sale).await
    }

    async fn audit(&self) -> Stored<Audit> {
        self.keeper.audit().await
    }
}

#[async_trait]
impl<K: Keeper> Members for RowStore<K> {
    async fn blocked(&self) -> Stored<Vec<MemberId>> {
        self.keeper.blocked()
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Stored<()> {
        self.keeper.set_blocked(member, is_blocked).await
    }

    async fn erasing(&self) -> Stored<Vec<(MemberId, MemberId)>> {
        self.keeper.erasing()
    }

    async fn set_erasing(&self, member: &MemberId, pseudonym: Option<&MemberId>) -> Stored<()> {
        self.keeper.set_erasing(member, pseudonym).await
    }

    async fn rename(
        &self,
        sale: &SaleId,
        epoch: u64,
        member: &MemberId,
        to: &MemberId,
    ) -> Stored<()> {
        self.keeper.rename_beside(sale, member, to).await?;
        let (member, to) = (member.clone(), to.clone());
        self.keeper.write(sale, move |rows, block| rows.rename(epoch, &member, to, block)).await
    }

    async fn forget(&self) -> Stored<()> {
        self.keeper.forget().await
    }
}
