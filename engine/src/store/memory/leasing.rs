//! Nodes in memory: those of one process, in tests.

use super::Memory;
use crate::clock::Clock;
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::store::row_store::{Keeper, RowStore};
use crate::store::rows::Stored;
use crate::store::{Leasing, Opened, Ownership, StoreError};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl Leasing for RowStore<Memory> {
    async fn renew(&self, node: &Node, lasts: Duration) -> Stored<Vec<Node>> {
        let (now, leases) = (Clock::Wall.now(), &mut self.keeper.kept.lock().leases);
        leases.renew(node, lasts, now)?;
        Ok(leases.living(now).cloned().collect())
    }

    async fn end(&self, node: &Node) -> Stored<()> {
        self.keeper.kept.lock().leases.end(node);
        Ok(())
    }

    async fn owner(&self, sale: &SaleId) -> Stored<Option<Ownership>> {
        Ok(self.keeper.kept.lock().owner(sale))
    }

    async fn take(&self, sale: &SaleId, by: &NodeId, seen: u64) -> Stored<Opened> {
        let mut owner = self.owner(sale).await?.ok_or(StoreError::UnknownSale)?;
        owner.take(by, seen, seen)?;
        self.keeper.unarchive(sale).await?;
        let mut kept = self.keeper.kept.lock();
        let rows = kept.sales.get_mut(sale).ok_or(StoreError::UnknownSale)?.well()?;
        let mut counters = rows.counters.clone();
        counters.begin_epoch(Clock::Wall.now());
        let mut owner = Ownership { epoch: rows.counters.epoch, ..Ownership::default() };
        owner.take(by, seen, counters.epoch)?;
        let opened = Opened { epoch: counters.epoch, ..rows.opened()? };
        rows.counters = counters;
        kept.owners.insert(sale.clone(), owner);
        Ok(opened)
    }

    async fn hand_over(&self, sale: &SaleId, epoch: u64, to: &NodeId) -> Stored<()> {
        let mut kept = self.keeper.kept.lock();
        let mut owner = kept.owner(sale).ok_or(StoreError::UnknownSale)?;
        owner.hand_over(epoch, to)?;
        kept.owners.insert(sale.clone(), owner);
        Ok(())
    }
}
