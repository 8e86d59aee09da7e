//! What is sent to the store and what comes back: orders, changes, verdicts, records.

use crate::rules::cents::Cents;
use crate::rules::key::IdempotencyKey;
use crate::rules::money::{Money, Refund};
use crate::rules::order::{OrderId, Status, Step};
use crate::rules::tally::Tallies;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::why::Why;
use membership::event::Tender;
use membership::{MemberId, Tier};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A reserved order, as it is sent to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedOrder {
    /// Its number in the sale.
    pub number: u64,
    /// The member whose order it is.
    pub member: MemberId,
    /// The tier at the click.
    pub tier: Tier,
    /// Units it holds.
    pub units: Units,
    /// When the click was accepted.
    pub reserved_at: Millis,
    /// What it costs.
    pub money: Money,
    /// The key under which the click may be repeated.
    pub key: Option<IdempotencyKey>,
    /// Whether it was offered to a member who waited; deciding it ends their wait.
    pub is_offer: bool,
    /// Why it is to be released, whatever limit and stock say: the book does not have what it is paid with.
    pub refused: Option<Why>,
}

/// Orders of one sale to commit together. Cheap to clone: a resend has the same orders.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Which sale.
    pub sale: SaleId,
    /// Which opening of it these orders belong to.
    pub epoch: u64,
    /// What the store writes down as the instant of its verdicts.
    pub at: Millis,
    /// When the payments of orders that are confirmed at `at` are due.
    pub pay_by: Millis,
    /// The orders, each number once.
    pub orders: Arc<[ReservedOrder]>,
}

/// What the store said of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The order is on disk, or was already: this is what it became, and when.
    Stored(Status, Millis),
    /// The order is on disk as released, or was already: why, and when.
    Released(Why, Millis),
    /// Another process has opened the sale since; this order is not in the store and will not be.
    Fenced,
}

impl Verdict {
    /// What the order became.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Stored(status, _) => status,
            Self::Released(..) | Self::Fenced => Status::Released,
        }
    }
}

/// An order in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the sale.
    pub number: u64,
    /// Which opening of the sale took it.
    pub epoch: u64,
    /// The member whose order it is.
    pub member: MemberId,
    /// The tier at the click.
    pub tier: Tier,
    /// Units it holds, or held.
    pub units: Units,
    /// What became of it; never `Reserved`.
    pub status: Status,
    /// When the click was accepted.
    pub reserved_at: Millis,
    /// When the store confirmed or released it.
    pub settled_at: Millis,
    /// When the order entered its status.
    pub changed_at: Millis,
    /// When its payment was due, or is; the instant of the verdict for an order that was released.
    pub pay_by: Millis,
    /// What it costs.
    pub money: Money,
    /// What of the money went back, in the order in which it was told; at most
    /// [`crate::rules::money::REFUNDS_MAX`].
    pub refunds: Vec<Refund>,
    /// The key under which the click may be repeated.
    pub key: Option<IdempotencyKey>,
    /// The number of the member's order that was stored before this one; 0 for none.
    pub before: u64,
    /// Why it was released; `None` if it was not, or an older version did not write it down.
    #[serde(skip)]
    pub why: Option<Why>,
}

impl Record {
    /// The order's id.
    #[must_use]
    pub fn id(&self, sale: &SaleId) -> OrderId {
        OrderId { sale: sale.clone(), epoch: self.epoch, number: self.number }
    }

    /// Whether both records are of the same order, wherever each is in its life.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let identity = |r: &Self| (r.number, r.epoch, r.tier, r.units, r.reserved_at, r.key);
        identity(self) == identity(other)
            && (&self.member, &self.money) == (&other.member, &other.money)
    }

    /// What of the money went back.
    #[must_use]
    pub fn refunded(&self) -> Cents {
        Cents(self.refunds.iter().map(|refund| refund.amount.0).sum())
    }

    /// How many outbox entries tell of this order: one for each of its steps, and one for each refund
    /// that left something to go back.
    pub(super) fn entries(&self) -> u64 {
        let all_went_back = matches!(self.status, Status::Refunded | Status::Returned);
        let parts = self.refunds.len().saturating_sub(usize::from(all_went_back));
        self.status.steps() + parts as u64
    }
}

