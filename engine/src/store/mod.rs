//! The store: the durable authority that confirms orders.
//!
//! The port is shaped by its transactions, with a small trait for each kind of caller. One atomic
//! commit contains, for each of its orders: the record, the member's units, the sale's counters and
//! the outbox entry. Every adapter passes the same contract test.

mod audit;
mod book;
mod change;
mod commit;
mod counters;
mod error;
mod journal;
mod memory;
mod message;
mod owners;
mod planted;
mod redb;
mod redb_file;
mod redis;
mod row_store;
mod rows;
mod section;
mod timed;

pub use audit::{Audit, SaleAudit};
pub(crate) use book::index_of;
pub use book::{
    BenefitCount, BookStore, Bucket, BucketChange, BucketHead, Folded, Found, FoundMember, Made,
    NameChange, NoticeEntry, PlanVersion, PostingKey, Wanted, Who,
};
pub use error::{BrokenOff, StoreError};
pub use journal::{Disk, DiskFile, Folder, Journal, JournalOptions, JournalStore};
pub use memory::MemoryStore;
pub use message::{
    BadRefund, Batch, Change, Changed, Changes, Head, Holding, Keyed, Opened, OutboxEnd,
    OutboxEntry, Record, ReservedOrder, Switch, Verdict, Waiting,
};
pub use owners::{Leases, Ownership, Seen};
pub use planted::{planted, planted_leasing};
pub use redis::{Durability, RedisOptions, RedisStore, Upgraded};
pub use timed::Calls;

use crate::rules::node::{Node, NodeId};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use async_trait::async_trait;
use membership::MemberId;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a sale's confirmer needs. Every method is one transaction: done as a whole and on disk, or not
/// at all.
#[async_trait]
pub trait Selling: Debug + Send + Sync + 'static {
    /// The most orders that one [`Selling::commit`] may carry.
    fn batch_orders_max(&self) -> usize;

    /// How long orders may gather after a small batch of them, while no caller waits for a verdict.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Decides orders; returns one verdict each, in their order. Each order is decided as a whole or
    /// not at all. Idempotent: an order that is known gets the verdict that is stored.
    ///
    /// # Errors
    /// [`BrokenOff`], with the verdicts that came all the same.
    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff>;

    /// Makes changes, in their order; returns what is stored of each after it. Each is made as a
    /// whole or not at all. Idempotent: a change that was made before finds nothing to change. There is
    /// one exception: a refund that stands before its payment finds nothing to refund the first time. When
    /// both are sent again, the order is paid by then, and the refund counts.
    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError>;

    /// Checks that `epoch` still sells the sale, and that the store's history is whole.
    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError>;
}

/// Making a sale and taking it over.
#[async_trait]
pub trait Opening: Debug + Send + Sync + 'static {
    /// Writes a new sale down. A repeated call changes nothing, if no process has opened the sale
    /// since.
    async fn create(&self, terms: &Terms) -> Result<(), StoreError>;

    /// Takes a sale over: a fresh epoch, and the state to go on from.
    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError>;

    /// Puts back settled orders that the store has lost, and moves on those that it has in an
    /// earlier state. Their units are taken from the units left, so orders that hold no units come
    /// first in `orders`.
    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError>;
}

/// What an operator does with a sale.
#[async_trait]
pub trait Operating: Debug + Send + Sync + 'static {
    /// Turns one of the operator's switches. Closing is for good: a closed sale stays closed.
    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError>;

    /// Gives a sale other terms under the same id. The units left grow or shrink as the stock does; what
    /// was added since stays. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`StoreError::TooLittleStock`] if fewer units are left than go; [`StoreError::TooMuchStock`].
    async fn change_terms(&self, epoch: u64, terms: &Terms) -> Result<(), StoreError>;

    /// Adds stock, once per `key`; returns the units that there are in all after it.
    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError>;
}

/// The nodes that lived at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// The nodes, by name.
    pub living: Vec<Node>,
    /// When that was, by the store's clock.
    pub at: Millis,
}

