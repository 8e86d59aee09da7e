//! The order queue: reserved orders that the store has not confirmed yet.
//!
//! It never refuses: each order in it holds at least one unit, so the stock bounds it. Its only
//! consumer is the confirmer.

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

    /// Hands an order over: limit and units are its own from now on. Its slot on the board, under
    /// this number, must be written before.
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

    /// Orders waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
