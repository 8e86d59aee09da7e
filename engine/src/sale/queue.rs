//! The order queue: reserved orders that the store has not confirmed yet.
//!
//! The board is written in the order of numbers, so its own tail is the queue: a click takes the next number and
//! publishes its slot, and the confirmer reads on from where it was. The queue never refuses an order: each one in
//! it holds at least one unit, so the stock bounds the queue. The confirmer is its only consumer.

use crate::rules::order::{Order, Status};
use crate::rules::time::Millis;
use crate::sale::admitted::Admitted;
use crate::sale::board::Board;
use crate::sale::click::Click;
use crate::sale::queued::Queued;
use crate::sync::{AtomicU64, CachePadded, Ordering};
use std::ops::Range;

/// First in, first out, without a lock.
#[derive(Debug)]
pub struct OrderQueue {
    /// The number that the next order will have.
    tail: CachePadded<AtomicU64>,
    /// The first number and so many more as were taken in.
    taken: AtomicU64,
}

/// How far the confirmer has come.
#[derive(Debug)]
pub struct Intake {
    next: u64,
    /// Numbers below `next` whose slots were not written yet, lowest first; as many as clicks are being written.
    passed_over: Vec<u64>,
}

impl Intake {
    /// Every order below this number was taken in.
    pub(super) fn all_below(&self) -> u64 {
        self.passed_over.first().copied().unwrap_or(self.next)
    }
}

impl OrderQueue {
    /// An empty queue; the first order has the number `first_number`.
    #[must_use]
    pub fn new(first_number: u64) -> Self {
        let tail = CachePadded::new(AtomicU64::new(first_number));
        Self { tail, taken: AtomicU64::new(first_number) }
    }

    /// Takes a number for an order, which must be pushed then.
    #[inline]
    pub fn take_number(&self) -> u64 {
        // Ordering: Relaxed, a number only has to be unique; the order is published by its slot.
        self.tail.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands an order over to the confirmer, by writing it on the board under a number of this queue; its
    /// limit and units stay taken.
    #[inline]
    pub fn push(&self, board: &Board, admitted: Admitted<'_>, number: u64, now: Millis) {
        let Click { seat, tier, units, key, .. } = admitted.wish();
        let order = Order {
            number,
            seat,
            tier,
            units,
            status: Status::Reserved,
            reserved_at: now,
            settled_at: None,
            changed_at: None,
        };
        board.write(&order, key, admitted.keep());
    }

    /// Begins to take orders in. There must be one intake only.
    #[must_use]
    pub fn intake(&self, board: &Board) -> Intake {
        Intake { next: board.first_number(), passed_over: Vec::new() }
    }

    /// The numbers of the next orders to be taken in, so many at most.
    pub(super) fn next(&self, intake: &Intake, most: u64) -> Range<u64> {
        intake.next..self.next_number().min(intake.next + most)
    }

    /// The order that has waited longest, of those that are written.
    #[must_use]
    pub fn pop(&self, board: &Board, intake: &mut Intake) -> Option<(Queued, Order)> {
        let popped =
            Self::pop_passed_over(board, intake).or_else(|| self.read_on(board, intake))?;
        let taken = intake.next - intake.passed_over.len() as u64;
        // Ordering: Relaxed, a count that publishes nothing.
        self.taken.store(taken, Ordering::Relaxed);
        Some(popped)
    }

    fn pop_passed_over(board: &Board, intake: &mut Intake) -> Option<(Queued, Order)> {
        let mut written = intake.passed_over.iter().map(|number| board.queued(*number)).enumerate();
        let (place, found) = written.find_map(|(place, found)| Some((place, found?)))?;
        intake.passed_over.remove(place);
        Some(found)
    }

    fn read_on(&self, board: &Board, intake: &mut Intake) -> Option<(Queued, Order)> {
        while intake.next < self.next_number() {
            let found = board.queued(intake.next);
            if found.is_none() {
                intake.passed_over.push(intake.next);
            }
            intake.next += 1;
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The number that the next order will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        // Ordering: Relaxed, orders are published by their slots. A caller that has an order's number never
        // reads an older one here.
        self.tail.load(Ordering::Relaxed)
    }

    /// The number of orders that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        // Ordering: Relaxed, as in `pop`. What was taken in was counted before.
        let taken = self.taken.load(Ordering::Relaxed);
        usize::try_from(self.next_number().saturating_sub(taken)).unwrap_or(usize::MAX)
    }

    /// Whether no order waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
