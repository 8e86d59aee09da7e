//! The order queue: reserved orders that the store has not confirmed yet.
//!
//! The queue never refuses an order: each one in it holds at least one unit, so the stock bounds
//! the queue. The confirmer is its only consumer.

use crate::rules::key::IdempotencyKey;
use crate::sale::admitted::Admitted;
use crate::sync::SegQueue;

/// An order on its way to the store; the rest of it is on the board, under its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// The order's number.
    pub number: u64,
    /// The key under which the click may be repeated.
    pub key: Option<IdempotencyKey>,
}

/// First in, first out, without a lock.
#[derive(Debug)]
pub struct OrderQueue {
    orders: SegQueue<Queued>,
}

impl Default for OrderQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl OrderQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self { orders: SegQueue::new() }
    }

    /// Hands an order over to the confirmer; its limit and units stay taken. Its slot on the board,
    /// under this number, must be written before.
    #[inline]
    pub fn push(&self, admitted: Admitted<'_>, number: u64) {
        let key = admitted.wish().key;
        admitted.keep();
        self.orders.push(Queued { number, key });
    }

    /// The order that has waited longest.
    #[must_use]
    pub fn pop(&self) -> Option<Queued> {
        self.orders.pop()
    }

    /// The number of orders that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether no order waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
