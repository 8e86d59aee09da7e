//! Leases with the bug that is planted.

use super::bugs::{BUG, forget};
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::store::{Leasing, Living, Opened, Ownership, Seen, StoreError};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// The leases, or those with the bug that is planted.
#[must_use]
pub fn planted_leasing(leasing: Arc<dyn Leasing>) -> Arc<dyn Leasing> {
    if BUG.is_empty() { leasing } else { Arc::new(LeasingBug { well: leasing }) }
}

#[derive(Debug)]
struct LeasingBug {
    well: Arc<dyn Leasing>,
}

#[async_trait]
impl Leasing for LeasingBug {
    async fn renew(&self, node: &Node, lasts: Duration) -> Result<Living, StoreError> {
        self.well.renew(node, lasts).await
    }

    async fn living(&self) -> Result<Living, StoreError> {
        self.well.living().await
    }

    async fn end(&self, node: &Node) -> Result<(), StoreError> {
        self.well.end(node).await
    }

    async fn latch(&self, name: &NodeId, by: u64, lasts: Duration) -> Result<bool, StoreError> {
        self.well.latch(name, by, lasts).await
    }

    async fn unlatch(&self, name: &NodeId, by: u64) -> Result<(), StoreError> {
        self.well.unlatch(name, by).await
    }

    async fn owner(&self, sale: &SaleId) -> Result<Option<Ownership>, StoreError> {
        self.well.owner(sale).await
    }

    async fn peek(&self, sale: &SaleId) -> Result<Option<Opened>, StoreError> {
        self.well.peek(sale).await
    }

    async fn number(&self, sale: &SaleId) -> Result<Option<u32>, StoreError> {
        self.well.number(sale).await
    }

    async fn take(&self, sale: &SaleId, by: &NodeId, seen: Seen) -> Result<Opened, StoreError> {
        self.well.take(sale, by, seen).await.map(forget)
    }

    async fn keep(&self, sale: &SaleId, epoch: u64, by: &NodeId) -> Result<(), StoreError> {
        match (BUG.as_str(), self.well.keep(sale, epoch, by).await) {
            ("never-look", _) | ("sell-on-when-fenced", Err(StoreError::Fenced)) => Ok(()),
            (_, answer) => answer,
        }
    }

    async fn hand_over(&self, sale: &SaleId, epoch: u64, to: &NodeId) -> Result<(), StoreError> {
        self.well.hand_over(sale, epoch, to).await
    }
}
