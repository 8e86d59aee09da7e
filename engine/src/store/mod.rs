//! The store: the durable authority that confirms orders.
//!
//! The port is shaped by its transactions. One atomic commit holds, for each of its orders: the
//! record, the member's units, the sale's counters and the outbox entry. Every adapter passes the
//! same contract test.

mod audit;
mod change;
mod commit;
mod memory;
mod message;
mod redb;
mod redis;

pub use audit::{Audit, SaleAudit};
pub use memory::MemoryStore;
pub use message::{Batch, Change, Changed, Changes, OutboxEntry, Placed, Record, Verdict, Waiting};
pub use redb::{Disk, RedbStore};
pub use redis::{RedisOptions, RedisStore};

use crate::rules::terms::{SaleId, Terms};
use crate::sale::meter::Tallies;
use crate::sale::stock::Units;
use async_trait::async_trait;
use membership::MemberId;
use std::fmt::Debug;

/// A sale as the store has it, and the epoch under which the caller now sells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What was agreed.
    pub terms: Terms,
    /// This opening; every former one is fenced.
    pub epoch: u64,
    /// Units in all, top-ups included.
    pub stock: Units,
    /// Units that no stored order holds.
    pub left: Units,
    /// Paused by the operator.
    pub is_paused: bool,
    /// Closed by the operator.
    pub is_closed: bool,
    /// One more than the highest stored number.
    pub next_number: u64,
    /// Stored orders by state and tier.
    pub tallies: Tallies,
    /// Who holds how much.
    pub held: Vec<(MemberId, Units)>,
    /// Stored orders that may be asked for again by key.
    pub keyed: Vec<Record>,
    /// Confirmed orders that wait for their payment.
    pub unpaid: Vec<Record>,
    /// Who waits for units that come back.
    pub waiting: Vec<Waiting>,
}

/// A sale's counters, as the store has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Units in all, top-ups included.
    pub stock: Units,
    /// Units that no stored order holds.
    pub left: Units,
    /// Stored orders by state and tier.
    pub tallies: Tallies,
}

/// The operator's switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Stop selling for now.
    Pause,
    /// Go on selling.
    Resume,
    /// Stop selling for good.
    Close,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A sale with this id is there already.
    #[error("a sale with this id is there already")]
    SaleExists,
    /// No such sale.
    #[error("no sale has this id")]
    UnknownSale,
    /// Another process has opened the sale since.
    #[error("another process has opened this sale since; this one no longer sells it")]
    Fenced,
    /// The sale would have more units than a sale may have.
    #[error("a sale has at most 10,000,000 units; this one has {0}")]
    TooMuchStock(Units),
    /// Orders that were confirmed hold more units than the store has left.
    #[error("the store has only {0} units left, fewer than the orders that it lost")]
    TooLittleStock(Units),
    /// The idempotency key stands for a top-up by another amount.
    #[error("this idempotency key was used for a top-up by {0} units")]
    TopUpConflict(Units),
    /// The store refused and changed nothing; asking again may help.
    #[error("the store refused for now: {0}")]
    Refused(String),
    /// No answer: it may have been done. Ask again with the same ids until there is one.
    #[error("the store did not answer: {0}")]
    Unknown(String),
    /// The store's state is older than what it told before.
    #[error("the store has lost part of its history: {0}")]
    HistoryLost(String),
    /// The store is not one that may be used, with what to do about it.
    #[error("{0}")]
    Unusable(String),
    /// What the store holds is not what Flashlane wrote. Nothing may be sold on top of that.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unknown(_) => true,
            Self::SaleExists
            | Self::UnknownSale
            | Self::Fenced
            | Self::TooMuchStock(_)
            | Self::TooLittleStock(_)
            | Self::HistoryLost(_)
            | Self::Unusable(_)
            | Self::TopUpConflict(_)
            | Self::Damaged(_) => false,
        }
    }
}

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
    async fn block(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError>;

    /// Adds everything up again and says what does not fit.
    async fn audit(&self) -> Result<Audit, StoreError>;
}
