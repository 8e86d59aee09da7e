//! Nodes in memory: those of one process, in tests.

use super::{Memory, without_members};
use crate::clock::Clock;
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::store::row_store::{Keeper, RowStore};
use crate::store::rows::Stored;
use crate::store::{Leasing, Living, Opened, Ownership, Seen, StoreError};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl Leasing for RowStore<Memory> {
    async fn renew(&self, node: &Node, lasts: Duration) -> Stored<Living> {
        let (at, leases) = (Clock::Wall.now(), &mut self.keeper.kept.lock().leases);
        leases.renew(node, lasts, at)?;
        Ok(Living { living: leases.living(at).cloned().collect(), at })
    }

    async fn living(&self) -> Stored<Living> {
        let (at, leases) = (Clock::Wall.now(), &self.keeper.kept.lock().leases);
        Ok(Living { living: leases.living(at).cloned().collect(), at })
    }

    async fn end(&self, node: &Node) -> Stored<()> {
        self.keeper.kept.lock().leases.end(node);
        Ok(())
    }

    async fn latch(&self, name: &NodeId, by: u64, lasts: Duration) -> Stored<bool> {
        let holder = Node { id: name.clone(), process: by, address: "".into() };
        Ok(self.keeper.kept.lock().latches.renew(&holder, lasts, Clock::Wall.now()).is_ok())
    }

    async fn unlatch(&self, name: &NodeId, by: u64) -> Stored<()> {
        let holder = Node { id: name.clone(), process: by, address: "".into() };
        self.keeper.kept.lock().latches.end(&holder);
        Ok(())
    }

    async fn owner(&self, sale: &SaleId) -> Stored<Option<Ownership>> {
        Ok(self.keeper.kept.lock().owner(sale))
    }

    async fn peek(&self, sale: &SaleId) -> Stored<Option<Opened>> {
        let mut kept = self.keeper.kept.lock();
        kept.any(sale).map(|sale| without_members(&sale.rows)).transpose()
    }

    async fn number(&self, sale: &SaleId) -> Stored<Option<u32>> {
        Ok(self.keeper.kept.lock().any(sale).map(|sale| sale.rows.number))
    }

    async fn take(&self, sale: &SaleId, by: &NodeId, seen: Seen) -> Stored<Opened> {
        // A late take-over leaves an archived sale where it is.
        let mut owner = self.owner(sale).await?.ok_or(StoreError::UnknownSale)?;
        owner.take(by, seen, seen.epoch)?;
        self.keeper.unarchive(sale).await?;
        let mut kept = self.keeper.kept.lock();
        let mut owner = kept.owner(sale).ok_or(StoreError::UnknownSale)?;
        let rows = kept.sales.get_mut(sale).ok_or(StoreError::UnknownSale)?.well()?;
        let mut counters = rows.counters.clone();
        counters.begin_epoch(Clock::Wall.now());
        owner.take(by, seen, counters.epoch)?;
        let opened = Opened { epoch: counters.epoch, ..rows.opened()? };
        rows.counters = counters;
        kept.owners.insert(sale.clone(), owner);
        Ok(opened)
    }

    async fn keep(&self, sale: &SaleId, epoch: u64, by: &NodeId) -> Stored<()> {
        let mut kept = self.keeper.kept.lock();
        let mut owner = kept.owner(sale).ok_or(StoreError::UnknownSale)?;
        owner.keep(by, epoch)?;
        kept.owners.insert(sale.clone(), owner);
        Ok(())
    }

    async fn hand_over(&self, sale: &SaleId, epoch: u64, to: &NodeId) -> Stored<()> {
        let mut kept = self.keeper.kept.lock();
        let mut owner = kept.owner(sale).ok_or(StoreError::UnknownSale)?;
        owner.hand_over(epoch, to)?;
        kept.owners.insert(sale.clone(), owner);
        Ok(())
    }
}
