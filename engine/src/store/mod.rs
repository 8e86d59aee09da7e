//! The store: the durable authority that confirms orders.
//!
//! The port is shaped by its transactions. One atomic commit holds, for each of its orders: the
//! record, the member's units, the sale's counters and the outbox entry. Every adapter passes the
//! same contract test.

mod audit;
mod change;
mod commit;
mod error;
mod memory;
mod message;
mod redb;
mod redis;

pub use audit::{Audit, SaleAudit};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use message::{
    Batch, Change, Changed, Changes, Head, Opened, OutboxEntry, Placed, Record, Switch, Verdict,
    Waiting,
};
pub use redb::{Disk, RedbStore};
pub use redis::{RedisOptions, RedisStore};

use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use async_trait::async_trait;
use membership::MemberId;
use std::fmt::Debug;

/// The port. Every method is one transaction: done as a whole and on disk, or not at all.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The most orders that one [`Store::commit`] may carry.
    fn batch_orders_max(&self) -> usize;

    /// Writes a new sale down. Repeated before anyone has opened the sale, it changes nothing.
    async fn create(&self, terms: &Terms) -> Result<(), StoreError>;

    /// The ids of all sales.
    async fn sales(&self) -> Result<Vec<SaleId>, StoreError>;

    /// Takes a sale over: a fresh epoch, and the state to go on from.
    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError>;

    /// Says that `epoch` still sells the sale, and that the store's history is whole.
    async fn hold(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError>;

    /// Decides orders; gives one verdict each, in their order. Each order is decided as a whole or
    /// not at all. Idempotent: an order that is known gets the verdict that is stored.
    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError>;

    /// Makes changes, in their order; gives what is stored of each after it. Each is made as a whole
    /// or not at all. Idempotent: one that was made before finds nothing to change.
    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError>;

    /// Puts settled orders back that the store has lost, and moves those on that it has in an earlier
    /// state. Units come from those that are left, never from nothing: orders that hold none first.
    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError>;

    /// Turns one of the operator's switches. Closing is for good: a closed sale stays closed.
    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError>;

    /// Adds stock, once per `key`; gives the units that there are in all after it.
    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError>;

    /// An order by its number.
    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError>;

    /// A member's orders, by number.
    async fn orders_of(&self, sale: &SaleId, member: &MemberId) -> Result<Vec<Record>, StoreError>;

    /// Who waits for units that come back, in no order.
    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError>;

    /// At most `most` orders with numbers over `after`, by number.
    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// At most `most` outbox entries with a `seq` over `after`, by `seq`.
    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Members who may not buy.
    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError>;

    /// Keeps a member from buying, or lets them again.
    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError>;

    /// Adds everything up again and says what does not fit.
    async fn audit(&self) -> Result<Audit, StoreError>;
}
