//! Board: what became of each order of this process, for the member who asks.
//!
//! An order's slot is found by its number, so ids need no hash map. A slot is written once by the
//! click, before the order is on the queue; from then on its state moves forward, one exchange a step,
//! and once, when the confirmer takes the order in, it is linked to its seat's order before it.

use crate::rules::order::{Order, Status};
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::sale::table::Table;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use membership::Tier;

/// 32 bytes an order.
#[derive(Debug, Default)]
struct Slot {
    /// Bits 0..32 seat; 32..64 the seat's order before this one, as its index plus one: `UNLINKED`
    /// until the confirmer has linked it, `FIRST` if there is none.
    seat_and_link: AtomicU64,
    /// Bits 0..48 reserved at, in milliseconds; 48..64 units.
    arrival: AtomicU64,
    /// Bits 0..48 when the order entered its status, in milliseconds; 48..56 tier; 56..64 status, 0
    /// while unwritten.
    state: AtomicU64,
    /// When the order was confirmed, in milliseconds; written once its status goes beyond that.
    confirmed_at: AtomicU64,
}

const UNLINKED: u32 = 0;
const FIRST: u32 = u32::MAX;
const AT_MASK: u64 = Millis::MAX.0;
const TIER_AT: u32 = 48;
const STATUS_AT: u32 = 56;

/// The orders from one number on.
#[derive(Debug)]
pub struct Board {
    first_number: u64,
    slots: Table<Slot>,
    /// By seat: its newest linked order, as the index plus one; 0 for none.
    newest: Table<AtomicU32>,
    /// Every slot below this index is linked.
    linked_below: AtomicU64,
}

impl Board {
    /// An empty board; the first order it takes has the number `first_number`.
    #[must_use]
    pub fn new(first_number: u64) -> Self {
        let (slots, newest) = (Table::new(), Table::new());
        Self { first_number, slots, newest, linked_below: AtomicU64::new(0) }
    }