/// A member who waits for units that come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The member.
    pub member: MemberId,
    /// The tier when they joined.
    pub tier: Tier,
    /// Units they wait for.
    pub units: Units,
    /// Their place in the order of arrival.
    pub place: u64,
}

/// One thing to change in a sale, decided by what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A step in the life of a stored order; it changes nothing where it leads nowhere from the
    /// order's status.
    Order {
        /// Which step.
        step: Step,
        /// The epoch in the order's id.
        epoch: u64,
        /// Its number.
        number: u64,
    },
    /// Money of a stored order went back; it changes nothing if none was paid.
    Refund {
        /// The epoch in the order's id.
        epoch: u64,
        /// Its number.
        number: u64,
        /// What went back. A refund that is told again, by its id, changes nothing.
        refund: Refund,
    },
    /// A member joins the waitlist; a member who is on it keeps their place and wish.
    Join(Waiting),
    /// A member leaves the waitlist.
    Leave(MemberId),
    /// All members leave the waitlist.
    Dissolve,
}

/// Changes of one sale to make together. Cheap to clone: a resend has the same changes.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Which sale.
    pub sale: SaleId,
    /// Which opening of it makes them.
    pub epoch: u64,
    /// What the store writes down as their instant.
    pub at: Millis,
    /// The changes, in the order in which they are made.
    pub changes: Arc<[Change]>,
}

/// What is stored once a change was made, or had nothing to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The order.
    Order(Record),
    /// No such order is stored.
    NoOrder,
    /// This refund cannot be; nothing has changed.
    BadRefund(BadRefund),
    /// The member waits like this.
    Waits(Waiting),
    /// The member does not wait.
    DoesNotWait,
}

/// Why money cannot have gone back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRefund {
    /// More would have gone back than was paid.
    #[error("with this refund more would have gone back than was paid; {0} could still go back")]
    TooMuch(Cents),
    /// The same refund was told before, with another amount.
    #[error("this refund was told before, with the amount {0}")]
    OtherAmount(Cents),
    /// Nothing went back.
    #[error("a refund of 0 is for orders that cost nothing")]
    Nothing,
    /// The order has as many refunds as it may have.
    #[error("an order has at most 100 refunds")]
    TooMany,
}

/// One entry of a sale's outbox: a state change that others may read, in order of `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// From 1, without gaps.
    pub seq: u64,
    /// Which order changed.
    pub number: u64,
    /// The order's status after the change.
    pub status: Status,
    /// When the order changed.
    pub at: Millis,
    /// The money that went back with this change. With a part of the money the status stays.
    pub refund: Option<Refund>,
}

/// Where a sale's outbox ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxEnd {
    /// The `seq` of the newest entry that there ever was; 0 for none.
    pub seq: u64,
    /// The instant of the newest entry that is kept.
    pub newest_at: Option<Millis>,
    /// Whether entries were lost with the store's history, and numbers left out for them.
    pub has_gaps: bool,
}

/// What a member has in one sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The member.
    pub member: MemberId,
    /// Units that their orders hold.
    pub units: Units,
    /// Stored orders that they made, whatever became of them.
    pub orders: u32,
}

/// A stored order that may be asked for again by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Whose it is, by the place in [`Opened::holdings`].
    pub holder: usize,
    /// The key.
    pub key: IdempotencyKey,
    /// Units that the click asked for.
    pub units: Units,
    /// What it was paid with beside money.
    pub tender: Tender,
    /// The order's number.
    pub number: u64,
}

/// A sale as the store has it, and the epoch under which the caller now sells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The sale's number, counted up over all sales; no other sale ever has the same.
    pub sale_number: u32,
    /// The sale's terms.
    pub terms: Terms,
    /// The epoch of this opening; every former epoch is fenced.
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
    /// What each member who made an order holds.
    pub holdings: Vec<Holding>,
    /// Stored orders that may be asked for again by key.
    pub keyed: Vec<Keyed>,
    /// Confirmed orders that wait for their payment.
    pub unpaid: Vec<Record>,
    /// Members who wait for units that come back.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// Stop selling for now.
    Pause,
    /// Go on selling.
    Resume,
    /// Stop selling for good.
    Close,
}
