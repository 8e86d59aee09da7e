//! Search: a seat's orders of this process, found in steps of bounded work.

use crate::rules::order::Order;
use crate::rules::seat::Seat;
use crate::sale::board::Board;

/// Orders that one step looks at: a fraction of a millisecond's work.
pub const STEP_ORDERS: u64 = 8_192;

/// A search for a seat's orders.
///
/// Orders that the confirmer has taken in are linked and found at once. The others, as many as wait
/// on the queue, are looked at one by one, a step's worth at a time.
#[derive(Debug)]
pub struct Search<'a> {
    board: &'a Board,
    seat: Seat,
    found: Vec<Order>,
    next: u64,
    end: u64,
}

impl<'a> Search<'a> {
    /// `next_number` tells the number that the next order will have.
    pub(super) fn begin(board: &'a Board, seat: Seat, next_number: impl FnOnce() -> u64) -> Self {
        let (found, next) = board.linked_orders_of(seat);
        Self { board, seat, found, next, end: next_number() }
    }

    /// Looks further. Returns `false` when there is nothing left to look at.
    pub fn step(&mut self) -> bool {
        let until = self.next.saturating_add(STEP_ORDERS).min(self.end);
        let seen = (self.next..until).filter_map(|number| self.board.read(number));
        self.found.extend(seen.filter(|order| order.seat == self.seat));
        self.next = until;
        until < self.end
    }

    /// The orders that were found, by number.
    #[must_use]
    pub fn into_orders(mut self) -> Vec<Order> {
        self.found.sort_unstable_by_key(|order| order.number);
        self.found
    }
}