/// Nodes that share the store, and who owns which sale. An adapter that several processes can share has it.
#[async_trait]
pub trait Leasing: Debug + Send + Sync + 'static {
    /// Begins a node's lease, or makes it last longer: so long from when the store hears of it. Returns the nodes
    /// that live then.
    ///
    /// # Errors
    /// [`StoreError::NodeIdTaken`] if another process with this name lives.
    async fn renew(&self, node: &Node, lasts: Duration) -> Result<Living, StoreError>;

    /// The nodes that live.
    async fn living(&self) -> Result<Living, StoreError>;

    /// Ends a node's lease at once. The node may sell nothing any more when it asks for this.
    async fn end(&self, node: &Node) -> Result<(), StoreError>;

    /// Takes a latch for a process, or holds it for longer: so long from when the store hears of it. False if another
    /// process has it.
    async fn latch(&self, name: &NodeId, by: u64, lasts: Duration) -> Result<bool, StoreError>;

    /// Lets a latch go, if this process has it.
    async fn unlatch(&self, name: &NodeId, by: u64) -> Result<(), StoreError>;

    /// The owner of a sale, archived or not; `None` if there is no such sale.
    async fn owner(&self, sale: &SaleId) -> Result<Option<Ownership>, StoreError>;

    /// A sale as it stands, archived or not, without what it has of members; `None` if there is no such sale. Nothing
    /// is taken over.
    async fn peek(&self, sale: &SaleId) -> Result<Option<Opened>, StoreError>;

    /// The number of a sale, archived or not; `None` if there is no such sale. It never changes.
    async fn number(&self, sale: &SaleId) -> Result<Option<u32>, StoreError>;

    /// As [`Opening::open`], by a node that has seen whose the sale is.
    ///
    /// # Errors
    /// [`StoreError::OtherOwner`] if that has changed by now.
    async fn take(&self, sale: &SaleId, by: &NodeId, seen: Seen) -> Result<Opened, StoreError>;

    /// Keeps a sale in this epoch, by its owner, whose lease was over: from now on a take-over by a node that saw
    /// the sale before is refused.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another node has taken it over, or the owner has left it to one.
    async fn keep(&self, sale: &SaleId, epoch: u64, by: &NodeId) -> Result<(), StoreError>;

    /// Leaves a sale to another node. Nothing of this epoch may be on its way. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if a node has taken it over, perhaps that one.
    async fn hand_over(&self, sale: &SaleId, epoch: u64, to: &NodeId) -> Result<(), StoreError>;
}

/// Reading what is stored.
#[async_trait]
pub trait Reading: Debug + Send + Sync + 'static {
    /// The ids of all sales that are not archived.
    async fn sales(&self) -> Result<Vec<SaleId>, StoreError>;

    /// An order by its number.
    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError>;

    /// At most `most` of a member's orders, those stored last first: from the newest on, or those behind
    /// `after` on this list. Nothing is behind what is no order of the member's.
    async fn orders_of(
        &self,
        sale: &SaleId,
        member: &MemberId,
        after: Option<u64>,
        most: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// The members who wait for units that come back, in no order.
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

    /// Where a sale's outbox ends.
    async fn outbox_end(&self, sale: &SaleId) -> Result<OutboxEnd, StoreError>;

    /// Adds everything up again and says what does not fit.
    async fn audit(&self) -> Result<Audit, StoreError>;
}