    /// The lowest number that can be on this board.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.first_number
    }

    /// Writes down a reserved order.
    ///
    /// # Panics
    /// When the number is below [`Board::first_number`], or 4,294,967,294 or more above it.
    #[inline]
    pub fn write(&self, order: &Order) {
        let slot = self.slots.get_or_grow(self.index(order.number));
        let seat_and_link = u64::from(UNLINKED) << 32 | u64::from(order.seat.number());
        let arrival = u64::from(order.units.0) << 48 | (order.reserved_at.0 & AT_MASK);
        // Ordering: Relaxed, published by the write to `state`.
        slot.seat_and_link.store(seat_and_link, Ordering::Relaxed);
        slot.arrival.store(arrival, Ordering::Relaxed);
        // Ordering: Release, paired with the Acquire in `read_slot`: a thread that sees a status
        // also sees the order.
        slot.state.store(state(Status::Reserved, order.tier, Millis(0)), Ordering::Release);
    }

    #[inline]
    fn index(&self, number: u64) -> usize {
        let index = number.checked_sub(self.first_number).filter(|i| *i < u64::from(FIRST) - 1);
        let index = index.and_then(|index| usize::try_from(index).ok());
        index.expect("a process takes fewer than 4,294,967,294 orders")
    }

    /// Links an order to its seat's order before it. Only the confirmer may call this, once per
    /// order: there is one writer, so plain writes are enough.
    pub(crate) fn link(&self, order: &Order) {
        let index = self.index(order.number);
        let newest = self.newest.get_or_grow(order.seat.index());
        let slot = self.slots.get_or_grow(index);
        // Ordering: Relaxed, this thread wrote it last.
        let before = match newest.load(Ordering::Relaxed) {
            0 => FIRST,
            link => link,
        };
        let seat_and_link = u64::from(before) << 32 | u64::from(order.seat.number());
        // Ordering: Relaxed, published by the write to `newest`.
        slot.seat_and_link.store(seat_and_link, Ordering::Relaxed);
        let link = u32::try_from(index + 1).expect("`index` is below FIRST");
        // Ordering: Release, paired with the Acquire in `linked_orders_of`: a thread that follows
        // the chain to this slot sees where it goes on.
        newest.store(link, Ordering::Release);
        // Ordering: Relaxed, this thread wrote it last.
        let mut below = self.linked_below.load(Ordering::Relaxed);
        while self.is_linked(below) {
            below += 1;
        }
        // Ordering: Release, paired with the Acquire in `linked_orders_of`: the chains contain every
        // order below this index.
        self.linked_below.store(below, Ordering::Release);
    }

    fn is_linked(&self, index: u64) -> bool {
        let slot = usize::try_from(index).ok().and_then(|index| self.slots.get(index));
        // Ordering: Relaxed, only the linking thread asks.
        slot.is_some_and(|slot| {
            slot.seat_and_link.load(Ordering::Relaxed) >> 32 != u64::from(UNLINKED)
        })
    }

    /// A seat's linked orders, in no particular order, and the number from which on orders may not be
    /// linked yet: the confirmer has not taken them in.
    pub(crate) fn linked_orders_of(&self, seat: Seat) -> (Vec<Order>, u64) {
        // Ordering: Acquire, paired with the Release in `link`. It is read before the chain, so
        // that an order that is linked in between is not missed: it counts as not linked yet.
        let below = self.linked_below.load(Ordering::Acquire);
        let mut orders = Vec::new();
        // Ordering: Acquire, paired with the Release in `link`.
        let newest = self.newest.get(seat.index()).map(|link| link.load(Ordering::Acquire));
        let mut link = newest.filter(|link| *link != 0).unwrap_or(FIRST);
        while link != FIRST {
            let index = link - 1;
            let slot = self.slots.get(index as usize).expect("a linked order has its slot");
            let number = self.first_number + u64::from(index);
            let order = self.read_slot(slot, number).expect("a linked order is written");
            if u64::from(index) < below {
                orders.push(order);
            }
            // Ordering: Relaxed, published by the `newest` that led here.
            link = (slot.seat_and_link.load(Ordering::Relaxed) >> 32) as u32;
        }
        (orders, self.first_number + below)
    }

    /// The order with this number, if this process accepted it.
    #[must_use]
    pub fn read(&self, number: u64) -> Option<Order> {
        let index = usize::try_from(number.checked_sub(self.first_number)?).ok()?;
        self.read_slot(self.slots.get(index)?, number)
    }

    /// Moves an order forward in its life. Returns the order as it was before to the one call that
    /// moved it; `None` if the order had come as far already.
    pub fn advance(&self, number: u64, status: Status, at: Millis) -> Option<Order> {
        let slot = self.slots.get(usize::try_from(number.checked_sub(self.first_number)?).ok()?)?;
        loop {
            let before = self.read_slot(slot, number)?;
            if before.status.steps() >= status.steps() {
                return None;
            }
            if before.status == Status::Confirmed {
                let confirmed_at = before.settled_at.unwrap_or_default().0;
                // Ordering: Relaxed, published by the exchange below. Another thread that moves the
                // order on from here writes the same value.
                slot.confirmed_at.store(confirmed_at, Ordering::Relaxed);
            }
            let from = state(before.status, before.tier, before.changed_at.unwrap_or_default());
            let to = state(status, before.tier, at);
            // Ordering: Release, paired with the Acquire in `read_slot`: a thread that reads a
            // status also sees all that led to it. On failure the status is read again, with
            // Acquire.
            let moved = slot.state.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed);
            if moved.is_ok() {
                return Some(before);
            }
        }
    }

    fn read_slot(&self, slot: &Slot, number: u64) -> Option<Order> {
        // Ordering: Acquire, paired with the Release in `write` and `advance`.
        let state = slot.state.load(Ordering::Acquire);
        if state == 0 {
            return None;
        }
        let status = Status::of_code(state >> STATUS_AT).expect("only statuses are written");
        // Ordering: Relaxed, written before the `state` that was acquired above.
        let seat_and_link = slot.seat_and_link.load(Ordering::Relaxed);
        let arrival = slot.arrival.load(Ordering::Relaxed);
        let changed_at = (status != Status::Reserved).then_some(Millis(state & AT_MASK));
        let settled_at = if status.steps() > 1 {
            // Ordering: Relaxed, as above. The value is 0 where the order was never seen as
            // confirmed.
            let confirmed_at = slot.confirmed_at.load(Ordering::Relaxed);
            (confirmed_at > 0).then_some(Millis(confirmed_at))
        } else {
            changed_at
        };
        Some(Order {
            number,
            seat: Seat::new((seat_and_link & 0xffff_ffff) as u32),
            tier: Tier::ALL[(state >> TIER_AT & 0xff) as usize],
            units: Units((arrival >> 48) as u32),
            status,
            reserved_at: Millis(arrival & AT_MASK),
            settled_at,
            changed_at,
        })
    }
}

fn state(status: Status, tier: Tier, at: Millis) -> u64 {
    (status as u64) << STATUS_AT | (tier as u64) << TIER_AT | (at.0 & AT_MASK)
}
