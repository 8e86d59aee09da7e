//! Board: what became of each order of this process, for the member who asks.
//!
//! An order's slot is found by its number, so ids need no hash map. A slot is written once by the
//! click, before the order is on the queue, and from then on only its last word changes.

use crate::clock::Millis;
use crate::order::{Order, Status};
use crate::roster::Seat;
use crate::stock::Units;
use crate::sync::{AtomicU64, Ordering};
use crate::table::Table;
use membership::Tier;

/// 24 bytes an order.
#[derive(Debug, Default)]
struct Slot {
    /// Bits 0..32 seat, 32..64 the seat's order before this one (board index plus one, 0 for none).
    owner: AtomicU64,
    /// Bits 0..48 reserved at, in milliseconds; 48..64 units.
    claim: AtomicU64,
    /// Bits 0..48 settled at, in milliseconds; 48..56 tier; 56..64 status, 0 while unwritten.
    state: AtomicU64,
}

const AT_MASK: u64 = Millis::MAX.0;
const TIER_AT: u32 = 48;
const STATUS_AT: u32 = 56;

/// The orders from one number on.
#[derive(Debug)]
pub struct Board {
    first_number: u64,
    slots: Table<Slot>,
}

impl Board {
    /// An empty board; the first order it takes has the number `first_number`.
    #[must_use]
    pub fn new(first_number: u64) -> Self {
        Self { first_number, slots: Table::new() }
    }

    /// The lowest number that can be on this board.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.first_number
    }

    /// Writes down a reserved order. `before` is the seat's order before it, as [`Board::link_of`]
    /// gives it, 0 for none.
    ///
    /// # Panics
    /// When the number is not from this board on, or 4,294,967,295 orders further.
    #[inline]
    pub fn place(&self, order: &Order, before: u32) {
        let slot = self.slots.get_or_grow(self.link_of(order.number) as usize - 1);
        let owner = u64::from(before) << 32 | u64::from(order.seat.number());
        let claim = u64::from(order.units.0) << 48 | (order.reserved_at.0 & AT_MASK);
        // Ordering: Relaxed, published by the store to `state`.
        slot.owner.store(owner, Ordering::Relaxed);
        slot.claim.store(claim, Ordering::Relaxed);
        // Ordering: Release, paired with the Acquire in `read`: who sees a status sees the order.
        slot.state.store(state(Status::Reserved, order.tier, Millis(0)), Ordering::Release);
    }

    /// How an order is named in a seat's chain: its index on this board, plus one.
    ///
    /// # Panics
    /// As for [`Board::place`].
    #[inline]
    #[must_use]
    pub fn link_of(&self, number: u64) -> u32 {
        let index = number.checked_sub(self.first_number).expect("the order is of this board");
        u32::try_from(index + 1).expect("a process takes fewer than 4,294,967,295 orders")
    }

    /// The order with this number, if this process accepted it.
    #[must_use]
    pub fn read(&self, number: u64) -> Option<Order> {
        let index = usize::try_from(number.checked_sub(self.first_number)?).ok()?;
        self.read_slot(self.slots.get(index)?, number).map(|(order, _)| order)
    }

    /// A seat's orders from the one that `link` names back to its first.
    pub(crate) fn chain(&self, link: u32) -> impl Iterator<Item = Order> + '_ {
        let mut link = link;
        std::iter::from_fn(move || {
            let index = link.checked_sub(1)?;
            let slot = self.slots.get(index as usize)?;
            let (order, before) = self.read_slot(slot, self.first_number + u64::from(index))?;
            link = before;
            Some(order)
        })
    }

    /// Ends the reservation of an order, once: `true` for the one call that did it.
    pub fn settle(&self, number: u64, status: Status, at: Millis) -> bool {
        let Some(order) = self.read(number) else { return false };
        let slot = self.slots.get_or_grow(self.link_of(number) as usize - 1);
        let reserved = state(Status::Reserved, order.tier, Millis(0));
        // Ordering: Release, paired with the Acquire in `read`: who reads a verdict also sees all
        // that led to it. Failure needs no ordering, nothing is read after it.
        let settled = state(status, order.tier, at);
        slot.state.compare_exchange(reserved, settled, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    fn read_slot(&self, slot: &Slot, number: u64) -> Option<(Order, u32)> {
        // Ordering: Acquire, paired with the Release in `place` and `settle`.
        let state = slot.state.load(Ordering::Acquire);
        let status = match state >> STATUS_AT {
            0 => return None,
            1 => Status::Reserved,
            2 => Status::Confirmed,
            3 => Status::Released,
            other => unreachable!("no order has the status {other}"),
        };
        // Ordering: Relaxed, written before the `state` that was acquired above.
        let owner = slot.owner.load(Ordering::Relaxed);
        let claim = slot.claim.load(Ordering::Relaxed);
        let settled_at = Millis(state & AT_MASK);
        let order = Order {
            number,
            seat: Seat::new((owner & 0xffff_ffff) as u32),
            tier: Tier::ALL[(state >> TIER_AT & 0xff) as usize],
            units: Units((claim >> 48) as u32),
            status,
            reserved_at: Millis(claim & AT_MASK),
            settled_at: (status != Status::Reserved).then_some(settled_at),
        };
        Some((order, (owner >> 32) as u32))
    }
}

fn state(status: Status, tier: Tier, at: Millis) -> u64 {
    (status as u64) << STATUS_AT | (tier as u64) << TIER_AT | (at.0 & AT_MASK)
}