/// The archive: sales that are over. What [`Reading`] reads of a sale, it reads of an archived one, too;
/// [`Opening::open`] takes a sale out of the archive again.
#[async_trait]
pub trait Archiving: Debug + Send + Sync + 'static {
    /// Archives a sale that this epoch sells and whose newest change was made at `changed_at`. Nothing may
    /// be on its way to the sale's rows.
    async fn archive(
        &self,
        sale: &SaleId,
        epoch: u64,
        changed_at: Millis,
    ) -> Result<(), StoreError>;

    /// An archived sale as it was left, without what it has of members; `None` for any other. Nothing is
    /// taken over.
    async fn look(&self, sale: &SaleId) -> Result<Option<Opened>, StoreError>;

    /// Whether a sale that is archived or was deleted has this id.
    async fn is_taken(&self, sale: &SaleId) -> Result<bool, StoreError>;

    /// At most `most` archived sales with ids over `after`, by id, without what they have of members.
    async fn archived_after(&self, after: &str, most: usize) -> Result<Vec<Opened>, StoreError>;

    /// The archived sales whose newest change was made at `since` or later, by number.
    async fn archived_since(&self, since: Millis) -> Result<Vec<(u32, SaleId)>, StoreError>;

    /// The archived sale with this number.
    async fn archived_numbered(&self, number: u32) -> Result<Option<SaleId>, StoreError>;

    /// The archived sales that have orders of this member, in no order.
    async fn archived_of(&self, member: &MemberId) -> Result<Vec<SaleId>, StoreError>;

    /// Deletes an archived sale for good; its id stays taken. A repeated call changes nothing.
    async fn delete(&self, sale: &SaleId) -> Result<(), StoreError>;

    /// Makes a consistent copy of the store in a folder that is not there yet, while it goes on.
    ///
    /// # Errors
    /// [`StoreError::NotEmbedded`] if the store has means of its own for that.
    async fn back_up(&self, to: &Path) -> Result<(), StoreError>;

    /// Lets outbox entries of archived sales go that are too old to be kept, some at a time.
    async fn trim(&self, now: Millis) -> Result<(), StoreError>;
}

/// What is kept of members beyond one sale.
#[async_trait]
pub trait Members: Debug + Send + Sync + 'static {
    /// Members who may not buy.
    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError>;

    /// Keeps a member from buying, or lets them again.
    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError>;

    /// Members who are being erased, and the pseudonym of each.
    async fn erasing(&self) -> Result<Vec<(MemberId, MemberId)>, StoreError>;

    /// Notes that a member is being erased, under which pseudonym, or, with `None`, is not any more.
    async fn set_erasing(
        &self,
        member: &MemberId,
        pseudonym: Option<&MemberId>,
    ) -> Result<(), StoreError>;

    /// Gives a holder of a sale another name, under which their orders stand from now on. It changes
    /// nothing if the member is none of its holders. No order of the member may be on its way.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if another holder of the sale has that name.
    async fn rename(
        &self,
        sale: &SaleId,
        epoch: u64,
        member: &MemberId,
        to: &MemberId,
    ) -> Result<(), StoreError>;

    /// Sees to it that names that were taken away are nowhere in what is stored once its outbox
    /// entries of now are too old to be kept.
    async fn forget(&self) -> Result<(), StoreError>;
}

/// A store, by what it is needed for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// For the confirmers.
    pub selling: Arc<dyn Selling>,
    /// For opening sales.
    pub opening: Arc<dyn Opening>,
    /// For operators.
    pub operating: Arc<dyn Operating>,
    /// For every caller that only reads.
    pub reading: Arc<dyn Reading>,
    /// For the archive.
    pub archiving: Arc<dyn Archiving>,
    /// For what is kept of members.
    pub members: Arc<dyn Members>,
    /// For the members' book.
    pub book: Arc<dyn BookStore>,
}

impl<A> From<Arc<A>> for Store
where
    A: Selling + Opening + Operating + Reading + Archiving + Members + BookStore,
{
    fn from(adapter: Arc<A>) -> Self {
        Self {
            selling: Arc::clone(&adapter) as Arc<dyn Selling>,
            opening: Arc::clone(&adapter) as Arc<dyn Opening>,
            operating: Arc::clone(&adapter) as Arc<dyn Operating>,
            reading: Arc::clone(&adapter) as Arc<dyn Reading>,
            archiving: Arc::clone(&adapter) as Arc<dyn Archiving>,
            members: Arc::clone(&adapter) as Arc<dyn Members>,
            book: adapter,
        }
    }
}

impl<A> From<A> for Store
where
    A: Selling + Opening + Operating + Reading + Archiving + Members + BookStore,
{
    fn from(adapter: A) -> Self {
        Arc::new(adapter).into()
    }
}
